//! Names that a CA will look at: what is sought there, what the last looks have shown, and what follows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use futures_util::future::join_all;
use issuance::authorization::Authorization;
use issuance::fault::{FailureClass, Fault};
use issuance::identifier::Hostname;
use issuance::propagation::{Next, ProviderWord, Round, Watch};
use issuance::time::Timestamp;

use super::Records;
use super::instruments::RecordInstruments;
use super::present::Presented;
use crate::challenge::dns01::{RecordName, challenge_name, digest};
use crate::challenge::propagation::{PropagationReport, Verdict};
use crate::store::dns_records::{DnsRecord, RecordLook};
use crate::store::{StoreError, settlings};
use crate::telemetry::traces;

/// One name, with all that is sought there: a name and its wildcard have two values at one.
struct Sought<'a> {
    values: BTreeSet<String>,
    /// The first that is proven by it, as it was ordered.
    hostname: Option<Hostname>,
    records: Vec<&'a DnsRecord>,
    /// As the rows have it; a record that is not there yet has none.
    watch: Watch,
}

/// What a look at one name has led to.
struct Looked {
    watch: Watch,
    next: Next,
    report: PropagationReport,
}

impl Records {
    /// Looks at the records, which the provider has confirmed; `records` are those of `authorizations`, in their order.
    ///
    /// Names that were not seen everywhere yet are looked at first. Only when all of them are, all are looked at again.
    pub(super) async fn judge(
        &self,
        authorizations: &[&Authorization],
        records: &[&DnsRecord],
    ) -> Result<Presented, StoreError> {
        let sought = sought(authorizations, records, self.clock.now());
        let is_green = |one: &Sought<'_>| one.watch.green_since.is_some();
        let all_green = sought.values().all(is_green);
        let asked: Vec<_> = sought.iter().filter(|(_, one)| all_green || !is_green(one)).collect();
        let looked = self.look_at(&asked).await?;
        self.keep(&asked, &looked).await?;

        let (mut waits, mut until) = (Vec::new(), None::<Timestamp>);
        for ((name, _), looked) in asked.iter().zip(&looked) {
            match looked.next {
                Next::GiveUp => return Ok(Presented::Unserved { fault: unseen(name, &looked.report) }),
                Next::LookAgain(at) if looked.watch.green_since.is_none() => waits.push(at),
                Next::LookAgain(at) => until = until.max(Some(at)),
                Next::Submit { .. } => {}
            }
        }
        Ok(match (waits.into_iter().min(), until) {
            // Nothing is submitted before the last of them is there: until then the others may wait.
            (Some(until), _) | (None, Some(until)) => Presented::Awaited { until },
            (None, None) if all_green => Presented::Seen,
            (None, None) => Presented::Awaited { until: self.clock.now() },
        })
    }

    /// Whether the records of these authorizations are seen now. Publishes nothing, and changes nothing.
    pub async fn are_seen(&self, authorizations: &[&Authorization]) -> bool {
        let sought = sought(authorizations, &[], self.clock.now());
        let looks = sought.iter().map(|(name, one)| self.look(name, one));
        let looks = join_all(looks).await;
        !looks.is_empty() && looks.iter().all(|report| report.verdict == Verdict::Visible)
    }

    async fn look(&self, name: &RecordName, sought: &Sought<'_>) -> PropagationReport {
        let values: Vec<String> = sought.values.iter().cloned().collect();
        let look = async {
            let report = self.propagation.look(name.as_str(), &values).await;
            traces::note("dns.question.name", name.as_str());
            match &report.verdict {
                Verdict::Visible => {}
                Verdict::NotYet { class, .. } => traces::fail(class.as_str()),
                Verdict::Unknown { .. } => traces::fail("unknown"),
            }
            report
        };
        let hostname = sought.hostname.as_ref().map(Hostname::as_str);
        traces::name(hostname, "dns.propagation", look).await
    }

