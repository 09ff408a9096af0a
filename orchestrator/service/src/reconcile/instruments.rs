//! What reconcilers count.

use std::time::Duration;

use issuance::drift::Drift;
use issuance::time::Timestamp;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

use crate::store::authorizations::OpenLedger;

use super::{Pass, Reconciler};

const PASSES: &str = "lockkeeper_reconcile_passes_total";
const PASS_SECONDS: &str = "lockkeeper_reconcile_pass_duration_seconds";
const REPAIRS: &str = "lockkeeper_reconcile_repairs_total";
const DRIFT: &str = "lockkeeper_ledger_drift_total";

/// The passes of one reconciler.
#[derive(Debug, Clone)]
pub(super) struct Instruments {
    reconciler: &'static str,
    ended: Counter,
    failed: Counter,
    seconds: Histogram,
}

impl Instruments {
    pub(super) fn register<R: Reconciler>() -> Self {
        describe_counter!(PASSES, "Passes of the reconcilers that ended, by outcome.");
        describe_histogram!(PASS_SECONDS, "Seconds one pass of a reconciler took.");
        describe_counter!(REPAIRS, "What passes of the reconcilers repaired or reported, by kind.");
        for kind in R::KINDS {
            counter!(REPAIRS, "reconciler" => R::NAME, "kind" => *kind).increment(0);
        }
        let passes = |outcome: &'static str| {
            let passes = counter!(PASSES, "reconciler" => R::NAME, "outcome" => outcome);
            passes.increment(0);
            passes
        };
        Self {
            reconciler: R::NAME,
            ended: passes("ended"),
            failed: passes("failed"),
            seconds: histogram!(PASS_SECONDS, "reconciler" => R::NAME),
        }
    }

    /// `None`: it came to nothing.
    pub(super) fn passed(&self, pass: Option<&Pass>, took: Duration) {
        self.seconds.record(took.as_secs_f64());
        let Some(pass) = pass else {
            self.failed.increment(1);
            return;
        };
        self.ended.increment(1);
        for (kind, count) in pass.counts() {
            counter!(REPAIRS, "reconciler" => self.reconciler, "kind" => kind).increment(count);
        }
    }
}

/// What is open, as last counted.
#[derive(Debug, Clone)]
pub(super) struct LedgerInstruments {
    open: Gauge,
    overdue: Gauge,
    oldest_seconds: Gauge,
    orphans: Gauge,
    oldest_orphan_seconds: Gauge,
    expired_unsettled: Counter,
}

impl LedgerInstruments {
    pub(super) fn register() -> Self {
        describe_gauge!(
            "lockkeeper_open_authorizations",
            "Authorizations of the account that are neither submitted nor ended."
        );
        describe_gauge!("lockkeeper_open_authorizations_overdue", "Of those, the ones past their deadlines.");
        describe_gauge!(
            "lockkeeper_oldest_open_authorization_seconds",
            "Age of the oldest of those; 0 without any."
        );
        describe_gauge!("lockkeeper_orphans", "Objects in the orphan inbox that are not resolved.");
        describe_gauge!("lockkeeper_oldest_orphan_seconds", "Age of the oldest of those; 0 without any.");
        describe_counter!(
            "lockkeeper_authorizations_expired_unsettled_total",
            "Authorizations that expired before they were submitted or ended: should be 0."
        );
        let expired_unsettled = counter!("lockkeeper_authorizations_expired_unsettled_total");
        expired_unsettled.increment(0);
        Self {
            open: gauge!("lockkeeper_open_authorizations"),
            overdue: gauge!("lockkeeper_open_authorizations_overdue"),
            oldest_seconds: gauge!("lockkeeper_oldest_open_authorization_seconds"),
            orphans: gauge!("lockkeeper_orphans"),
            oldest_orphan_seconds: gauge!("lockkeeper_oldest_orphan_seconds"),
            expired_unsettled,
        }
    }

    pub(super) fn counted(&self, ledger: &OpenLedger, now: Timestamp) {
        self.open.set(measured(ledger.open));
        self.overdue.set(measured(ledger.overdue));
        self.oldest_seconds.set(age(ledger.oldest_opened_at, now));
        self.orphans.set(measured(ledger.orphans));
        self.oldest_orphan_seconds.set(age(ledger.oldest_orphan_learnt_at, now));
    }

    pub(super) fn expired_unsettled(&self, count: u64) {
        self.expired_unsettled.increment(count);
    }
}

fn age(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since.map_or(0.0, |since| since.until(now).as_secs_f64())
}

/// Exact up to 2³², and nobody has more.
pub(super) fn measured(count: u64) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}

/// Disagreements between the ledger and the CA.
#[derive(Debug, Clone, Copy)]
pub(super) struct DriftInstruments;

impl DriftInstruments {
    pub(super) fn register() {
        describe_counter!(
            DRIFT,
            "Authorizations of which ledger and CA said different things, by kind: should be 0."
        );
        for kind in Drift::NAMES {
            counter!(DRIFT, "kind" => kind).increment(0);
        }
    }

    pub(super) fn found(drift: Drift) {
        counter!(DRIFT, "kind" => drift.as_str()).increment(1);
    }
}
