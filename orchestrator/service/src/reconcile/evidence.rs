//! Names that are not ready, looked at until they are: what waits for them goes on at once, and what nothing was right
//! with for a month is given up. And those that somebody wants checked now.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use issuance::check::Waived;
use issuance::evidence::{Turn, Watch};
use issuance::fault::Fault;
use issuance::identifier::Hostname;
use issuance::time::Timestamp;
use metrics::{Gauge, describe_gauge, gauge};
use tracing::{info, warn};

use crate::challenge::preflight::{Preflight, Verdict};
use crate::chance::draw;
use crate::store::checks::{CheckRecord, CheckVerdict};
use crate::store::watches::DueWatch;

use super::{Pass, ReconcileError, ReconcileParts, Reconciler};

/// Who dies with looks in hand leaves them to others after this.
const CLAIMED_FOR: Duration = Duration::from_mins(2);
/// Looks under way at once: a silent site takes its whole timeout.
const LOOKS_AT_ONCE: usize = 64;
/// Wishes carried out by one pass; they come first.
const WISHES_MAX: u16 = 64;
/// A look that should have been made so long ago is late: there are more names than the looks of a second allow.
const LATE_AFTER: Duration = Duration::from_mins(5);

const NAMES: &str = "lockkeeper_watched_names";
const LOOKED: &str = "looked";
const ANSWERED: &str = "answered";
const RELEASED: &str = "released";
const SUSPENDED: &str = "suspended";

#[derive(Debug)]
pub struct Evidence {
    parts: ReconcileParts,
    preflight: Arc<Preflight>,
    looks_max: u16,
    watched: Gauge,
    late: Gauge,
    suspended: Gauge,
}

/// What one look saw.
struct Seen {
    hostname: Hostname,
    verdict: Verdict,
    record: CheckRecord,
}

impl Evidence {
    /// `looks_max`: looks of one pass.
    pub fn new(parts: ReconcileParts, preflight: Arc<Preflight>, looks_max: u16) -> Self {
        describe_gauge!(NAMES, "Names that are not ready, by what becomes of them.");
        let names = |state: &'static str| gauge!(NAMES, "state" => state);
        let (watched, late, suspended) = (names("watched"), names("late"), names("suspended"));
        Self { parts, preflight, looks_max, watched, late, suspended }
    }

    /// Looks at each name, as far as a check may keep it back, and writes down what was seen.
    async fn look(&self, hostnames: Vec<Hostname>) -> Result<Vec<Seen>, ReconcileError> {
        let ReconcileParts { store, account_id, clock, .. } = &self.parts;
        let names: Vec<String> = hostnames.iter().map(ToString::to_string).collect();
        let waived = store.waived(*account_id, &names, clock.now()).await?;
        let look = |(hostname, (_, waived)): (Hostname, (String, Waived))| async move {
            let report = self.preflight.look_at(&hostname).await;
            let verdict = report.judged(&waived);
            let told = match &verdict {
                Verdict::Ready => CheckVerdict::Ready,
                Verdict::NotReady { class, detail } => {
                    CheckVerdict::NotReady(Fault::new(*class, detail.clone()))
                }
                Verdict::Unknown { detail } => CheckVerdict::Unknown { detail: detail.clone() },
            };
            let record = CheckRecord {
                hostname: hostname.clone(),
                at: clock.now(),
                verdict: told,
                findings: report.findings,
                says: None,
            };
            Seen { hostname, verdict, record }
        };
        let asked = hostnames.into_iter().zip(waived);
        let seen: Vec<Seen> = stream::iter(asked).map(look).buffer_unordered(LOOKS_AT_ONCE).collect().await;
        let records: Vec<CheckRecord> = seen.iter().map(|one| one.record.clone()).collect();
        store.record_checks(*account_id, &records).await?;
        Ok(seen)
    }

