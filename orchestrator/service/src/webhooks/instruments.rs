//! What the outbox counts.

use issuance::time::Timestamp;
use issuance::webhook::Outcome;
use metrics::{Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::store::webhook_deliveries::Backlog;

const ATTEMPTS: &str = "lockkeeper_webhook_attempts_total";
const BACKLOG: &str = "lockkeeper_webhook_backlog";
const OLDEST: &str = "lockkeeper_webhook_oldest_seconds";

#[derive(Debug, Clone)]
pub(super) struct Instruments {
    backlog: Gauge,
    oldest: Gauge,
}

impl Instruments {
    pub(super) fn register() -> Self {
        describe_counter!(ATTEMPTS, "Attempts at telling a webhook of an event, by outcome.");
        describe_gauge!(BACKLOG, "Events on their way to webhooks that are not switched off.");
        describe_gauge!(OLDEST, "Age of the oldest of those; 0 without any.");
        for outcome in Outcome::ALL {
            counter!(ATTEMPTS, "outcome" => outcome.as_str()).increment(0);
        }
        Self { backlog: gauge!(BACKLOG), oldest: gauge!(OLDEST) }
    }

    pub(super) fn attempted(outcome: Outcome) {
        counter!(ATTEMPTS, "outcome" => outcome.as_str()).increment(1);
    }

    pub(super) fn counted(&self, backlog: &Backlog, now: Timestamp) {
        self.backlog.set(backlog.pending as f64);
        self.oldest.set(backlog.oldest_at.map_or(0.0, |at| now.since(at).as_secs_f64()));
    }
}
