//! A budget is arithmetic on one instant.
//!
//! The generic cell rate algorithm, as Boulder's rate limits use it: a bucket is described by its burst
//! and by how long one token takes to come back, and its whole state is the *theoretical arrival time*
//! (TAT): the instant at which it will be full again. Everything else follows.

use std::time::Duration;

use crate::time::Timestamp;

/// The rule of one bucket: how many tokens it holds, and how fast they come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    burst: u32,
    refill: Duration,
}

/// What a bucket says to a request for tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Take them; the bucket's new state is `full_at`.
    Granted { full_at: Timestamp },
    /// Not yet: the same request passes at `retry_at` and not a microsecond before.
    Denied { retry_at: Timestamp },
}

impl Bucket {
    /// A bucket of `burst` tokens of which `count` come back every `period`, evenly.
    ///
    /// `None` where the numbers make no bucket: a zero burst, count or period, or more than one token
    /// a microsecond.
    pub fn new(burst: u32, count: u32, period: Duration) -> Option<Self> {
        let refill = period.checked_div(count)?;
        // Whole microseconds: the state must survive a trip through a `timestamptz` unchanged.
        let refill = Duration::from_micros(u64::try_from(refill.as_micros()).ok()?);
        (burst > 0 && !refill.is_zero()).then_some(Self { burst, refill })
    }

    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// How long one token takes to come back.
    pub fn refill(&self) -> Duration {
        self.refill
    }

    /// How long an empty bucket takes to fill.
    pub fn horizon(&self) -> Duration {
        self.refill.saturating_mul(self.burst)
    }

    /// Asks for `cost` tokens. A cost above the burst can never pass: it is answered with the instant the
    /// bucket is full, and the caller must not have asked.
    pub fn spend(&self, full_at: Timestamp, cost: u32, now: Timestamp) -> Decision {
        let after = full_at.max(now).after(self.refill.saturating_mul(cost));
        let limit = now.after(self.horizon());
        if after <= limit {
            return Decision::Granted { full_at: after };
        }
        Decision::Denied { retry_at: now.after(limit.until(after)) }
    }

    /// Gives `cost` tokens back; a bucket never holds more than its burst.
    pub fn refund(&self, full_at: Timestamp, cost: u32, now: Timestamp) -> Timestamp {
        full_at.before(self.refill.saturating_mul(cost)).max(now)
    }

    /// Whole tokens left at `now`.
    pub fn remaining(&self, full_at: Timestamp, now: Timestamp) -> u32 {
        let owed = now.until(full_at).as_micros();
        let used = owed.div_ceil(self.refill.as_micros());
        self.burst.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX))
    }

    /// The instant at which at least one token is there; `now` if one already is.
    pub fn next_token_at(&self, full_at: Timestamp, now: Timestamp) -> Timestamp {
        match self.spend(full_at, 1, now) {
            Decision::Granted { .. } => now,
            Decision::Denied { retry_at } => retry_at,
        }
    }

    /// The state of a bucket of which it is known that nothing is left before `retry_at`: what a 429 teaches.
    pub fn emptied_until(&self, retry_at: Timestamp) -> Timestamp {
        retry_at.after(self.horizon()).before(self.refill)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

    fn new_orders() -> Bucket {
        Bucket::new(300, 300, Duration::from_hours(3)).expect("a real limit is a bucket")
    }

    /// Boulder with production numbers: 300 orders pass, the 301st is refused for 36 s, one passes then,
    /// and an hour later exactly 100 do.
    #[test]
    fn new_orders_per_account_as_observed_on_boulder() {
        let bucket = new_orders();
        let mut state = START;
        for _ in 0..300 {
            match bucket.spend(state, 1, START) {
                Decision::Granted { full_at } => state = full_at,
                Decision::Denied { .. } => panic!("the burst is 300"),
            }
        }
        let retry_at = START.after(Duration::from_secs(36));
        assert_eq!(bucket.spend(state, 1, START), Decision::Denied { retry_at });
        assert_eq!(bucket.remaining(state, START), 0);
        let Decision::Granted { full_at } = bucket.spend(state, 1, retry_at) else {
            panic!("one token came back after 36 s");
        };
        assert_eq!(
            bucket.spend(full_at, 1, retry_at),
            Decision::Denied { retry_at: retry_at.after(Duration::from_secs(36)) }
        );
        assert_eq!(bucket.remaining(state, START.after(Duration::from_hours(1))), 100);
    }

    #[test]
    fn nonsense_is_no_bucket() {
        let hour = Duration::from_hours(1);
        assert_eq!(Bucket::new(0, 1, hour), None);
        assert_eq!(Bucket::new(1, 0, hour), None);
        assert_eq!(Bucket::new(1, 1, Duration::ZERO), None);
        assert_eq!(Bucket::new(1, u32::MAX, Duration::from_secs(1)), None);
    }

    #[test]
    fn a_refusal_by_the_ca_empties_the_mirror() {
        let bucket = new_orders();
        let told = START.after(Duration::from_secs(34));
        let state = bucket.emptied_until(told);
        assert_eq!(bucket.spend(state, 1, START), Decision::Denied { retry_at: told });
        assert!(matches!(bucket.spend(state, 1, told), Decision::Granted { .. }));
    }

    proptest! {
        /// What is refused until an instant is granted at that instant, and not a microsecond sooner.
        #[test]
        fn a_refusal_names_the_exact_instant(burst in 1_u32..50, count in 1_u32..50, period in 1_u64..10_000, owed in 0_u64..20_000_000_000, cost in 1_u32..50) {
            let bucket = Bucket::new(burst, count, Duration::from_secs(period)).expect("in range");
            prop_assume!(cost <= burst);
            let state = START.after(Duration::from_micros(owed));
            if let Decision::Denied { retry_at } = bucket.spend(state, cost, START) {
                prop_assert!(retry_at > START);
                let granted = matches!(bucket.spend(state, cost, retry_at), Decision::Granted { .. });
                prop_assert!(granted);
                let early = retry_at.before(Duration::from_micros(1));
                let denied = matches!(bucket.spend(state, cost, early), Decision::Denied { .. });
                prop_assert!(denied);
            }
        }

        /// `remaining` tokens can be spent, one more cannot; and a refund is the inverse of a spend.
        #[test]
        fn remaining_is_what_can_be_spent(burst in 1_u32..50, count in 1_u32..50, period in 1_u64..10_000, owed in 0_u64..20_000_000_000) {
            let bucket = Bucket::new(burst, count, Duration::from_secs(period)).expect("in range");
            let state = START.after(Duration::from_micros(owed));
            let left = bucket.remaining(state, START);
            if left > 0 {
                let Decision::Granted { full_at } = bucket.spend(state, left, START) else {
                    return Err(TestCaseError::fail("what remains can be spent"));
                };
                prop_assert_eq!(bucket.refund(full_at, left, START), state.max(START));
            }
            let denied = matches!(bucket.spend(state, left + 1, START), Decision::Denied { .. });
            prop_assert!(denied);
        }
    }
}
