//! The gate, as executors see it: admissions asked for in one moment are decided in one transaction.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use issuance::admission::Denial;
use issuance::allowance::Allowance;
use issuance::ids::OrderId;
use issuance::order::Reservation;
use issuance::time::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::store::Store;
use crate::store::admissions::{AdmissionOutcome, AdmissionRequest, Admitted};

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

/// What the account may still order, as the gate last saw it: for whoever decides how many to bring before it.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    allowance: Arc<Mutex<Allowance>>,
    wake: Arc<Notify>,
}

impl Sight {
    pub(super) fn new(wake: Arc<Notify>) -> Self {
        Self { allowance: Arc::new(Mutex::new(Allowance::UNKNOWN)), wake }
    }

    pub(super) fn allowance(&self) -> Allowance {
        *self.allowance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The CA has answered a new-order that it counts, and that is committed.
    pub(super) fn count_one(&self, now: Timestamp) {
        if self.allowance.lock().unwrap_or_else(PoisonError::into_inner).count_one(now) {
            self.wake.notify_one();
        }
    }

    fn set(&self, allowance: Allowance) {
        *self.allowance.lock().unwrap_or_else(PoisonError::into_inner) = allowance;
    }
}

impl Gate {
    pub(super) fn start(
        parts: &EngineParts,
        sight: Sight,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (store, account, clock) = (parts.store.clone(), parts.account_id, Arc::clone(&parts.clock));
        let profile = Arc::clone(&parts.profile);
        let instruments = GateInstruments::register();
        let batcher = Batcher::start(BATCH_MAX, tasks, stop, move |requests: Vec<AdmissionRequest>| {
            let (store, clock, profile) = (store.clone(), Arc::clone(&clock), Arc::clone(&profile));
            let (instruments, sight) = (instruments.clone(), sight.clone());
            async move {
                let started = tokio::time::Instant::now();
                let (at, admitted) = loop {
                    let at = clock.now();
                    match store.admit(account, &requests, &profile, at).await {
                        // Nothing was granted, so asking again grants nothing twice.
                        Err(passing) if passing.was_rolled_back() && started.elapsed() < AGAIN_FOR => {
                            tokio::time::sleep(AGAIN_WAIT).await;
                        }
                        admitted => break (at, admitted),
                    }
                };
                instruments.took(started.elapsed());
                match admitted {
                    Ok(Admitted { outcomes, allowance }) => {
                        sight.set(allowance);
                        outcomes
                            .into_iter()
                            .map(|outcome| {
                                instruments.record(&outcome);
                                match outcome {
                                    AdmissionOutcome::Granted(reservation) => {
                                        GateAnswer::Granted(reservation)
                                    }
                                    AdmissionOutcome::Denied(denial) => GateAnswer::Denied(denial),
                                    AdmissionOutcome::LeaseLost => GateAnswer::LeaseLost,
                                }
                            })
                            .collect()
                    }
                    Err(error) => {
                        warn!(
                            event = "gate.failed",
                            error = &error as &dyn std::error::Error,
                            "The gate did not answer"
                        );
                        // What is known to be granted goes on: left in doubt, it would be asked for again, and
                        // what the first asking may have made be held for as long as it could be pending.
                        let mut granted = granted_at(&store, &requests, at).await;
                        let answer = |request: &AdmissionRequest| {
                            let reservation = granted.remove(&request.lease.order);
                            reservation.map_or(GateAnswer::Unavailable, GateAnswer::Granted)
                        };
                        requests.iter().map(answer).collect()
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

/// What a batch was granted whose COMMIT was not answered; nothing, where that cannot be learnt in time.
async fn granted_at(
    store: &Store,
    requests: &[AdmissionRequest],
    at: Timestamp,
) -> HashMap<OrderId, Reservation> {
    let started = tokio::time::Instant::now();
    loop {
        match store.granted_at(requests, at).await {
            Ok(granted) => return granted,
            Err(away) if away.is_unavailable() && started.elapsed() < AGAIN_FOR => {
                tokio::time::sleep(AGAIN_WAIT).await;
            }
            Err(error) => {
                warn!(
                    event = "gate.in_doubt",
                    error = &error as &dyn std::error::Error,
                    "What the gate has granted stays in doubt"
                );
                return HashMap::new();
            }
        }
    }
}
