//! One way in which it may come: from event to event, with the arithmetic that the gate itself uses.
//!
//! Nothing happens between two events, so none of the time between them is stepped through: an order is looked at once,
//! and once more for each time that a bucket of its own sends it away until an instant.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use super::books::{Books, Entry, Lines};
use super::chance::{Chance, Fate};
use super::constraint::Constraint;
use super::question::Readiness;
use super::waits::Waits;
use crate::admission::{new_orders_kept, pending_kept};
use crate::exemption::{Exemption, Exemptions};
use crate::fairness::{Lane, Turns};
use crate::gcra::{Bucket, Decision};
use crate::limit::LimitName;
use crate::mirror::Meter;
use crate::time::Timestamp;

/// What is otherwise than the books say.
#[derive(Debug, Clone, Default)]
pub(super) struct Trial {
    /// These hold nobody up.
    pub(super) lifted: Vec<Constraint>,
    /// Another bucket of new orders.
    pub(super) new_orders: Option<Bucket>,
    /// Other buckets, by their places in [`Books::scarce`].
    pub(super) scarce: HashMap<u32, Bucket>,
}

/// A certificate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Issue {
    /// Its place in [`Books::entries`].
    pub(super) order: u32,
    pub(super) at: Timestamp,
    /// What it waited for longest.
    pub(super) binding: Option<Constraint>,
    /// It took a new-order token.
    pub(super) charged: bool,
    /// For all of its names.
    pub(super) whole: bool,
}

/// Plays it through, and tells each certificate when its order is admitted: not in the order of the certificates.
pub(super) fn run(books: &Books<'_>, chance: Chance, trial: &Trial, tell: impl FnMut(Issue)) {
    let mut run = Run::new(books, chance, trial, tell);
    run.hold();
    while run.step() {}
}

/// Lane by lane: a place in the line, and who has it.
type Place = Reverse<(i64, u32, u32)>;

#[derive(Debug, Default)]
struct Queue {
    counted: BinaryHeap<Place>,
    exempt: BinaryHeap<Place>,
}

/// An order in hand.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    at: Timestamp,
    /// `u32::MAX`: what was in hand at the beginning.
    order: u32,
    units: u32,
    issues: bool,
    /// The CA counts its registered domains.
    counts_domains: bool,
}

struct Run<'a, T> {
    books: &'a Books<'a>,
    chance: Chance,
    tell: T,
    lifted: [bool; Constraint::ALL.len()],
    now: Timestamp,
    queues: [Queue; 4],
    in_line: usize,
    /// Those who wait for an instant of their own.
    away: BinaryHeap<Reverse<(Timestamp, u32)>>,
    flights: BinaryHeap<Reverse<Flight>>,
    meters: Vec<Meter>,
    new_orders: Option<(Bucket, Timestamp)>,
    pending: u32,
    /// Between two orders that begin, when all hands are full.
    gap: Duration,
    hand_free_at: Timestamp,
    turns: Turns,
    clocks: [i64; 4],
    /// Where those line up who come back.
    lines: Lines,
    waits: Waits,
}

impl<'a, T: FnMut(Issue)> Run<'a, T> {
    fn new(books: &'a Books<'a>, chance: Chance, trial: &Trial, tell: T) -> Self {
        let question = &books.question;
        let mut lifted = [false; Constraint::ALL.len()];
        for constraint in &trial.lifted {
            lifted[*constraint as usize] = true;
        }
        let is_lifted = |constraint: Constraint| lifted[constraint as usize];
        let new_orders = books.new_orders.filter(|_| !is_lifted(Constraint::NewOrdersPerAccount));
        let mut meters: Vec<Meter> = books.scarce.iter().map(|scarce| scarce.meter).collect();
        for (place, bucket) in &trial.scarce {
            meters[*place as usize].bucket = *bucket;
        }
        let gap = question.capacity.order / question.capacity.workers.max(1);
        let gap = if is_lifted(Constraint::Workers) {
            Duration::ZERO
        } else {
            gap.mul_f64(chance.capacity_factor())
        };
        let mut run = Self {
            books,
            chance,
            tell,
            lifted,
            now: question.now,
            queues: Default::default(),
            in_line: 0,
            away: BinaryHeap::new(),
            flights: BinaryHeap::new(),
            meters,
            new_orders: new_orders.map(|(bucket, full_at)| (trial.new_orders.unwrap_or(bucket), full_at)),
            pending: question.capacity.pending,
            gap,
            hand_free_at: question.now,
            turns: Turns::default(),
            clocks: [0; 4],
            lines: Lines::new(question, books.tenants),
            waits: Waits::default(),
        };
        if run.pending > 0 {
            run.flights.push(Reverse(Flight {
                at: question.now.after(question.capacity.order),
                order: u32::MAX,
                units: run.pending,
                issues: false,
                counts_domains: false,
            }));
        }
        run.line_up();
        run
    }

