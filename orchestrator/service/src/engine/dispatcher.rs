//! Claims as much as there are seats for and the gate will let through, and hands each order to an attempt of its own.
//!
//! Woken by whoever made something due, by attempts that end, and by the earliest instant it knows of;
//! looks at the database at its poll interval for what it was not told.

use std::sync::Arc;
use std::time::Duration;

use issuance::fairness::{Lane, Turns};
use issuance::time::Timestamp;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use crate::clock::Looker;
use crate::store::StoreError;
use crate::store::leases::{Claim, Claimed, InLine, Stand};

use super::agenda::{Agenda, Queue};
use super::executor::{AttemptEnd, Executor};
use super::gate::Sight;
use super::seat::{Seat, Waiters, Waiting};
use super::{EngineParts, EngineSettings};

/// Orders taken up by one claim, at the most.
const CLAIM_MAX: usize = 64;
/// Orders lined up by one look at those that wait, at the most.
const LINE_UP_MAX: u16 = 512;
/// Orders that wait for the CA hold no seat, so those due within this are taken up together.
const GATHER: Duration = Duration::from_millis(10);
/// While others wait for a place at the CA, provers are called by as many at a time as this part of all.
const PROVERS_CALLED: usize = 4;
/// With no room at the gate, somebody else's release is noticed this late.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(100);
/// Names are proven for what the gate will let through within this: a proof is good for ten minutes only.
const PROVEN_AHEAD: Duration = Duration::from_mins(1);
/// And for a few more, since some names will not be ready.
const PROVEN_SPARE: u16 = 4;
/// However much the gate would let through: as many times the provers may stand before it. What is proven long before
/// its turn is proven again.
const PROVEN_STOCK: u16 = 8;
/// When the stock is looked at again.
const STOCK_PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Dispatcher {
    parts: EngineParts,
    settings: EngineSettings,
    executor: Arc<Executor>,
    sight: Sight,
    workers: TaskTracker,
    stop: CancellationToken,
    permits: Arc<Semaphore>,
    proving: Arc<Semaphore>,
    ends: mpsc::UnboundedReceiver<AttemptEnd>,
    ended: mpsc::UnboundedSender<AttemptEnd>,
    comers: mpsc::UnboundedReceiver<Waiting>,
    door: mpsc::UnboundedSender<Waiting>,
    waiters: Waiters,
    turns: Turns,
    looker: Looker,
    in_flight: Agenda,
    proven: Agenda,
    unproven: Agenda,
    waiting: Agenda,
    /// The gate was full; new work is not claimed before.
    no_room_until: Option<tokio::time::Instant>,
    /// The last one at the gate found no room: one at a time tries, until somebody gets through.
    cramped: bool,
    /// What is left is kept for other lanes until then.
    bulk_closed_until: Timestamp,
}

/// How many of a line are worth a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// So many.
    Any(u16),
    /// So many, and none that the CA counts: the gate would refuse it.
    Exempt(u16),
}

impl Dispatcher {
    pub(super) fn new(
        parts: EngineParts,
        settings: EngineSettings,
        executor: Arc<Executor>,
        sight: Sight,
        workers: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (ended, ends) = mpsc::unbounded_channel();
        let (door, comers) = mpsc::unbounded_channel();
        Self {
            looker: parts.pace.looker(&parts.wake),
            parts,
            settings,
            executor,
            sight,
            workers,
            stop,
            permits: Arc::new(Semaphore::new(usize::from(settings.permits))),
            proving: Arc::new(Semaphore::new(usize::from(settings.proving))),
            ends,
            ended,
            comers,
            door,
            waiters: Waiters::default(),
            turns: Turns::default(),
            in_flight: Agenda::new(GATHER),
            proven: Agenda::new(Duration::ZERO),
            unproven: Agenda::new(Duration::ZERO),
            waiting: Agenda::new(Duration::ZERO),
            no_room_until: None,
            cramped: false,
            bulk_closed_until: Timestamp::EPOCH,
        }
    }

    pub(super) async fn run(mut self) {
        let wake = Arc::clone(&self.parts.wake);
        while !self.stop.is_cancelled() {
            let look = self.looker.look();
            let pause = match self.claim().await {
                Ok(()) => self.pause(),
                Err(error) => {
                    warn!(
                        event = "claim.failed",
                        error = &error as &dyn std::error::Error,
                        "Nothing could be claimed"
                    );
                    self.settings.poll_interval
                }
            };
            // A line that waits for the gate is no work before the gate opens.
            self.looker.waits_until([self.proven.next(), self.unproven.next()].into_iter().flatten().min());
            drop(look);
            if !pause.is_zero() {
                tokio::select! {
                    // Rung while nobody listened, it is heard here at once.
                    () = wake.notified() => self.ring(),
                    () = tokio::time::sleep(pause) => {}
                    Some(end) = self.ends.recv() => self.note(end),
                    Some(waiting) = self.comers.recv() => self.waiters.push(waiting),
                    () = self.stop.cancelled() => {}
                }
            }
            while let Ok(end) = self.ends.try_recv() {
                self.note(end);
            }
            while let Ok(waiting) = self.comers.try_recv() {
                self.waiters.push(waiting);
            }
        }
    }

