//! How much an account may still order: for whoever decides how many to bring before the gate.

use crate::admission::{Budget, PROOF_WAIT};
use crate::mirror::{Meter, Shortage};
use crate::time::Timestamp;

/// What an account may still order, as the gate left it. Other replicas may have taken of it since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// `None`: the CA does not count new orders.
    new_orders: Option<Meter>,
    seeks_more: bool,
    /// No new-order before this instant.
    held_until: Timestamp,
    seen_at: Timestamp,
}

impl Allowance {
    /// Of what was left at `now`.
    pub fn of(budget: &Budget, now: Timestamp) -> Self {
        let Budget { new_orders, seeks_more, held_until, .. } = *budget;
        Self { new_orders, seeks_more, held_until, seen_at: now }
    }

    /// Nothing is known against anything.
    pub const UNKNOWN: Self =
        Self { new_orders: None, seeks_more: false, held_until: Timestamp::EPOCH, seen_at: Timestamp::EPOCH };

    /// New orders that the CA would count and take at `instant`, seen from `now`.
    pub fn at(&self, instant: Timestamp) -> u16 {
        if instant < self.held_until {
            return 0;
        }
        let Some(meter) = &self.new_orders else { return u16::MAX };
        let left = match meter.left(instant) {
            // Whoever is on his way may be another replica's: that he has arrived is known at the gate.
            0 if self.may_venture(meter, instant) && (meter.reserved == 0 || self.is_old(instant)) => 1,
            left => left,
        };
        u16::try_from(left).unwrap_or(u16::MAX)
    }

    /// The instant at which there will be more than at `now`.
    pub fn more_at(&self, now: Timestamp) -> Timestamp {
        let more_at = self.new_orders.map_or(now, |meter| {
            let proof_comes = meter.reserved > 0 && !self.is_old(now);
            let is_there = meter.check(meter.left(now).saturating_add(1), now).is_ok();
            if proof_comes && (is_there || self.seeks_more) {
                return self.seen_at.after(PROOF_WAIT);
            }
            let all = Meter { proven: None, ..meter }.left(now);
            meter.check(all.saturating_add(1), now).err().unwrap_or(now)
        });
        more_at.max(self.held_until)
    }

    /// What is missing is not a token but the knowledge that it is there.
    fn may_venture(&self, meter: &Meter, now: Timestamp) -> bool {
        self.seeks_more || meter.let_one(now) == Err(Shortage::Unproven)
    }

    fn is_old(&self, now: Timestamp) -> bool {
        self.seen_at.after(PROOF_WAIT) <= now
    }

    /// As [`at`](Self::at), with all proofs there by then.
    pub fn foreseen(&self, instant: Timestamp) -> u16 {
        let all = self.new_orders.map(|meter| Meter { proven: None, ..meter });
        Self { new_orders: all, ..*self }.at(instant)
    }

    /// The CA has answered one of the new-orders on their way, and has counted it. True if others waited for that.
    pub fn count_one(&mut self, now: Timestamp) -> bool {
        let Some(mut meter) = self.new_orders else { return false };
        let waited_for = self.may_venture(&meter, now);
        meter.count_one(now);
        self.new_orders = Some(meter);
        waited_for
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::gcra::Bucket;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

    #[test]
    fn tokens_are_foreseen_to_the_instant() {
        assert_eq!(Allowance::UNKNOWN.at(NOW), u16::MAX);
        let bucket = Bucket::new(300, 300, Duration::from_hours(3)).expect("a bucket");
        let empty = NOW.after(bucket.horizon());
        let budget = Budget {
            pending_max: 1,
            pending: 0,
            new_orders: Some(Meter { full_at: empty, ..Meter::full(bucket, NOW) }),
            seeks_more: false,
            held_until: Timestamp::EPOCH,
        };
        let allowance = Allowance::of(&budget, NOW);
        assert_eq!(allowance.at(NOW), 0);
        let first = NOW.after(Duration::from_secs(36));
        assert_eq!(allowance.more_at(NOW), first);
        assert_eq!((allowance.at(first), allowance.more_at(first)), (1, NOW.after(Duration::from_secs(72))));
        let held = Allowance::of(&Budget { held_until: NOW.after(Duration::from_hours(1)), ..budget }, NOW);
        assert_eq!((held.at(first), held.more_at(NOW)), (0, NOW.after(Duration::from_hours(1))));
    }

    #[test]
    fn whoever_waits_for_a_proof_asks_again_in_a_moment() {
        let bucket = Bucket::new(300, 300, Duration::from_hours(3)).expect("a bucket");
        let meter = Meter { proven: Some(Duration::ZERO), reserved: 1, ..Meter::full(bucket, NOW) };
        let budget = Budget {
            pending_max: 1,
            pending: 0,
            new_orders: Some(meter),
            seeks_more: false,
            held_until: Timestamp::EPOCH,
        };
        let mut allowance = Allowance::of(&budget, NOW);
        let soon = NOW.after(PROOF_WAIT);
        assert_eq!((allowance.at(NOW), allowance.more_at(NOW), allowance.at(soon)), (0, soon, 1));
        assert!(allowance.count_one(NOW));
        assert_eq!(
            (allowance.at(NOW), allowance.foreseen(NOW)),
            (1, 299),
            "the proof is there, and the next one may go"
        );
        let next_token = NOW.after(bucket.refill());
        assert_eq!(allowance.more_at(NOW), next_token, "and no other before, unless an answer says so");
        let used_up = Meter { full_at: NOW.after(bucket.horizon()), reserved: 0, ..meter };
        let seeker = Budget { new_orders: Some(used_up), seeks_more: true, ..budget };
        assert_eq!(Allowance::of(&seeker, NOW).at(NOW), 1, "perhaps the CA grants more");
    }
}