    fn line_up(&mut self) {
        let mut places: [[Vec<Place>; 2]; 4] = Default::default();
        for (order, entry) in (0_u32..).zip(&self.books.entries) {
            if self.fate(order, entry) == Fate::Parked {
                continue;
            }
            let exempt = self.exemptions(order, entry).at(self.now).is_some();
            let place = Reverse((entry.tag, self.chance.tie(entry.tenant), order));
            places[entry.lane as usize][usize::from(exempt)].push(place);
            self.in_line += 1;
        }
        self.queues =
            places.map(|[counted, exempt]| Queue { counted: counted.into(), exempt: exempt.into() });
    }

    fn fate(&self, order: u32, entry: &Entry) -> Fate {
        match entry.readiness {
            Readiness::Good => Fate::Issued,
            Readiness::GoodInPart => Fate::IssuedInPart,
            Readiness::Broken => Fate::Parked,
            Readiness::Unknown => self.chance.fate(order, entry.units),
        }
    }

    /// A part of its names is another set, which replaces nothing.
    fn exemptions(&self, order: u32, entry: &Entry) -> Exemptions {
        if entry.exemptions != Exemptions::NONE && self.fate(order, entry) == Fate::IssuedInPart {
            Exemptions::NONE
        } else {
            entry.exemptions
        }
    }

    /// Where the CA has told the account to wait.
    fn hold(&mut self) {
        let held_until = self.books.question.held_until;
        if held_until > self.now && !self.is_lifted(Constraint::AccountHeld) {
            self.pass_to(held_until, Constraint::AccountHeld, Constraint::AccountHeld);
        }
    }

    fn is_lifted(&self, constraint: Constraint) -> bool {
        self.lifted[constraint as usize]
    }

    /// The next event; false if there is none.
    fn step(&mut self) -> bool {
        self.land();
        self.bring_back();
        if self.in_line == 0 {
            let Some(Reverse((due, _))) = self.away.peek() else { return false };
            let due = *due;
            self.pass_to(due, Constraint::Workers, Constraint::Workers);
            return true;
        }
        if self.hand_free_at > self.now {
            let tokens = self.token_at().is_none_or(|at| at <= self.now);
            let counted = if tokens { Constraint::Workers } else { Constraint::NewOrdersPerAccount };
            self.pass_to(self.hand_free_at, counted, Constraint::Workers);
            return true;
        }
        let Some((lane, exempt)) = self.first_in_line(&self.turns.lanes()) else {
            let coming = self.away.peek().map(|Reverse((due, _))| *due);
            let Some(next) = coming.into_iter().chain(self.token_at()).min() else { return false };
            self.pass_to(next, Constraint::NewOrdersPerAccount, Constraint::Workers);
            return true;
        };
        if lane == Lane::Bulk && self.lacks_room(lane, exempt) {
            // Bulk work that is too large holds up nobody else.
            let others = self.turns.lanes().into_iter().filter(|lane| *lane != Lane::Bulk);
            if let Some((lane, exempt)) = self.first_in_line(&others.collect::<Vec<_>>()) {
                self.ask(lane, exempt);
                return true;
            }
        }
        self.ask(lane, exempt);
        true
    }

    fn pass_to(&mut self, next: Timestamp, counted: Constraint, exempt: Constraint) {
        self.waits.pass(self.now, next, counted, exempt);
        self.now = self.now.max(next);
    }

    /// When the first of those in line whom the CA counts may have a token; `None` if there is none of them.
    fn token_at(&self) -> Option<Timestamp> {
        let lanes = Lane::ALL.into_iter().filter(|lane| !self.queues[*lane as usize].counted.is_empty());
        lanes.map(|lane| self.token_for(lane)).min()
    }

