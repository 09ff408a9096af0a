//! Housekeeping: looks at the ledger and the CA, repairs, and reports.
//!
//! ```text
//! rescue   leases that ran out, orders that kill their workers, orders that rest too early
//! settle   what is open past its deadline, what expired before it was settled
//! orphans  what workers learnt too late
//! audit    a sample of the ledger against the CA
//! headroom what is left of the CA's limits; measures, and repairs nothing
//! census   what there is, and where it stands; measures, and repairs nothing
//! ari      when the CA wants certificates renewed
//! renew    certificates whose renewal is due
//! campaigns certificates that are to be replaced by an instant
//! evidence names that are not ready, until they are
//! precision what checks said against what the CA said
//! revoke   certificates to be revoked, and names that are given up
//! sweep    TXT records whose challenges are over
//! transfers hostnames that tenants ask for, until their name servers show who has them
//! forget   answers and logs that nobody may ask for any more
//! ```
//!
//! A reconciler takes no input: a hint about what has changed is not accepted, so nothing is missed that nobody hints
//! at. What it does is the same whether it runs once or twice, here or on all replicas at once: each repair is one
//! transaction that finds its own conditions still true, and none touches an order that somebody works on.

mod ari;
mod audit;
mod campaigns;
mod census;
mod delivery;
mod evidence;
mod forget;
mod headroom;
mod instruments;
mod orphans;
mod precision;
mod renew;
mod renewal_instruments;
mod rescue;
mod revoke;
mod settle;
mod sweep;
mod transfers;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use issuance::ids::AccountId;
use issuance::profile::CaProfile;
use issuance::time::{Clock, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info, info_span, warn};

use crate::acme::Account;
use crate::challenge::preflight::Preflight;
use crate::clock::Pace;
use crate::records::Records;
use crate::store::leases::Replica;
use crate::store::{Store, StoreError};

pub use self::ari::Ari;
pub use self::audit::Audit;
pub use self::campaigns::Campaigns;
pub use self::census::CensusTaker;
pub use self::delivery::DeliveryWatch;
pub use self::evidence::Evidence;
pub use self::forget::Forget;
pub use self::headroom::HeadroomWatch;
use self::instruments::Instruments;
pub use self::orphans::Orphans;
pub use self::precision::Precision;
pub use self::renew::Renew;
pub use self::rescue::Rescue;
pub use self::revoke::Revoke;
pub use self::settle::Settle;
pub use self::sweep::Sweep;
pub use self::transfers::Transfers;

/// The first pass follows the start after this, or after a part of the interval that is longer: what the last run left
/// is looked at soon, by the measure of who asked for it.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const FIRST_WAIT_SHARE: u32 = 15;
/// How long a pass may go on once the service was asked to stop. What it had begun is in the database or is not.
const STOP_WAIT: Duration = Duration::from_secs(3);
/// What is forgotten has been of no use for a long time: an hour more is nothing.
const FORGET_INTERVAL: Duration = Duration::from_hours(1);
/// Rows looked at by one pass, of each kind. What is left over comes next time.
const ROWS_MAX: u16 = 200;
/// Orphans that one pass asks the CA about: at a CA that does not answer, each request takes its whole timeout.
const ASKED_MAX: u16 = 40;
/// Requests to the CA of one pass that are under way at once; the engine's come first.
const REQUESTS_AT_ONCE: usize = 4;

/// Looks, repairs, reports. Idempotent; may run on several replicas at once.
pub trait Reconciler: Send + Sync + 'static {
    /// The `reconciler` of the metrics.
    const NAME: &'static str;
    /// Everything it may repair or report, in the spelling of the metrics.
    const KINDS: &'static [&'static str];

    fn pass(&self, now: Timestamp) -> impl Future<Output = Result<Pass, ReconcileError>> + Send;
}

/// What one pass did: how many of each of [`Reconciler::KINDS`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pass(BTreeMap<&'static str, u64>);

impl Pass {
    fn add(&mut self, kind: &'static str, count: u64) {
        if count > 0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    pub fn count(&self, kind: &str) -> u64 {
        self.0.get(kind).copied().unwrap_or_default()
    }

    /// Nothing was found that is not as it should be.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(kind, count)| (*kind, *count))
    }
}

/// Why a pass came to nothing; the next one begins anew.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error("the ledger could not be looked at")]
    Store(#[from] StoreError),
}

/// What reconcilers work with.
#[derive(Debug, Clone)]
pub struct ReconcileParts {
    pub store: Store,
    pub account: Arc<Account>,
    pub account_id: AccountId,
    pub profile: Arc<CaProfile>,
    pub clock: Arc<dyn Clock>,
    pub pace: Pace,
    /// Who takes over an order for the moment of a repair.
    pub replica: Replica,
    pub lease: Duration,
    /// Rung when orders were made due.
    pub wake: Arc<Notify>,
}