    /// What somebody wants checked now; what is seen counts as any look does.
    async fn answer(&self, pass: &mut Pass) -> Result<(), ReconcileError> {
        let ReconcileParts { store, account_id, clock, .. } = &self.parts;
        let wished = store.wished_checks(*account_id, WISHES_MAX).await?;
        if wished.is_empty() {
            return Ok(());
        }
        pass.add(ANSWERED, wished.len() as u64);
        let mut watched = Vec::new();
        for seen in self.look(wished).await? {
            if let Some(watch) = store.watch_of(*account_id, &seen.hostname).await? {
                watched.push((watch, seen));
            }
        }
        self.follow(watched, clock.now(), pass).await
    }

    async fn watch(&self, pass: &mut Pass) -> Result<(), ReconcileError> {
        let ReconcileParts { store, account_id, clock, .. } = &self.parts;
        let now = clock.now();
        let due = store.claim_watches(*account_id, now, now.after(CLAIMED_FOR), self.looks_max).await?;
        let due: Vec<DueWatch> = due.into_iter().filter(|one| one.waited_for).collect();
        if due.is_empty() {
            return Ok(());
        }
        pass.add(LOOKED, due.len() as u64);
        let seen = self.look(due.iter().map(|one| one.hostname.clone()).collect()).await?;
        let watched = seen.into_iter().filter_map(|seen| {
            let of = due.iter().find(|one| one.hostname == seen.hostname)?;
            Some((of.watch, seen))
        });
        self.follow(watched.collect(), clock.now(), pass).await
    }

    /// Does what follows from looks.
    async fn follow(
        &self,
        watched: Vec<(Watch, Seen)>,
        now: Timestamp,
        pass: &mut Pass,
    ) -> Result<(), ReconcileError> {
        let ReconcileParts { store, account_id, .. } = &self.parts;
        let targets: Vec<String> =
            watched.iter().map(|(_, seen)| seen.hostname.validation_target().to_owned()).collect();
        let charges = store.last_charges(*account_id, &targets, now).await?;
        let (mut looks, mut released, mut hopeless) = (Vec::new(), Vec::new(), Vec::new());
        for (watch, seen) in watched {
            let target = seen.hostname.validation_target();
            let charged_at = charges.iter().find(|one| one.hostname.as_str() == target).map(|one| one.at);
            let right = match seen.verdict {
                Verdict::Ready => Some(true),
                Verdict::NotReady { .. } => Some(false),
                Verdict::Unknown { .. } => None,
            };
            match (Watch { charged_at, ..watch }).turn(right, now, draw()) {
                Turn::Look(at) => looks.push((seen.hostname, at, right == Some(false))),
                Turn::Release(at) => released.push((seen.hostname, at)),
                Turn::Suspend => hopeless.push(seen.hostname),
            }
        }
        if !looks.is_empty() {
            store.look_again(*account_id, &looks, now).await?;
        }
        if !released.is_empty() {
            let orders = store.release_watches(*account_id, &released, now).await?;
            info!(
                event = "names.ready",
                names = released.len(),
                orders,
                "{} names are ready now",
                released.len()
            );
            pass.add(RELEASED, orders);
        }
        if !hopeless.is_empty() {
            let given_up = store.suspend_watches(*account_id, &hopeless, now).await?;
            warn!(
                event = "names.given_up",
                names = given_up.len(),
                "{} names were not ready for a month; given up",
                given_up.len()
            );
            pass.add(SUSPENDED, given_up.len() as u64);
        }
        Ok(())
    }
}

impl Reconciler for Evidence {
    const NAME: &'static str = "evidence";
    const KINDS: &'static [&'static str] = &[ANSWERED, LOOKED, RELEASED, SUSPENDED];

    async fn pass(&self, now: Timestamp) -> Result<Pass, ReconcileError> {
        let mut pass = Pass::default();
        self.answer(&mut pass).await?;
        self.watch(&mut pass).await?;
        let counts = self.parts.store.count_watches(self.parts.account_id, now.before(LATE_AFTER)).await?;
        self.watched.set(counts.watched as f64);
        self.late.set(counts.late as f64);
        self.suspended.set(counts.suspended as f64);
        Ok(pass)
    }
}
