//! Commits: the ends of steps that come together share one.
//!
//! A database that is away is waited for: what a worker has learnt stays in its hands until it is written, or
//! until somebody else holds the order. Writing again what was written is harmless.

use std::sync::Arc;
use std::time::Duration;

use issuance::ids::OrderId;
use issuance::order::Stage;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use crate::challenge::http01::Presented;
use crate::store::steps::StepEnd;
use crate::store::{Store, StoreError};

use super::EngineParts;
use super::batch::Batcher;
use super::instruments::CommitInstruments;

const BATCH_MAX: usize = 128;
/// RFC 8555 §8.3: the challenges that the responder answers.
const HTTP_01: &str = "http-01";
/// Between two tries to reach a database that is away.
const AWAY_WAIT: Duration = Duration::from_millis(200);

/// Why a step's end was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CommitError {
    #[error("lease on order {order} was lost to another worker")]
    LeaseLost { order: OrderId },
    #[error("the database refuses the end of a step of order {order}")]
    Refused { order: OrderId },
    #[error("the engine stopped before a step of order {order} was written")]
    Stopped { order: OrderId },
}

#[derive(Debug)]
pub(super) struct Committer {
    batcher: Batcher<StepEnd, Result<(), CommitError>>,
}

impl Committer {
    pub(super) fn start(parts: &EngineParts, tasks: &TaskTracker, stop: CancellationToken) -> Self {
        let writer = Arc::new(Writer {
            store: parts.store.clone(),
            parts: parts.clone(),
            stop: stop.clone(),
            instruments: CommitInstruments::register(),
        });
        let batcher = Batcher::start(BATCH_MAX, tasks, stop, move |ends| {
            let writer = Arc::clone(&writer);
            async move { writer.write(ends).await }
        });
        Self { batcher }
    }

    pub(super) async fn commit(&self, end: StepEnd) -> Result<(), CommitError> {
        let order = end.lease.order;
        self.batcher.ask(end).await.unwrap_or(Err(CommitError::Stopped { order }))
    }
}

struct Writer {
    store: Store,
    parts: EngineParts,
    stop: CancellationToken,
    instruments: CommitInstruments,
}

impl Writer {
    async fn write(&self, ends: Vec<StepEnd>) -> Vec<Result<(), CommitError>> {
        match self.persist(&ends).await {
            Ok(outcomes) => outcomes,
            // One of them the database will never take: find out which, and write the others.
            Err(_) if ends.len() > 1 => {
                let mut outcomes = Vec::with_capacity(ends.len());
                for end in &ends {
                    outcomes.push(self.write_alone(end).await);
                }
                outcomes
            }
            Err(reason) => ends.iter().map(|end| Err(refused(end, &reason))).collect(),
        }
    }

    async fn write_alone(&self, end: &StepEnd) -> Result<(), CommitError> {
        match self.persist(std::slice::from_ref(end)).await {
            Ok(outcomes) => outcomes.into_iter().collect(),
            Err(reason) => Err(refused(end, &reason)),
        }
    }

    /// Tries until the database has said yes or no.
    async fn persist(&self, ends: &[StepEnd]) -> Result<Vec<Result<(), CommitError>>, StoreError> {
        loop {
            let started = tokio::time::Instant::now();
            match self.store.commit_steps(ends, self.parts.clock.now()).await {
                Ok(written) => {
                    self.instruments.record(ends.len(), started.elapsed());
                    let presented = ends.iter().filter(|end| written.contains(&end.lease.order));
                    self.parts.announcer.announce(&presented.flat_map(presented_by).collect::<Vec<_>>());
                    let outcome = |end: &StepEnd| {
                        let order = end.lease.order;
                        if written.contains(&order) { Ok(()) } else { Err(CommitError::LeaseLost { order }) }
                    };
                    return Ok(ends.iter().map(outcome).collect());
                }
                Err(away) if away.is_unavailable() && !self.stop.is_cancelled() => {
                    warn!(
                        event = "commit.database_away",
                        error = &away as &dyn std::error::Error,
                        steps = ends.len(),
                        "The database is away; what was learnt is kept and written again"
                    );
                    tokio::select! {
                        () = tokio::time::sleep(AWAY_WAIT) => {}
                        () = self.stop.cancelled() => {}
                    }
                }
                Err(other) => return Err(other),
            }
        }
    }
}

/// The responses that are to be served from now on.
fn presented_by(end: &StepEnd) -> impl Iterator<Item = Presented> {
    let presents = matches!(end.order.stage, Stage::Presented { .. });
    end.ledger.iter().filter(move |_| presents).filter_map(|entry| {
        let challenge = entry.challenge.as_ref().filter(|_| entry.final_at.is_none())?;
        if &*challenge.kind != HTTP_01 {
            return None;
        }
        Some(Presented {
            order: end.lease.order,
            token: challenge.token.as_ref().into(),
            key_authorization: challenge.key_authorization.as_ref().into(),
        })
    })
}

fn refused(end: &StepEnd, reason: &StoreError) -> CommitError {
    let order = end.lease.order;
    error!(
        event = "commit.refused",
        order.id = %order,
        order.stage = end.order.stage.as_str(),
        error = reason as &dyn std::error::Error,
        "Order {order}: the database refuses the end of a step"
    );
    CommitError::Refused { order }
}
