//! From the rows of an order to records that are seen wherever a CA may look.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use issuance::authorization::Authorization;
use issuance::fault::{FailureClass, Fault};
use issuance::ids::TenantId;
use issuance::time::Timestamp;

use super::Records;
use super::instruments::RecordInstruments;
use super::write::Written;
use crate::challenge::dns01::{RecordName, Turn, Visibility, challenge_name, digest};
use crate::chance::draw;
use crate::store::StoreError;
use crate::store::dns_records::{DnsRecord, WantedRecord};
use crate::store::leases::Lease;

/// Somebody else writes at a name of the order, or many wait for its provider: not all of them come back at once.
const BUSY_WAIT: Duration = Duration::from_secs(2);
const BUSY_JITTER: f64 = 4.0;
/// Between looks: a share of the time that has passed since the record was published, within these.
const LOOK_WAIT_MIN: Duration = Duration::from_secs(2);
const LOOK_WAIT_MAX: Duration = Duration::from_secs(20);
const LOOK_SHARE: u32 = 4;

/// How the records of an order stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented {
    /// Seen everywhere, twice.
    Seen,
    /// On their way: look again then.
    Awaited { until: Timestamp },
    /// Not there, and not about to be.
    Unserved { fault: Fault },
    /// The lease on the order was lost: nothing was written.
    LeaseLost,
}

/// What a CA will look for at one name.
type Sought = BTreeMap<RecordName, BTreeSet<String>>;

impl Records {
    /// Publishes what these authorizations need, all of it, and looks whether it is seen.
    pub async fn present(
        &self,
        lease: Lease,
        tenant: TenantId,
        authorizations: &[&Authorization],
    ) -> Result<Presented, StoreError> {
        let rows = self.store.records_of(lease.order).await?;
        let known: Option<Vec<&DnsRecord>> =
            authorizations.iter().map(|one| self.row_of(one, &rows)).collect();
        if let Some(known) = known {
            return self.judge(lease, authorizations, &known).await;
        }
        let wanted = match self.wanted(authorizations, tenant).await? {
            Ok(wanted) => wanted,
            Err(Some(fault)) => return Ok(Presented::Unserved { fault }),
            Err(None) => return Ok(Presented::Awaited { until: self.clock.now().after(LOOK_WAIT_MAX) }),
        };
        let stands = |wanted: &WantedRecord| {
            rows.iter().find(|row| row.wanted == *wanted && row.published_at.is_some())
        };
        let there: Option<Vec<&DnsRecord>> = wanted.iter().map(stands).collect();
        if let Some(there) = there {
            return self.judge(lease, authorizations, &there).await;
        }
        if !self.store.want_records(lease, &wanted, self.clock.now()).await? {
            return Ok(Presented::LeaseLost);
        }
        match self.publish(&wanted).await? {
            // Nobody can have seen it before this.
            Written::All => Ok(Presented::Awaited { until: self.clock.now().after(LOOK_WAIT_MIN) }),
            Written::Busy => {
                let wait = BUSY_WAIT + draw().of(BUSY_WAIT, BUSY_JITTER);
                Ok(Presented::Awaited { until: self.clock.now().after(wait) })
            }
            Written::Failed(detail) => {
                Ok(Presented::Unserved { fault: Fault::new(FailureClass::ProviderApi, detail) })
            }
        }
    }

    /// Whether the records of these authorizations are seen now. Publishes nothing.
    pub async fn are_seen(&self, authorizations: &[&Authorization]) -> bool {
        let sought = sought(authorizations);
        !sought.is_empty() && self.look(&sought).await == (Visibility::Visible, String::new())
    }

