//! What there is of records.

use std::time::Duration;

use issuance::time::Timestamp;
use metrics::{Gauge, Histogram, describe_gauge, describe_histogram, gauge, histogram};

use crate::store::dns_records::RecordCounts;

const RECORDS: &str = "lockkeeper_dns01_records";
const OLDEST: &str = "lockkeeper_dns01_oldest_unwanted_seconds";
const SETTLE: &str = "lockkeeper_dns01_settle_seconds";
const PROPAGATION: &str = "lockkeeper_dns01_propagation_seconds";

#[derive(Debug)]
pub(super) struct RecordInstruments {
    wanted: Gauge,
    published: Gauge,
    unwanted: Gauge,
    oldest_unwanted_seconds: Gauge,
}

impl RecordInstruments {
    pub(super) fn register() -> Self {
        describe_gauge!(RECORDS, "TXT records of challenges, by what is to become of them.");
        describe_gauge!(
            OLDEST,
            "For how long the oldest TXT record has stood that is to go; 0: there is none."
        );
        describe_histogram!(
            PROPAGATION,
            "Seconds from publishing a TXT record to all its name servers showing it."
        );
        describe_gauge!(
            SETTLE,
            "For how long records settle at the servers of a provider that need it longest, by what failures have taught."
        );
        let records = |state: &'static str| gauge!(RECORDS, "state" => state);
        Self {
            wanted: records("wanted"),
            published: records("published"),
            unwanted: records("unwanted"),
            oldest_unwanted_seconds: gauge!(OLDEST),
        }
    }

    pub(super) fn counted(&self, counts: &RecordCounts, now: Timestamp) {
        self.wanted.set(counts.wanted as f64);
        self.published.set(counts.published as f64);
        self.unwanted.set(counts.unwanted as f64);
        let oldest = counts.oldest_unwanted_at.map_or(Duration::ZERO, |since| since.until(now));
        self.oldest_unwanted_seconds.set(oldest.as_secs_f64());
    }

    pub(super) fn settle(provider: &str, delay: Duration) {
        gauge!(SETTLE, "provider" => provider.to_owned()).set(delay.as_secs_f64());
    }

    pub(super) fn visible(provider: &str, took: Duration) {
        let histogram: Histogram = histogram!(PROPAGATION, "provider" => provider.to_owned());
        histogram.record(took.as_secs_f64());
    }
}
