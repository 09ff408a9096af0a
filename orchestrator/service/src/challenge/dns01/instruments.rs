//! What is counted of providers and of our own zone. Labels are names from the configuration, and words.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

use super::presenter::{Change, PresentError};

const WRITES: &str = "lockkeeper_dns01_writes_total";
const WRITE_SECONDS: &str = "lockkeeper_dns01_write_duration_seconds";
const CHANGES: &str = "lockkeeper_dns01_changes_total";
const AILING: &str = "lockkeeper_dns01_provider_ailing";
const QUERIES: &str = "lockkeeper_authority_queries_total";

/// Of one provider.
#[derive(Debug)]
pub(super) struct ProviderInstruments {
    provider: String,
    written: Counter,
    seconds: Histogram,
    added: Counter,
    removed: Counter,
    ailing: Gauge,
}

impl ProviderInstruments {
    pub(super) fn register(provider: &str) -> Self {
        describe_counter!(WRITES, "Writes to DNS providers that ended, by outcome.");
        describe_histogram!(
            WRITE_SECONDS,
            "Seconds one write to a DNS provider took, the wait for its turn included."
        );
        describe_counter!(CHANGES, "TXT records that DNS providers have added or removed.");
        describe_gauge!(
            AILING,
            "1: the last writes to the provider have failed, and it is left alone for a while."
        );
        let provider = provider.to_owned();
        let writes =
            |outcome: &'static str| counter!(WRITES, "provider" => provider.clone(), "outcome" => outcome);
        for outcome in ["refused", "unreachable", "timeout"] {
            writes(outcome).increment(0);
        }
        let changes =
            |what: &'static str| counter!(CHANGES, "provider" => provider.clone(), "change" => what);
        let ailing = gauge!(AILING, "provider" => provider.clone());
        ailing.set(0.0);
        Self {
            written: writes("written"),
            seconds: histogram!(WRITE_SECONDS, "provider" => provider.clone()),
            added: changes("added"),
            removed: changes("removed"),
            ailing,
            provider,
        }
    }

    pub(super) fn wrote(&self, error: Option<&PresentError>, changes: &[Change], took: Duration) {
        self.seconds.record(took);
        if let Some(error) = error {
            counter!(WRITES, "provider" => self.provider.clone(), "outcome" => error.as_str()).increment(1);
            return;
        }
        self.written.increment(1);
        let count = |of: fn(&Change) -> usize| changes.iter().map(of).sum::<usize>() as u64;
        self.added.increment(count(|change| change.add.len()));
        self.removed.increment(count(|change| change.remove.len()));
    }

    pub(super) fn ails(&self, ails: bool) {
        self.ailing.set(if ails { 1.0 } else { 0.0 });
    }
}

/// Questions to our own zone, by what was answered.
#[derive(Debug)]
pub(super) struct AuthorityInstruments {
    pub(super) answered: Counter,
    pub(super) empty: Counter,
    pub(super) missing: Counter,
    pub(super) refused: Counter,
    pub(super) failed: Counter,
}

impl AuthorityInstruments {
    pub(super) fn register() -> Self {
        describe_counter!(QUERIES, "Questions to the zone that is served here, by what was answered.");
        let queries = |result: &'static str| counter!(QUERIES, "result" => result);
        Self {
            answered: queries("answered"),
            empty: queries("no_data"),
            missing: queries("nxdomain"),
            refused: queries("refused"),
            failed: queries("servfail"),
        }
    }
}
