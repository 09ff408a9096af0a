//! The gate, as executors see it: admissions asked for in one moment are decided in one transaction.

use std::sync::Arc;
use std::time::Duration;

use issuance::admission::Denial;
use issuance::order::Reservation;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::store::admissions::{AdmissionOutcome, AdmissionRequest};

use super::EngineParts;
use super::batch::Batcher;
use super::instruments::GateInstruments;

const BATCH_MAX: usize = 128;
/// How long a batch is tried again that the database has not taken, such as for a deadlock or a lost connection. Its
/// orders are in hand meanwhile, under leases that are far longer.
const AGAIN_FOR: Duration = Duration::from_secs(3);
const AGAIN_WAIT: Duration = Duration::from_millis(50);

/// What became of one request for admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GateAnswer {
    Granted(Reservation),
    Denied(Denial),
    LeaseLost,
    /// The database did not answer. Whether it was granted is unknown; the order says so when it is loaded.
    Unavailable,
}

#[derive(Debug)]
pub(super) struct Gate {
    batcher: Batcher<AdmissionRequest, GateAnswer>,
}

impl Gate {
    pub(super) fn start(parts: &EngineParts, tasks: &TaskTracker, stop: CancellationToken) -> Self {
        let (store, account, clock) = (parts.store.clone(), parts.account_id, Arc::clone(&parts.clock));
        let profile = Arc::clone(&parts.profile);
        let instruments = GateInstruments::register();
        let batcher = Batcher::start(BATCH_MAX, tasks, stop, move |requests: Vec<AdmissionRequest>| {
            let (store, clock, profile) = (store.clone(), Arc::clone(&clock), Arc::clone(&profile));
            let instruments = instruments.clone();
            async move {
                let started = tokio::time::Instant::now();
                let admitted = loop {
                    match store.admit(account, &requests, &profile, clock.now()).await {
                        // Nothing was granted, so asking again grants nothing twice.
                        Err(passing) if passing.was_rolled_back() && started.elapsed() < AGAIN_FOR => {
                            tokio::time::sleep(AGAIN_WAIT).await;
                        }
                        admitted => break admitted,
                    }
                };
                instruments.took(started.elapsed());
                match admitted {
                    Ok(outcomes) => outcomes
                        .into_iter()
                        .map(|outcome| {
                            instruments.record(&outcome);
                            match outcome {
                                AdmissionOutcome::Granted(reservation) => GateAnswer::Granted(reservation),
                                AdmissionOutcome::Denied(denial) => GateAnswer::Denied(denial),
                                AdmissionOutcome::LeaseLost => GateAnswer::LeaseLost,
                            }
                        })
                        .collect(),
                    Err(error) => {
                        warn!(error = &error as &dyn std::error::Error, "The gate did not answer");
                        requests.iter().map(|_| GateAnswer::Unavailable).collect()
                    }
                }
            }
        });
        Self { batcher }
    }

    pub(super) async fn ask(&self, request: AdmissionRequest) -> GateAnswer {
        self.batcher.ask(request).await.unwrap_or(GateAnswer::Unavailable)
    }
}
