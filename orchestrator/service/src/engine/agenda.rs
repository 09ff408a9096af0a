//! When a queue is worth a look: what this process knows to be due there, and how long it has not looked.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use issuance::order::{Order, Stage};
use issuance::time::Timestamp;
use tokio::time::Instant;

/// One of the queues that claims are made from. An order is in one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// On their way at the CA.
    InFlight,
    /// Proven at home, waiting for the gate.
    Proven,
    /// To be proven at home.
    Unproven,
    /// Out of line until their instant comes.
    Waiting,
}

impl Queue {
    /// Where an order is that is due at `due_at`.
    pub(super) fn of(order: &Order, due_at: Timestamp, now: Timestamp) -> Self {
        match order.stage {
            Stage::Accepted { .. } | Stage::Parked { .. } if due_at > now => Self::Waiting,
            Stage::Accepted { proven_at: Some(_) } => Self::Proven,
            Stage::Accepted { proven_at: None } | Stage::Parked { .. } => Self::Unproven,
            _ => Self::InFlight,
        }
    }
}

/// What is known of one queue.
#[derive(Debug)]
pub(super) struct Agenda {
    due: BinaryHeap<Reverse<Timestamp>>,
    /// How long the first one due is kept waiting for others, so that one claim takes them all.
    gather: Duration,
    /// The last claim took as many as it asked for, or somebody has rung.
    may_hold_more: bool,
    /// Looked at then, whatever is known: another replica may have left something.
    look_at: Instant,
}

impl Agenda {
    pub(super) fn new(gather: Duration) -> Self {
        Self { due: BinaryHeap::new(), gather, may_hold_more: true, look_at: Instant::now() }
    }

    pub(super) fn note(&mut self, due_at: Timestamp) {
        self.due.push(Reverse(due_at));
    }

    pub(super) fn ring(&mut self) {
        self.may_hold_more = true;
    }

    /// How long until a look is worth it; zero: now.
    pub(super) fn pause(&self, now: Timestamp) -> Duration {
        if self.may_hold_more {
            return Duration::ZERO;
        }
        let unconditional = self.look_at.saturating_duration_since(Instant::now());
        let known = self.due.peek().map_or(Duration::MAX, |Reverse(at)| now.until(at.after(self.gather)));
        known.min(unconditional)
    }

    /// The first instant at which something is known to be due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due.peek().map(|Reverse(at)| *at)
    }

    /// How many are known to be due at `now`; as many as there may be, where that is not known.
    pub(super) fn expected(&self, now: Timestamp) -> usize {
        if self.may_hold_more || self.look_at <= Instant::now() {
            return usize::MAX;
        }
        self.due.iter().filter(|Reverse(at)| *at <= now).count()
    }

    /// A look at `now` brought what was due then; with `filled`, not all of it.
    pub(super) fn looked(&mut self, now: Timestamp, filled: bool, again_in: Duration) {
        while self.due.peek().is_some_and(|Reverse(at)| *at <= now) {
            self.due.pop();
        }
        self.may_hold_more = filled;
        self.look_at = Instant::now() + again_in;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGAIN: Duration = Duration::from_secs(100);

    fn at(millis: u64) -> Timestamp {
        Timestamp::EPOCH.after(Duration::from_millis(millis))
    }

    fn looked_at_once(gather: Duration) -> Agenda {
        let mut agenda = Agenda::new(gather);
        agenda.looked(at(0), false, AGAIN);
        agenda
    }

    #[test]
    fn a_new_one_is_looked_at_now_and_then_not_for_a_while() {
        let mut agenda = Agenda::new(Duration::ZERO);
        assert_eq!(agenda.pause(at(0)), Duration::ZERO);
        assert_eq!(agenda.expected(at(0)), usize::MAX);
        agenda.looked(at(0), false, AGAIN);
        assert!(agenda.pause(at(0)) > AGAIN / 2);
        assert_eq!(agenda.expected(at(0)), 0);
    }

    #[test]
    fn those_due_within_a_moment_are_waited_for_and_taken_together() {
        let mut agenda = looked_at_once(Duration::from_millis(10));
        agenda.note(at(25));
        agenda.note(at(31));
        agenda.note(at(40));
        assert_eq!(agenda.pause(at(20)), Duration::from_millis(15));
        assert_eq!(agenda.pause(at(35)), Duration::ZERO);
        assert_eq!(agenda.expected(at(35)), 2);
        agenda.looked(at(35), false, AGAIN);
        assert_eq!(agenda.pause(at(35)), Duration::from_millis(15));
    }

    #[test]
    fn a_bell_and_a_claim_that_was_filled_are_followed_by_another_look() {
        let mut agenda = looked_at_once(Duration::ZERO);
        agenda.ring();
        assert_eq!(agenda.pause(at(0)), Duration::ZERO);
        agenda.looked(at(0), true, AGAIN);
        assert_eq!(agenda.pause(at(0)), Duration::ZERO);
        agenda.looked(at(0), false, AGAIN);
        assert!(agenda.pause(at(0)) > Duration::ZERO);
    }
}