    async fn look_at(&self, asked: &[(&RecordName, &Sought<'_>)]) -> Result<Vec<Looked>, StoreError> {
        let reports = join_all(asked.iter().map(|(name, one)| self.look(name, one))).await;
        let now = self.clock.now();
        let mut delays: HashMap<String, Duration> = HashMap::new();
        let mut looked = Vec::with_capacity(asked.len());
        for ((_, one), report) in asked.iter().zip(reports) {
            let servers = report.server_set();
            let settle = match delays.get(&servers) {
                Some(settle) => *settle,
                None if matches!(report.round, Round::Green { .. }) => {
                    let settle = settlings::read(&self.store, &servers).await?.delay;
                    delays.insert(servers, settle);
                    settle
                }
                None => Duration::ZERO,
            };
            // A write that has ended is all the word that a provider gives.
            let (watch, next) = one.watch.after(report.round, ProviderWord::Silent, settle, &self.pace, now);
            looked.push(Looked { watch, next, report });
        }
        Ok(looked)
    }

    /// Where a look has changed something.
    async fn keep(&self, asked: &[(&RecordName, &Sought<'_>)], looked: &[Looked]) -> Result<(), StoreError> {
        let mut changes = Vec::new();
        for ((_, one), Looked { watch, report, .. }) in asked.iter().zip(looked) {
            let servers = Some(report.server_set()).filter(|servers| !servers.is_empty());
            let change = |record: &&DnsRecord| {
                let moved = servers.is_some() && record.server_set != servers;
                (record.visible_at != watch.green_since || moved).then(|| RecordLook {
                    record: record.id,
                    visible_at: watch.green_since,
                    server_set: servers.clone(),
                })
            };
            changes.extend(one.records.iter().filter_map(change));
            if let (None, Some(green_since)) = (one.watch.green_since, watch.green_since) {
                let providers: BTreeSet<&str> =
                    one.records.iter().map(|record| record.wanted.provider.as_str()).collect();
                for provider in providers {
                    RecordInstruments::visible(provider, watch.since.until(green_since));
                }
            }
        }
        if changes.is_empty() { Ok(()) } else { self.store.records_looked_at(&changes).await }
    }
}

/// `records`: those of the authorizations, in their order; those at the end may have none.
fn sought<'a>(
    authorizations: &[&Authorization],
    records: &[&'a DnsRecord],
    now: Timestamp,
) -> BTreeMap<RecordName, Sought<'a>> {
    let mut sought: BTreeMap<RecordName, Sought<'a>> = BTreeMap::new();
    for (place, authorization) in authorizations.iter().enumerate() {
        let (Some(name), Some(challenge)) = (&authorization.identifier, &authorization.challenge) else {
            continue;
        };
        let Ok(name) = challenge_name(name) else { continue };
        let one = sought.entry(name).or_insert_with(|| Sought {
            values: BTreeSet::new(),
            hostname: authorization.ordered_name(),
            records: Vec::new(),
            watch: Watch::begin(now),
        });
        one.values.insert(digest(&challenge.key_authorization));
        one.records.extend(records.get(place));
    }
    for one in sought.values_mut() {
        // The last of them to be published is the last to be seen.
        let since = one.records.iter().filter_map(|record| record.published_at).max();
        let green_since = one.records.iter().map(|record| record.visible_at).min().flatten();
        one.watch = Watch { since: since.unwrap_or(now), green_since };
    }
    sought
}

/// Why a record that did not become visible in time did not.
fn unseen(name: &RecordName, report: &PropagationReport) -> Fault {
    let (class, detail) = match &report.verdict {
        Verdict::NotYet { class, detail } => (*class, detail.as_str()),
        Verdict::Unknown { detail } => (FailureClass::PropagationTimeout, detail.as_str()),
        Verdict::Visible => {
            (FailureClass::PropagationTimeout, "its provider has not told all of its servers yet")
        }
    };
    Fault::new(class, format!("{name} is not seen everywhere: {detail}"))
}
