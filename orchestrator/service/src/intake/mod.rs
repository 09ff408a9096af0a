//! Works imports off: claims one that is due, does a few bounded transactions of it, and gives it back, so that a small
//! import never waits for the end of a large one.
//!
//! Runs on every replica that serves the API or works on orders. Whoever has made something due rings the bell; what
//! nobody rings for, such as the import of a replica that has died, is found by looking.

mod instruments;

use std::sync::Arc;
use std::time::Duration;

use issuance::time::Clock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error, info, info_span, warn};

use crate::clock::Pace;
use crate::store::imports::job::{self, Job, Next};
use crate::store::leases::Replica;
use crate::store::{Store, StoreError};

use self::instruments::Instruments;

/// Transactions of one import before another one gets its turn.
const SLICE: u32 = 8;
/// After the database did not answer.
const AWAY: Duration = Duration::from_secs(2);

/// What works imports off.
#[derive(Debug)]
pub struct Intake {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub pace: Pace,
    /// Whose leases they are.
    pub replica: Replica,
    /// Rung when there is something to do.
    pub bell: Arc<Notify>,
    /// Rung for the engine, when orders were made due.
    pub wake: Arc<Notify>,
}

impl Intake {
    /// Until it is asked to stop; what is under way then comes to the end of its transaction, and is due again.
    pub async fn run(self, look_every: Duration, stop: CancellationToken) {
        let instruments = Instruments::register();
        if let Err(error) = job::take_up_own(&self.store, self.replica, self.clock.now()).await {
            warn!(
                event = "imports.wait",
                error = &error as &dyn std::error::Error,
                "Imports of the last run wait for their leases to end"
            );
        }
        let mut wait = Duration::ZERO;
        loop {
            let _at_work = tokio::select! {
                at_work = self.pace.wait(wait) => Some(at_work),
                () = self.bell.notified() => None,
                () = stop.cancelled() => return,
            };
            wait = match self.work_off(&instruments, &stop).await {
                Ok(()) => look_every,
                Err(error) => {
                    warn!(
                        event = "imports.stand_still",
                        error = &error as &dyn std::error::Error,
                        "Imports stand still: {error}"
                    );
                    AWAY
                }
            };
        }
    }

    /// Does everything that is due. For whoever drives the clock himself.
    pub async fn work_off_now(&self) -> Result<(), StoreError> {
        self.work_off(&Instruments::register(), &CancellationToken::new()).await
    }

    async fn work_off(&self, instruments: &Instruments, stop: &CancellationToken) -> Result<(), StoreError> {
        while !stop.is_cancelled() {
            let now = self.clock.now();
            instruments.counted(&job::standing(&self.store, now).await?);
            let Some(mut job) = job::claim(&self.store, self.replica, now).await? else { return Ok(()) };
            let span = info_span!("intake.slice", import.id = %job.id, import.status = job.status);
            self.slice(&mut job, stop).instrument(span).await?;
        }
        Ok(())
    }

    async fn slice(&self, job: &mut Job, stop: &CancellationToken) -> Result<(), StoreError> {
        for _ in 0..SLICE {
            let before = job.status.clone();
            let started = tokio::time::Instant::now();
            let advanced = job::advance(&self.store, self.clock.now(), job).await;
            match advanced {
                Ok(advance) => {
                    Instruments::advanced(&before, advance.rows, started.elapsed());
                    if advance.orders > 0 {
                        self.wake.notify_one();
                    }
                    if before != job.status {
                        info!(event = "import.moved", import.id = %job.id, "Import {} is {} now", job.id, job.status);
                        Instruments::became(&job.status);
                    }
                    if advance.next != Next::On {
                        return Ok(());
                    }
                }
                // The lease ends by itself, and somebody goes on.
                Err(away) if away.is_unavailable() => return Err(away),
                Err(error) => return self.stumble(job, &error).await,
            }
            if stop.is_cancelled() {
                break;
            }
            // Whoever waits for a turn in this process has it.
            tokio::task::yield_now().await;
        }
        job::give_back(&self.store, self.clock.now(), job).await
    }

    async fn stumble(&self, job: &Job, why: &StoreError) -> Result<(), StoreError> {
        error!(
            event = "import.batch_failed",
            import.id = %job.id,
            error = why as &dyn std::error::Error,
            cause = std::error::Error::source(why).map(tracing::field::display),
            "A batch of import {} came to nothing",
            job.id
        );
        if job::stumble(&self.store, self.clock.now(), job).await? {
            Instruments::became("failed");
        }
        Ok(())
    }
}