    fn ring(&mut self) {
        self.waiting.ring();
        self.in_flight.ring();
        self.proven.ring();
        self.unproven.ring();
    }

    fn note(&mut self, end: AttemptEnd) {
        match end {
            AttemptEnd::Due(Queue::InFlight, at) => {
                self.in_flight.note(at);
                self.cramped = false;
            }
            AttemptEnd::Due(Queue::Waiting, at) => {
                self.waiting.note(at);
                // The names of it that are ready may have been given an order of their own.
                self.proven.ring();
                self.unproven.ring();
            }
            AttemptEnd::Due(Queue::Proven, at) => self.proven.note(at),
            AttemptEnd::Due(Queue::Unproven, at) => self.unproven.note(at),
            AttemptEnd::NoRoom => {
                self.proven.ring();
                self.cramped = true;
                self.no_room_until = Some(tokio::time::Instant::now() + NO_ROOM_PAUSE);
            }
            AttemptEnd::Closed(lane, until) => {
                if lane == Lane::Bulk {
                    self.bulk_closed_until = self.bulk_closed_until.max(until);
                }
                self.proven.ring();
                self.unproven.ring();
            }
            AttemptEnd::Rests => {
                self.no_room_until = None;
                self.cramped = false;
            }
            AttemptEnd::Lost => {}
        }
    }

    /// How long until a queue is worth a look for which there are seats. A seat that is freed ends the pause.
    fn pause(&mut self) -> Duration {
        let now = self.parts.clock.now();
        let seats = free_seats(&self.permits) > 0;
        let mut pause = self.settings.poll_interval.min(self.waiting.pause(now));
        if seats {
            pause = pause.min(self.in_flight.pause(now));
        }
        if let Some(until) = self.no_room_until {
            let room = until.saturating_duration_since(tokio::time::Instant::now());
            return pause.min(room.max(Duration::from_millis(1)));
        }
        if seats {
            pause = pause.min(self.proven.pause(now));
        }
        if self.provers_to_call() > 0 {
            pause = pause.min(self.unproven.pause(now));
        }
        pause
    }

    /// Fills the seats that are free. What is on its way at the CA comes first: it holds a part of the pending
    /// budget, which new work would wait for.
    async fn claim(&mut self) -> Result<(), StoreError> {
        let now = self.parts.clock.now();
        if self.waiting.pause(now).is_zero() {
            let lined_up = self.parts.store.line_up(now, LINE_UP_MAX).await?;
            self.waiting.looked(now, lined_up == LINE_UP_MAX, self.settings.poll_interval);
            if lined_up > 0 {
                self.proven.ring();
                self.unproven.ring();
            }
        }
        let expected = if self.in_flight.pause(now).is_zero() { self.in_flight.expected(now) } else { 0 };
        let kept = free_seats(&self.permits).min(u16::try_from(expected).unwrap_or(u16::MAX));
        if self.no_room_until.is_some_and(|until| until <= tokio::time::Instant::now()) {
            self.no_room_until = None;
        }
        self.seat_waiters(kept);
        if kept > 0 {
            let (store, lease) = (&self.parts.store, self.settings.lease);
            let claimed = store.claim_in_flight(self.parts.replica, now, lease, kept).await?;
            let filled = self.start(claimed, kept, false);
            self.in_flight.looked(now, filled, self.settings.poll_interval);
            self.seat_waiters(0);
        }
        if self.no_room_until.is_some() {
            return Ok(());
        }
        let seats = free_seats(&self.permits);
        if seats > 0 && self.proven.pause(now).is_zero() {
            let allowed = self.sight.allowance().at(now).min(if self.cramped { 1 } else { u16::MAX });
            let call = if allowed == 0 { Call::Exempt(seats) } else { Call::Any(seats.min(allowed)) };
            let filled = self.claim_in_line(Stand::Proven, call, false).await?;
            self.proven.looked(now, filled, self.settings.poll_interval);
            self.come_back_for_more(call, seats, filled, now, None);
        }
        let seats = self.provers_to_call();
        if seats > 0 && self.unproven.pause(now).is_zero() {
            let (call, stocked) = self.provers_worth_calling(seats).await?;
            let filled = self.claim_in_line(Stand::Unproven, call, true).await?;
            self.unproven.looked(now, filled, self.settings.poll_interval);
            self.come_back_for_more(call, seats, filled, now, stocked.then(|| now.after(STOCK_PAUSE)));
        }
        Ok(())
    }

    /// What the gate did not allow now is looked at again when it will, or at `again_at`, unless nobody is left in the line.
    fn come_back_for_more(
        &mut self,
        call: Call,
        seats: u16,
        filled: bool,
        now: Timestamp,
        again_at: Option<Timestamp>,
    ) {
        let all_have_come = !filled && matches!(call, Call::Any(_));
        if call != Call::Any(seats) && !all_have_come {
            let mut more_at = again_at.unwrap_or_else(|| self.sight.allowance().more_at(now));
            if self.cramped {
                more_at = more_at.max(now.after(NO_ROOM_PAUSE));
            }
            self.proven.note(more_at);
            self.unproven.note(more_at);
        }
        if now < self.bulk_closed_until {
            self.proven.note(self.bulk_closed_until);
            self.unproven.note(self.bulk_closed_until);
        }
    }