/// How often, and how much.
#[derive(Debug, Clone, Copy)]
pub struct ReconcileSettings {
    pub interval: Duration,
    pub audit_interval: Duration,
    /// Authorizations compared with the CA by one pass of the audit.
    pub audit_sample: u16,
    pub renewal_interval: Duration,
    /// Renewals queued by one pass.
    pub renewals_max: u16,
    /// Certificates about which one pass asks the CA.
    pub renewal_polls_max: u16,
    pub evidence_interval: Duration,
    /// Names looked at by one pass.
    pub looks_max: u16,
}

/// Who looks at names, and who rings when one is to be looked at now.
#[derive(Debug, Clone, Default)]
pub struct Lookout {
    /// `None`: names are not checked at home.
    pub preflight: Option<Arc<Preflight>>,
    pub bell: Arc<Notify>,
}

/// The reconcilers of a running service. Dropping the handle does not stop them: [`Reconcilers::stop`] does.
#[derive(Debug)]
pub struct Reconcilers {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Reconcilers {
    pub fn start(
        parts: &ReconcileParts,
        records: Arc<Records>,
        settings: ReconcileSettings,
        lookout: Lookout,
    ) -> Self {
        let reconcilers = Self { stop: CancellationToken::new(), tasks: TaskTracker::new() };
        reconcilers.run(Rescue::new(parts.clone()), settings.interval, parts);
        reconcilers.run(Settle::new(parts.clone()), settings.interval, parts);
        reconcilers.run(Orphans::new(parts.clone()), settings.interval, parts);
        reconcilers.run(Revoke::new(parts.clone()), settings.interval, parts);
        reconcilers.run(HeadroomWatch::new(parts.clone()), settings.interval, parts);
        reconcilers.run(CensusTaker::new(parts.clone()), settings.interval, parts);
        let transfers = Transfers::new(parts.clone(), Arc::clone(&records));
        reconcilers.run(transfers, settings.interval, parts);
        reconcilers.run(DeliveryWatch::new(parts.clone()), settings.interval, parts);
        reconcilers.run(Sweep::new(records), settings.interval, parts);
        let audit = Audit::new(parts.clone(), settings.audit_sample);
        reconcilers.run(audit, settings.audit_interval, parts);
        let ari = Ari::new(parts.clone(), settings.renewal_polls_max);
        reconcilers.run(ari, settings.renewal_interval, parts);
        let renew = Renew::new(parts.clone(), settings.renewals_max);
        reconcilers.run(renew, settings.renewal_interval, parts);
        reconcilers.run(Campaigns::new(parts.clone()), settings.renewal_interval, parts);
        reconcilers.run(Precision::new(parts.clone()), settings.interval, parts);
        reconcilers.run(Forget::new(parts.clone()), FORGET_INTERVAL, parts);
        if let Some(preflight) = lookout.preflight {
            let evidence = Evidence::new(parts.clone(), preflight, settings.looks_max);
            reconcilers.run_when(evidence, settings.evidence_interval, lookout.bell, parts);
        }
        reconcilers
    }

    fn run<R: Reconciler>(&self, reconciler: R, interval: Duration, parts: &ReconcileParts) {
        self.run_when(reconciler, interval, Arc::default(), parts);
    }

    /// The same, and at once when the bell is rung: a hint that spares somebody a wait, and is not relied upon.
    fn run_when<R: Reconciler>(
        &self,
        reconciler: R,
        interval: Duration,
        bell: Arc<Notify>,
        parts: &ReconcileParts,
    ) {
        let (stop, clock, wake) = (self.stop.clone(), Arc::clone(&parts.clock), Arc::clone(&parts.wake));
        let (pace, instruments) = (parts.pace.clone(), Instruments::register::<R>());
        self.tasks.spawn(async move {
            let mut wait = FIRST_WAIT.max(interval / FIRST_WAIT_SHARE).min(interval);
            loop {
                let _at_work = tokio::select! {
                    at_work = pace.wait(wait) => Some(at_work),
                    () = bell.notified() => None,
                    () = stop.cancelled() => break,
                };
                wait = interval;
                let pass = watched(&reconciler, clock.now(), &instruments);
                tokio::pin!(pass);
                let found = tokio::select! {
                    found = &mut pass => found,
                    () = stop.cancelled() => tokio::time::timeout(STOP_WAIT, pass).await.unwrap_or_default(),
                };
                if found {
                    wake.notify_one();
                }
            }
        });
    }

    /// Lets passes under way come to an end, within a short time.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// One pass, told to whoever watches. True if it found something.
async fn watched<R: Reconciler>(reconciler: &R, now: Timestamp, instruments: &Instruments) -> bool {
    let span = info_span!("reconcile.pass", reconciler = R::NAME);
    async {
        let started = tokio::time::Instant::now();
        let outcome = reconciler.pass(now).await;
        instruments.passed(outcome.as_ref().ok(), started.elapsed());
        match outcome {
            Ok(pass) if pass.is_empty() => false,
            Ok(pass) => {
                let repairs = pass.0;
                info!(event = "reconciler.found_work", ?repairs, "Reconciler {} found work", R::NAME);
                true
            }
            Err(error) => {
                warn!(
                    event = "reconciler.failed",
                    error = &error as &dyn std::error::Error,
                    "Reconciler {} came to nothing",
                    R::NAME
                );
                false
            }
        }
    }
    .instrument(span)
    .await
}