    fn token_for(&self, lane: Lane) -> Timestamp {
        let Some((bucket, full_at)) = self.new_orders else { return self.now };
        let kept = if lane == Lane::Bulk { new_orders_kept(&bucket) } else { 0 };
        match bucket.spend(full_at, 1 + kept, self.now) {
            Decision::Granted { .. } => self.now,
            Decision::Denied { retry_at } => retry_at,
        }
    }

    /// Ends what has been in hand until now.
    fn land(&mut self) {
        while self.flights.peek().is_some_and(|Reverse(flight)| flight.at <= self.now) {
            let Some(Reverse(flight)) = self.flights.pop() else { return };
            self.pending -= flight.units;
            let Some(entry) = self.books.entries.get(flight.order as usize) else { continue };
            for place in self.books.needs(entry) {
                if !flight.counts_domains && self.is_domain(*place) {
                    continue;
                }
                let meter = &mut self.meters[*place as usize];
                meter.reserved -= 1;
                if flight.issues {
                    meter.full_at = meter.full_at.max(flight.at).after(meter.bucket.refill());
                }
            }
        }
    }

    fn bring_back(&mut self) {
        while self.away.peek().is_some_and(|Reverse((due, _))| *due <= self.now) {
            let Some(Reverse((due, order))) = self.away.pop() else { return };
            let entry = &self.books.entries[order as usize];
            let tag = self.lines.join_behind(entry.lane, entry.tenant, self.clocks[entry.lane as usize]);
            // It came back when it was due, though nothing has happened until now.
            let exempt = self.exemptions(order, entry).at(due).is_some();
            self.waits.rejoin(order, exempt);
            self.push(entry.lane, exempt, Reverse((tag, self.chance.tie(entry.tenant), order)));
        }
    }

    fn push(&mut self, lane: Lane, exempt: bool, place: Place) {
        self.queue(lane, exempt).push(place);
        self.in_line += 1;
    }

    fn queue(&mut self, lane: Lane, exempt: bool) -> &mut BinaryHeap<Place> {
        let queue = &mut self.queues[lane as usize];
        if exempt { &mut queue.exempt } else { &mut queue.counted }
    }

    /// Whose turn it is: the lane, and which of its two lines. Without a token only those are asked whom the CA does not
    /// count.
    fn first_in_line(&self, lanes: &[Lane]) -> Option<(Lane, bool)> {
        lanes.iter().find_map(|lane| {
            let queue = &self.queues[*lane as usize];
            let token = !queue.counted.is_empty() && self.token_for(*lane) <= self.now;
            let counted = queue.counted.peek().filter(|_| token).map(|place| (place.0, false));
            let exempt = queue.exempt.peek().map(|place| (place.0, true));
            let first = counted.into_iter().chain(exempt).min()?;
            Some((*lane, first.1))
        })
    }

    /// Whether the first of that line has to wait for room.
    fn lacks_room(&self, lane: Lane, exempt: bool) -> bool {
        let queue = &self.queues[lane as usize];
        let first = if exempt { queue.exempt.peek() } else { queue.counted.peek() };
        let units = first.map_or(0, |place| self.books.entries[place.0.2 as usize].units);
        let most = self.pending_max(lane);
        !self.is_lifted(Constraint::PendingAuthorizations) && units <= most && self.pending + units > most
    }

    /// Authorizations that may be pending with one more order of that lane.
    fn pending_max(&self, lane: Lane) -> u32 {
        let most = self.books.question.capacity.pending_max;
        if lane == Lane::Bulk { most - pending_kept(most) } else { most }
    }