    /// True if every seat asked for was filled.
    async fn claim_in_line(&mut self, stand: Stand, call: Call, proving: bool) -> Result<bool, StoreError> {
        let (Call::Any(seats) | Call::Exempt(seats)) = call;
        let now = self.parts.clock.now();
        let lanes = self.turns.lanes().to_vec();
        // Whoever is to be through the gate as soon as it opens has to be proven by then.
        let opens_by = if proving { now.after(PROVEN_AHEAD) } else { now };
        let wanted = match call {
            Call::Exempt(_) => InLine { stand, lanes, only_exempt: true },
            Call::Any(_) if self.bulk_closed_until > opens_by => {
                let exempt = InLine { stand, lanes: vec![Lane::Bulk], only_exempt: true };
                self.start_in_line(exempt, seats, proving).await?;
                let lanes = lanes.into_iter().filter(|lane| *lane != Lane::Bulk).collect();
                InLine { stand, lanes, only_exempt: false }
            }
            Call::Any(_) => InLine { stand, lanes, only_exempt: false },
        };
        self.start_in_line(wanted, seats, proving).await
    }

    async fn start_in_line(&mut self, wanted: InLine, seats: u16, proving: bool) -> Result<bool, StoreError> {
        let (now, lease) = (self.parts.clock.now(), self.settings.lease);
        let claimed = self.parts.store.claim_in_line(self.parts.replica, now, lease, wanted, seats).await?;
        self.turns.served(claimed.claims.iter().map(|claim| claim.owner.lane));
        Ok(self.start(claimed, seats, proving))
    }

    /// Of `seats`, those whose orders will find the gate open while their proofs are good. Whether the gate would let
    /// through more than may stand before it: nobody says when they are fewer.
    async fn provers_worth_calling(&self, seats: u16) -> Result<(Call, bool), StoreError> {
        let now = self.parts.clock.now();
        let allowed = self.sight.allowance().foreseen(now.after(PROVEN_AHEAD));
        let at_work = self.settings.proving.saturating_sub(free_seats(&self.proving));
        let stock = self.settings.proving.saturating_mul(PROVEN_STOCK);
        let wanted = if allowed == 0 { 0 } else { allowed.saturating_add(PROVEN_SPARE).min(stock) };
        let standing = self.parts.store.proven_and_counted(wanted).await?;
        let missing = wanted.saturating_sub(standing).saturating_sub(at_work);
        if missing > 0 {
            return Ok((Call::Any(seats.min(missing)), wanted == stock));
        }
        // Enough are proven, but somebody may have come since whose turn is before theirs.
        let ahead =
            if allowed == 0 { 0 } else { self.parts.store.unproven_ahead(seats.min(PROVEN_SPARE)).await? };
        let call = if ahead == 0 { Call::Exempt(seats) } else { Call::Any(seats.min(ahead)) };
        Ok((call, wanted == stock))
    }

    /// Gives those at the door the free places at the CA, but for `kept`.
    fn seat_waiters(&mut self, kept: u16) {
        if self.no_room_until.is_some() {
            return;
        }
        while self.permits.available_permits() > usize::from(kept) && !self.waiters.is_empty() {
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { return };
            drop(self.waiters.seat(permit));
        }
    }

    /// Seats for provers that are worth a claim. Where proven orders wait anyway, a few more would only make a
    /// claim each.
    fn provers_to_call(&mut self) -> u16 {
        let seats = free_seats(&self.proving);
        let few = usize::from(seats) < usize::from(self.settings.proving).min(CLAIM_MAX) / PROVERS_CALLED;
        if few && !self.waiters.is_empty() { 0 } else { seats }
    }

    /// Starts an attempt for each claim. True if every seat asked for was filled.
    fn start(&mut self, claimed: Claimed, seats: u16, proving: bool) -> bool {
        for unreadable in &claimed.unreadable {
            error!(
                event = "order.unreadable",
                error = unreadable as &dyn std::error::Error,
                "An order cannot be read; it is left alone"
            );
        }
        let count = claimed.claims.len() + claimed.unreadable.len();
        for claim in claimed.claims {
            self.start_one(claim, proving);
        }
        count >= usize::from(seats)
    }

    fn start_one(&mut self, claim: Claim, proving: bool) {
        let door = self.door.clone();
        let seat = if proving {
            Seat::proving(Arc::clone(&self.proving).try_acquire_owned().ok(), door)
        } else {
            Seat::at_the_ca(Arc::clone(&self.permits).try_acquire_owned().ok(), door)
        };
        let (executor, ended) = (Arc::clone(&self.executor), self.ended.clone());
        let at_work = self.parts.pace.at_work();
        self.workers.spawn(async move {
            let _at_work = at_work;
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
