//! How long a hostname rests after a failure, kept per account and hostname.
//!
//! 1 minute, 10 minutes, 100 minutes, then daily: the sample that Let's Encrypt's integration guide gives.
//! It stays under five failures an hour, and at one a day the CA never pauses the name.

use std::time::Duration;

use crate::time::{Fraction, Timestamp};

const MINUTE: Duration = Duration::from_mins(1);

/// The rest after the first, second, third and every further failure.
const RESTS: [Duration; 4] =
    [MINUTE, MINUTE.saturating_mul(10), MINUTE.saturating_mul(100), MINUTE.saturating_mul(1440)];

/// A name that the CA has paused is looked at daily: it rests as after so many failures.
pub const PAUSED_FAILURES: u32 = 4;

/// Up to this share of the rest is added, so that names that failed together do not come back together.
const JITTER_SHARE: f64 = 0.1;

/// The rest after failure number `failures` (from 1); none after none.
pub fn rest(failures: u32, jitter: Fraction) -> Duration {
    let Some(nth) = failures.checked_sub(1) else {
        return Duration::ZERO;
    };
    let base = RESTS[usize::try_from(nth).unwrap_or(usize::MAX).min(RESTS.len() - 1)];
    base + jitter.of(base, JITTER_SHARE)
}

/// What is remembered of one hostname on one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostnameBackoff {
    /// Failures since the last success.
    pub failures: u32,
    /// No new order may contain the name before this.
    pub until: Timestamp,
    /// The CA saw the last failure, not only our own check.
    pub at_ca: bool,
}

impl HostnameBackoff {
    #[must_use]
    pub fn after_failure(self, at_ca: bool, now: Timestamp, jitter: Fraction) -> Self {
        let failures = self.failures.saturating_add(1);
        Self { failures, until: self.until.max(now.after(rest(failures, jitter))), at_ca }
    }

    /// Our own check sees the name answer now. That is evidence of a mend where the same check saw it fail
    /// before, and the name goes at once; where the CA failed it, the check had passed then too. The count
    /// stays until the CA agrees.
    #[must_use]
    pub fn proven(self, now: Timestamp) -> Self {
        if self.at_ca { self } else { Self { until: self.until.min(now), ..self } }
    }

    pub fn allows(&self, now: Timestamp) -> bool {
        self.until <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_ten_a_hundred_minutes_then_daily() {
        let minutes = |failures| rest(failures, Fraction::ZERO).as_secs() / 60;
        assert_eq!([0, 1, 2, 3, 4, 5, 1000].map(minutes), [0, 1, 10, 100, 1440, 1440, 1440]);
    }

    /// Let's Encrypt allows five failures an hour and hostname; whoever follows the backoff stays below.
    #[test]
    fn five_failures_never_fit_into_an_hour() {
        let start = Timestamp::from_unix_seconds(0);
        let (mut backoff, mut now, mut within_an_hour) = (HostnameBackoff::default(), start, 0);
        while start.until(now) < Duration::from_hours(1) {
            within_an_hour += 1;
            backoff = backoff.after_failure(true, now, Fraction::ZERO);
            now = backoff.until;
        }
        assert!(within_an_hour < 5, "{within_an_hour} failures in an hour");
    }

    proptest! {
        #[test]
        fn a_rest_is_at_most_a_tenth_longer_than_its_base(failures in 1_u32..100, draw in 0.0_f64..1.0) {
            let base = rest(failures, Fraction::ZERO);
            let wait = rest(failures, Fraction::new(draw));
            prop_assert!(wait >= base && wait <= base.mul_f64(1.1));
        }

        #[test]
        fn evidence_never_lengthens_a_rest(failures in 0_u32..10, at_ca: bool, at in 0_i64..10_000, seen in 0_i64..10_000_000) {
            let mut backoff = HostnameBackoff::default();
            for _ in 0..failures {
                backoff = backoff.after_failure(at_ca, Timestamp::from_unix_seconds(at), Fraction::ZERO);
            }
            let proven = backoff.proven(Timestamp::from_unix_seconds(seen));
            prop_assert!(proven.until <= backoff.until);
            prop_assert_eq!(proven.failures, backoff.failures);
            if at_ca && failures > 0 {
                prop_assert_eq!(proven, backoff);
            } else {
                prop_assert!(proven.allows(Timestamp::from_unix_seconds(seen)));
            }
        }
    }
}