    /// The gate.
    fn ask(&mut self, lane: Lane, exempt: bool) {
        let Some(&Reverse((tag, tie, order))) = self.queue(lane, exempt).peek() else { return };
        let books = self.books;
        let entry = &books.entries[order as usize];
        let exemption = self.exemptions(order, entry).at(self.now);
        let capped = !self.is_lifted(Constraint::PendingAuthorizations);
        if exempt && exemption.is_none() {
            // Its exemption ran out in line.
            self.leave(lane, exempt);
            self.waits.leave(order, exempt, Duration::ZERO, Constraint::Workers);
            self.waits.rejoin(order, false);
            self.push(lane, false, Reverse((tag, tie, order)));
        } else if capped && entry.units > self.pending_max(lane) {
            // There will never be room.
            self.leave(lane, exempt);
        } else if self.lacks_room(lane, exempt) {
            self.await_room(self.exemptions(order, entry).over_at(self.now).filter(|_| exempt));
        } else if let Some((until, constraint)) = self.refusal(entry, exemption) {
            self.leave(lane, exempt);
            let until = until.after(self.chance.jitter(self.now.until(until), order));
            self.waits.leave(order, exempt, self.now.until(until), constraint);
            self.away.push(Reverse((until, order)));
        } else {
            self.leave(lane, exempt);
            self.clocks[lane as usize] = self.clocks[lane as usize].max(tag);
            self.turns.served([lane]);
            self.admit(order, entry, exemption, exempt);
        }
    }

    /// Until somebody makes room, or somebody comes who goes before and may need less, or the one that needs it has
    /// ceased to be exempt and stands elsewhere.
    fn await_room(&mut self, ceases_at: Option<Timestamp>) {
        let landing = self.flights.peek().map(|Reverse(flight)| flight.at);
        let coming = self.away.peek().map(|Reverse((due, _))| *due);
        let token = self.token_at().filter(|at| *at > self.now);
        let Some(next) = landing.into_iter().chain(coming).chain(token).chain(ceases_at).min() else {
            return;
        };
        let constraint = Constraint::PendingAuthorizations;
        self.pass_to(next, constraint, constraint);
    }

    fn leave(&mut self, lane: Lane, exempt: bool) {
        self.queue(lane, exempt).pop();
        self.in_line -= 1;
    }

    /// Which of its own buckets sends the order away, and until when.
    fn refusal(&mut self, entry: &Entry, exemption: Option<Exemption>) -> Option<(Timestamp, Constraint)> {
        if exemption == Some(Exemption::RenewalInfo) {
            return None;
        }
        let rests = entry.rested_at.filter(|at| *at > self.now);
        let rests = rests.filter(|_| !self.is_lifted(Constraint::FailedAuthorizationsPerHostname));
        let mut longest = rests.map(|at| (at, Constraint::FailedAuthorizationsPerHostname, None));
        for place in self.books.needs(entry) {
            let Some(constraint) = Constraint::of(self.books.scarce[*place as usize].limit) else { continue };
            if self.is_lifted(constraint) || (exemption.is_some() && self.is_domain(*place)) {
                continue;
            }
            if let Err(retry_at) = self.meters[*place as usize].check(1, self.now) {
                longest = longest.max(Some((retry_at, constraint, Some(*place))));
            }
        }
        // Only the one that takes longest promises a token, as at the gate.
        longest.map(|(retry_at, constraint, place)| {
            let promised = place.map(|place| self.meters[place as usize].promise(retry_at));
            (promised.unwrap_or(retry_at), constraint)
        })
    }

    fn admit(&mut self, order: u32, entry: &Entry, exemption: Option<Exemption>, exempt: bool) {
        let charged = exemption.is_none();
        if charged
            && let Some((bucket, full_at)) = &mut self.new_orders
            && let Decision::Granted { full_at: after } = bucket.spend(*full_at, 1, self.now)
        {
            *full_at = after;
        }
        let set_until = self.exemptions(order, entry).set_until;
        let knows_set = set_until.is_some_and(|until| self.now < until);
        let counts_domains = exemption != Some(Exemption::ExactSet) && !knows_set;
        for place in self.books.needs(entry) {
            if counts_domains || !self.is_domain(*place) {
                self.meters[*place as usize].reserved += 1;
            }
        }
        self.pending += entry.units;
        self.hand_free_at = self.now.after(self.gap);
        let at = self.now.after(self.chance.service(self.books.question.capacity.order, order));
        let fate = self.fate(order, entry);
        let issues = matches!(fate, Fate::Issued | Fate::IssuedInPart);
        self.flights.push(Reverse(Flight { at, order, units: entry.units, issues, counts_domains }));
        if issues {
            let binding = self.waits.longest(order, exempt);
            (self.tell)(Issue { order, at, binding, charged, whole: fate == Fate::Issued });
        }
    }

    fn is_domain(&self, place: u32) -> bool {
        self.books.scarce[place as usize].limit == LimitName::CertificatesPerRegisteredDomain
    }
}
