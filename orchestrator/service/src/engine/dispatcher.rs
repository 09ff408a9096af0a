//! Claims as much as there are seats for, and hands each order to an attempt of its own.
//!
//! Woken by whoever made something due, by attempts that end, and by the earliest instant it knows of;
//! looks at the database at its poll interval for what it was not told.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use issuance::time::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use crate::store::StoreError;
use crate::store::leases::{Claim, Claimed};

use super::executor::{AttemptEnd, Executor};
use super::{EngineParts, EngineSettings};

/// Orders taken up by one claim, at the most.
const CLAIM_MAX: usize = 64;
/// An order whose names are proven waits this long for a place at the CA before it goes back to the queue.
const SEAT_WAIT: Duration = Duration::from_secs(2);
/// With no room at the gate, somebody else's release is noticed this late.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(100);

/// A place among those at work. Dropping it frees the place, also on panic or cancellation.
#[derive(Debug)]
pub(super) struct Seat {
    proving: Option<OwnedSemaphorePermit>,
    at_the_ca: Option<OwnedSemaphorePermit>,
    permits: Arc<Semaphore>,
}

impl Seat {
    /// Changes a prover's place for one of the bounded places at the CA; false if none became free in time.
    pub(super) async fn reach_the_ca(&mut self) -> bool {
        if self.at_the_ca.is_some() {
            return true;
        }
        let waiting = tokio::time::timeout(SEAT_WAIT, Arc::clone(&self.permits).acquire_owned()).await;
        let Ok(Ok(permit)) = waiting else { return false };
        self.at_the_ca = Some(permit);
        self.proving = None;
        true
    }
}

#[derive(Debug)]
pub(super) struct Dispatcher {
    parts: EngineParts,
    settings: EngineSettings,
    executor: Arc<Executor>,
    workers: TaskTracker,
    stop: CancellationToken,
    permits: Arc<Semaphore>,
    proving: Arc<Semaphore>,
    ends: mpsc::UnboundedReceiver<AttemptEnd>,
    ended: mpsc::UnboundedSender<AttemptEnd>,
    /// Instants at which this process knows an order to be due.
    due: BinaryHeap<Reverse<Timestamp>>,
    /// The gate was full; new work is not claimed before.
    no_room_until: Option<tokio::time::Instant>,
}

impl Dispatcher {
    pub(super) fn new(
        parts: EngineParts,
        settings: EngineSettings,
        executor: Arc<Executor>,
        workers: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (ended, ends) = mpsc::unbounded_channel();
        Self {
            parts,
            settings,
            executor,
            workers,
            stop,
            permits: Arc::new(Semaphore::new(usize::from(settings.permits))),
            proving: Arc::new(Semaphore::new(usize::from(settings.proving))),
            ends,
            ended,
            due: BinaryHeap::new(),
            no_room_until: None,
        }
    }

    pub(super) async fn run(mut self) {
        while !self.stop.is_cancelled() {
            // Registered before the claim, so that what becomes due in between still wakes us.
            let wake = Arc::clone(&self.parts.wake);
            let woken = wake.notified();
            let full = match self.claim().await {
                Ok(full) => full,
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "Nothing could be claimed");
                    false
                }
            };
            if full {
                continue;
            }
            let pause = self.pause();
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep(pause) => {}
                Some(end) = self.ends.recv() => self.note(end),
                () = self.stop.cancelled() => {}
            }
            while let Ok(end) = self.ends.try_recv() {
                self.note(end);
            }
        }
    }

    fn note(&mut self, end: AttemptEnd) {
        match end {
            AttemptEnd::Due(at) => self.due.push(Reverse(at)),
            AttemptEnd::NoRoom(at) => {
                self.due.push(Reverse(at));
                self.no_room_until = Some(tokio::time::Instant::now() + NO_ROOM_PAUSE);
            }
            AttemptEnd::Rests => self.no_room_until = None,
            AttemptEnd::Lost => {}
        }
    }

    /// How long until something is known to be due, the poll interval at the most.
    fn pause(&mut self) -> Duration {
        let now = self.parts.clock.now();
        while self.due.peek().is_some_and(|Reverse(at)| *at <= now) {
            // It was due already when the claim above was made, or its seat is not free yet.
            self.due.pop();
        }
        let known = self.due.peek().map_or(self.settings.poll_interval, |Reverse(at)| now.until(*at));
        let room = self.no_room_until.map_or(Duration::MAX, |at| {
            at.saturating_duration_since(tokio::time::Instant::now()).max(Duration::from_millis(1))
        });
        known.min(room).min(self.settings.poll_interval)
    }

    /// Claims for the seats that are free. True if there may be more.
    async fn claim(&mut self) -> Result<bool, StoreError> {
        let in_flight = self.claim_in_flight().await?;
        if self.no_room_until.is_some_and(|until| tokio::time::Instant::now() < until) {
            return Ok(in_flight);
        }
        self.no_room_until = None;
        let proven = self.claim_proven().await?;
        let unproven = self.claim_unproven().await?;
        Ok(in_flight || proven || unproven)
    }

    async fn claim_in_flight(&mut self) -> Result<bool, StoreError> {
        let seats = free_seats(&self.permits);
        if seats == 0 {
            return Ok(false);
        }
        let (store, now) = (&self.parts.store, self.parts.clock.now());
        let claimed = store.claim_in_flight(self.parts.replica, now, self.settings.lease, seats).await?;
        Ok(self.start(claimed, seats, false))
    }

    async fn claim_proven(&mut self) -> Result<bool, StoreError> {
        let seats = free_seats(&self.permits);
        if seats == 0 {
            return Ok(false);
        }
        let (store, now) = (&self.parts.store, self.parts.clock.now());
        let claimed = store.claim_proven(self.parts.replica, now, self.settings.lease, seats).await?;
        Ok(self.start(claimed, seats, false))
    }

    async fn claim_unproven(&mut self) -> Result<bool, StoreError> {
        let seats = free_seats(&self.proving);
        if seats == 0 {
            return Ok(false);
        }
        let (store, now) = (&self.parts.store, self.parts.clock.now());
        let claimed = store.claim_unproven(self.parts.replica, now, self.settings.lease, seats).await?;
        Ok(self.start(claimed, seats, true))
    }

    /// Starts an attempt for each claim. True if every seat asked for was filled.
    fn start(&mut self, claimed: Claimed, seats: u16, proving: bool) -> bool {
        for unreadable in &claimed.unreadable {
            error!(error = unreadable as &dyn std::error::Error, "An order cannot be read; it is left alone");
        }
        let count = claimed.claims.len() + claimed.unreadable.len();
        for claim in claimed.claims {
            self.start_one(claim, proving);
        }
        count >= usize::from(seats)
    }

    fn start_one(&mut self, claim: Claim, proving: bool) {
        let permits = Arc::clone(&self.permits);
        let pool = if proving { &self.proving } else { &self.permits };
        let permit = Arc::clone(pool).try_acquire_owned().ok();
        let seat = if proving {
            Seat { proving: permit, at_the_ca: None, permits }
        } else {
            Seat { proving: None, at_the_ca: permit, permits }
        };
        let (executor, ended) = (Arc::clone(&self.executor), self.ended.clone());
        self.workers.spawn(async move {
            let end = executor.attempt(claim, seat).await;
            if ended.send(end).is_err() {
                // The dispatcher is gone during a shutdown; nobody plans claims then.
            }
        });
    }
}

fn free_seats(semaphore: &Semaphore) -> u16 {
    u16::try_from(semaphore.available_permits().min(CLAIM_MAX)).unwrap_or(u16::MAX)
}
