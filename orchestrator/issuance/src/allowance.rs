//! How much an account may still order: for whoever decides how many to bring before the gate.

use crate::admission::Budget;
use crate::gcra::{Bucket, Decision};
use crate::time::Timestamp;

/// What an account may still order, as the gate left it. Other replicas may have taken of it since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// `None`: the CA does not count new orders.
    new_orders: Option<(Bucket, Timestamp)>,
    /// No new-order before this instant.
    held_until: Timestamp,
}

impl Allowance {
    /// Of what is left.
    pub fn of(budget: &Budget) -> Self {
        Self { new_orders: budget.new_orders, held_until: budget.held_until }
    }

    /// Nothing is known against anything.
    pub const UNKNOWN: Self = Self { new_orders: None, held_until: Timestamp::EPOCH };

    /// New orders that the CA would count and take at `instant`, seen from `now`.
    pub fn at(&self, instant: Timestamp) -> u16 {
        if instant < self.held_until {
            return 0;
        }
        let left = self.new_orders.map(|(bucket, full_at)| bucket.remaining(full_at, instant));
        left.map_or(u16::MAX, |left| u16::try_from(left).unwrap_or(u16::MAX))
    }

    /// The instant at which there will be more than at `now`.
    pub fn more_at(&self, now: Timestamp) -> Timestamp {
        let token_at = self.new_orders.map_or(now, |(bucket, full_at)| {
            let left = bucket.remaining(full_at, now);
            match bucket.spend(full_at, left.saturating_add(1), now) {
                Decision::Granted { .. } => now,
                Decision::Denied { retry_at } => retry_at,
            }
        });
        token_at.max(self.held_until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

    #[test]
    fn tokens_are_foreseen_to_the_instant() {
        assert_eq!(Allowance::UNKNOWN.at(NOW), u16::MAX);
        let bucket = Bucket::new(300, 300, Duration::from_hours(3)).expect("a bucket");
        let empty = NOW.after(bucket.horizon());
        let budget = Budget {
            pending_max: 1,
            pending: 0,
            new_orders: Some((bucket, empty)),
            held_until: Timestamp::EPOCH,
        };
        let allowance = Allowance::of(&budget);
        assert_eq!(allowance.at(NOW), 0);
        let first = NOW.after(Duration::from_secs(36));
        assert_eq!(allowance.more_at(NOW), first);
        assert_eq!((allowance.at(first), allowance.more_at(first)), (1, NOW.after(Duration::from_secs(72))));
        let held = Allowance::of(&Budget { held_until: NOW.after(Duration::from_hours(1)), ..budget });
        assert_eq!((held.at(first), held.more_at(NOW)), (0, NOW.after(Duration::from_hours(1))));
    }
}
