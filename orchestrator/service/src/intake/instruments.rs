//! What is counted of imports.

use std::time::Duration;

use metrics::{Gauge, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::store::imports::job::Standing;

const BATCHES: &str = "lockkeeper_import_batch_duration_seconds";
const ROWS: &str = "lockkeeper_import_rows_total";
const IMPORTS: &str = "lockkeeper_imports_total";
const MOVING: &str = "lockkeeper_imports_moving";
const OVERDUE: &str = "lockkeeper_import_oldest_due_seconds";

/// What rows are worked on for.
const WORKED_ON: [&str; 3] = ["checking", "running", "rolling_back"];
/// What an import can have become.
const BECAME: [&str; 5] = ["preview", "completed", "cancelled", "failed", "rolled_back"];

#[derive(Debug)]
pub(super) struct Instruments {
    moving: Gauge,
    oldest_due_seconds: Gauge,
}

impl Instruments {
    pub(super) fn register() -> Self {
        describe_histogram!(BATCHES, "Seconds one transaction of an import took, by the import's status.");
        describe_counter!(ROWS, "Rows of imports that were worked on, by the import's status.");
        describe_counter!(IMPORTS, "Imports by what they became.");
        describe_gauge!(MOVING, "Imports that are being received, checked, committed or rolled back.");
        describe_gauge!(OVERDUE, "For how long the oldest import that is due has waited; 0: none is due.");
        for status in WORKED_ON {
            counter!(ROWS, "status" => status).increment(0);
        }
        for status in BECAME {
            counter!(IMPORTS, "outcome" => status).increment(0);
        }
        Self { moving: gauge!(MOVING), oldest_due_seconds: gauge!(OVERDUE) }
    }

    pub(super) fn counted(&self, standing: &Standing) {
        self.moving.set(standing.moving as f64);
        self.oldest_due_seconds.set(standing.oldest_due.as_secs_f64());
    }

    pub(super) fn advanced(status: &str, rows: u64, took: Duration) {
        let Some(status) = WORKED_ON.into_iter().find(|known| *known == status) else { return };
        histogram!(BATCHES, "status" => status).record(took.as_secs_f64());
        counter!(ROWS, "status" => status).increment(rows);
    }

    pub(super) fn became(status: &str) {
        if let Some(status) = BECAME.into_iter().find(|known| *known == status) {
            counter!(IMPORTS, "outcome" => status).increment(1);
        }
    }
}