    /// The row that was published for it, unless that is so long ago that its name may lead elsewhere by now.
    fn row_of<'a>(&self, authorization: &Authorization, rows: &'a [DnsRecord]) -> Option<&'a DnsRecord> {
        let value = digest(&authorization.challenge.as_ref()?.key_authorization);
        let fresh = self.clock.now().before(self.settings.propagation_timeout);
        rows.iter().rev().find(|row| {
            row.wanted.value == value
                && *row.wanted.authorization_url == *authorization.url
                && row.published_at.is_some_and(|at| fresh < at || row.visible_at.is_some())
        })
    }

    /// What is to stand where; or why that is not known, `None` where it could not be found out.
    async fn wanted(
        &self,
        authorizations: &[&Authorization],
        tenant: TenantId,
    ) -> Result<Result<Vec<WantedRecord>, Option<Fault>>, StoreError> {
        let tenant = self.tenant(tenant).await?;
        let places = authorizations.iter().map(|authorization| {
            let tenant = tenant.as_deref();
            async move {
                let (Some(name), Some(challenge)) = (&authorization.identifier, &authorization.challenge)
                else {
                    return Err(None);
                };
                let place = self
                    .place(name, tenant)
                    .await
                    .map_err(|fault| fault.map(|fault| fault.of(Some(name.clone()))))?;
                Ok(WantedRecord {
                    authorization_url: authorization.url.to_string(),
                    provider: place.provider.name.clone(),
                    zone: place.zone.to_string(),
                    owner: place.owner.to_string(),
                    value: digest(&challenge.key_authorization),
                })
            }
        });
        Ok(join_all(places).await.into_iter().collect())
    }

    /// All of an order's records, of each zone in one write.
    async fn publish(&self, wanted: &[WantedRecord]) -> Result<Written, StoreError> {
        let mut groups: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
        for record in wanted {
            groups.entry((&record.provider, &record.zone)).or_default().insert(record.owner.clone());
        }
        let mut worst = Written::All;
        for ((provider, zone), owners) in groups {
            let (Some(provider), Ok(zone)) = (self.providers.named(provider), RecordName::parse(zone)) else {
                continue;
            };
            if let Turn::Ails { until } = self.providers.turn(provider) {
                let name = &provider.name;
                worst =
                    Written::Failed(format!("the DNS provider {name} fails, and is tried again at {until}"));
                continue;
            }
            // What is written stays so, if there is not time enough for all.
            let owners: Vec<String> = owners.into_iter().collect();
            for some in owners.chunks(provider.names_max()) {
                match self.write(provider, &zone, &some.iter().cloned().collect()).await? {
                    Written::Busy if worst == Written::All => worst = Written::Busy,
                    Written::All | Written::Busy => {}
                    failed @ Written::Failed(_) => {
                        worst = failed;
                        break;
                    }
                }
            }
        }
        Ok(worst)
    }

    /// Looks at the records, which the provider has confirmed.
    async fn judge(
        &self,
        lease: Lease,
        authorizations: &[&Authorization],
        records: &[&DnsRecord],
    ) -> Result<Presented, StoreError> {
        let published_at = records.iter().filter_map(|row| row.published_at).max();
        let visible_at = records.iter().map(|row| row.visible_at).min().flatten();
        let (visibility, detail) = self.look(&sought(authorizations)).await;
        let now = self.clock.now();
        let published_at = published_at.unwrap_or(now);
        if visibility == Visibility::Visible {
            let since = visible_at.unwrap_or(now);
            let enough = since.after(self.settings.rounds_apart);
            if enough <= now && visible_at.is_some() {
                return Ok(Presented::Seen);
            }
            if visible_at.is_none() {
                self.store.records_visible(lease.order, Some(now)).await?;
                let providers: BTreeSet<&str> =
                    records.iter().map(|row| row.wanted.provider.as_str()).collect();
                for provider in providers {
                    RecordInstruments::visible(provider, published_at.until(now));
                }
            }
            return Ok(Presented::Awaited { until: enough });
        }
        if visible_at.is_some() {
            self.store.records_visible(lease.order, None).await?;
        }
        let waited = published_at.until(now);
        if waited >= self.settings.propagation_timeout {
            let fault = Fault::new(FailureClass::PropagationTimeout, detail);
            return Ok(Presented::Unserved { fault });
        }
        let pause = (waited / LOOK_SHARE).clamp(LOOK_WAIT_MIN, LOOK_WAIT_MAX);
        Ok(Presented::Awaited { until: now.after(pause) })
    }

    /// The least of what is seen at all the names.
    async fn look(&self, sought: &Sought) -> (Visibility, String) {
        let looks = sought.iter().map(|(name, values)| {
            let values: Vec<String> = values.iter().cloned().collect();
            async move { self.watch.look(name, &values).await }
        });
        let looks = join_all(looks).await;
        let worst = looks.into_iter().find(|look| look.visibility != Visibility::Visible);
        worst.map_or((Visibility::Visible, String::new()), |look| (look.visibility, look.detail))
    }
}

fn sought(authorizations: &[&Authorization]) -> Sought {
    let mut sought = Sought::new();
    for authorization in authorizations {
        if let (Some(name), Some(challenge)) = (&authorization.identifier, &authorization.challenge)
            && let Ok(name) = challenge_name(name)
        {
            sought.entry(name).or_default().insert(digest(&challenge.key_authorization));
        }
    }
    sought
}
