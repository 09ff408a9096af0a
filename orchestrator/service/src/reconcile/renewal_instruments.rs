//! What is counted of renewals.

use issuance::renewal::{Basis, Change};
use issuance::time::Timestamp;
use metrics::{Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::store::renewals::RenewalCounts;

const POLLS: &str = "lockkeeper_renewal_info_polls_total";
const FAILED: &str = "failed";
const QUEUED: &str = "lockkeeper_renewals_queued_total";

/// Looks at the CA's windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct PollInstruments;

impl PollInstruments {
    pub(super) fn register() {
        describe_counter!(
            POLLS,
            "Requests for the window in which the CA wants a renewal, by what they brought."
        );
        for result in Change::ALL.into_iter().map(Change::as_str).chain([FAILED]) {
            counter!(POLLS, "result" => result).increment(0);
        }
    }

    pub(super) fn answered(change: Change) {
        counter!(POLLS, "result" => change.as_str()).increment(1);
    }

    pub(super) fn failed() {
        counter!(POLLS, "result" => FAILED).increment(1);
    }
}

/// How the renewals stand, as last counted.
#[derive(Debug, Clone)]
pub(super) struct RenewalInstruments {
    due: Gauge,
    underway: Gauge,
    overdue: Gauge,
    next_seconds: Gauge,
    expiring: Gauge,
    expired: Gauge,
}

impl RenewalInstruments {
    pub(super) fn register() -> Self {
        describe_counter!(QUEUED, "Orders queued for renewals, by what their instants were drawn from.");
        for basis in Basis::ALL {
            counter!(QUEUED, "basis" => basis.as_str()).increment(0);
        }
        describe_gauge!(
            "lockkeeper_renewals_due",
            "Renewals whose instant has come, and for which no order was queued yet."
        );
        describe_gauge!(
            "lockkeeper_renewals_underway",
            "Renewals for which an order was queued, without a certificate yet."
        );
        describe_gauge!(
            "lockkeeper_renewals_overdue",
            "Valid certificates that should have been renewed a day ago."
        );
        describe_gauge!(
            "lockkeeper_next_renewal_seconds",
            "Seconds until the next renewal is due; 0 where none is to come."
        );
        describe_gauge!("lockkeeper_certificates_expiring", "Certificates that expire within a day.");
        describe_gauge!(
            "lockkeeper_certificates_expired",
            "Certificates that have expired and were not renewed."
        );
        Self {
            due: gauge!("lockkeeper_renewals_due"),
            underway: gauge!("lockkeeper_renewals_underway"),
            overdue: gauge!("lockkeeper_renewals_overdue"),
            next_seconds: gauge!("lockkeeper_next_renewal_seconds"),
            expiring: gauge!("lockkeeper_certificates_expiring"),
            expired: gauge!("lockkeeper_certificates_expired"),
        }
    }

    pub(super) fn queued(basis: Basis) {
        counter!(QUEUED, "basis" => basis.as_str()).increment(1);
    }

    pub(super) fn counted(&self, counts: &RenewalCounts, now: Timestamp) {
        self.due.set(super::instruments::measured(counts.due));
        self.underway.set(super::instruments::measured(counts.underway));
        self.overdue.set(super::instruments::measured(counts.overdue));
        self.expiring.set(super::instruments::measured(counts.expiring));
        self.expired.set(super::instruments::measured(counts.expired));
        self.next_seconds.set(counts.next_at.map_or(0.0, |at| now.until(at).as_secs_f64()));
    }
}
