//! How long a record must have been seen everywhere before a CA sees it too, learnt for each set of servers.
//!
//! Behind one anycast address stand many machines, of which we see the nearest and a CA others. What cannot be
//! looked at is learnt: a validation that fails although every address was green says that green was too early.

use std::time::Duration;

/// The first lesson teaches at least so much.
const DELAY_MIN: Duration = Duration::from_secs(10);
/// A set of servers that needs more than this is broken, not slow.
pub const DELAY_MAX: Duration = Duration::from_mins(10);
/// So many validations in a row earn the delay a cut.
const SUCCESSES_PER_CUT: u32 = 20;
/// What is left of a delay after a cut, in percent.
const LEFT_PERCENT: u32 = 75;

/// What is known of one set of servers: a provider's, or those that the zone's NS records name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settling {
    /// How long green must last; zero until a failure teaches otherwise.
    pub delay: Duration,
    /// Validations that failed although everything was green.
    pub failures: u32,
    /// Validations in a row that did not, since the last failure or cut.
    pub successes: u32,
}

impl Settling {
    /// A validation failed after `green_for`: twice as long is tried from now on.
    ///
    /// It goes by what was waited and not by what is known, so that a hundred names that fail together teach
    /// one lesson and not a hundred.
    #[must_use]
    pub fn after_failure(self, green_for: Duration) -> Self {
        let taught = green_for.saturating_mul(2).clamp(DELAY_MIN, DELAY_MAX);
        Self { delay: self.delay.max(taught), failures: self.failures.saturating_add(1), successes: 0 }
    }

    /// A validation passed.
    #[must_use]
    pub fn after_success(self) -> Self {
        let successes = self.successes.saturating_add(1);
        if self.delay.is_zero() || successes < SUCCESSES_PER_CUT {
            return Self { successes, ..self };
        }
        let left = self.delay * LEFT_PERCENT / 100;
        let delay = if left < DELAY_MIN { Duration::ZERO } else { left };
        Self { delay, successes: 0, ..self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_fail_together_teach_one_lesson() {
        let green_for = Duration::from_secs(5);
        let once = Settling::default().after_failure(green_for);
        assert_eq!(once.delay, DELAY_MIN);
        let often = (0..99).fold(once, |known, _| known.after_failure(green_for));
        assert_eq!((often.delay, often.failures), (DELAY_MIN, 100));
        assert_eq!(often.after_failure(DELAY_MIN).delay, Duration::from_secs(20));
    }

    #[test]
    fn a_delay_fades_while_validations_pass() {
        let mut known = Settling { delay: Duration::from_secs(40), ..Settling::default() };
        for _ in 0..20 {
            known = known.after_success();
        }
        assert_eq!(known.delay, Duration::from_secs(30));
        for _ in 0..200 {
            known = known.after_success();
        }
        assert_eq!(known.delay, Duration::ZERO);
    }

    proptest! {
        /// However validations go, a delay is none or between its bounds, and a failure never shortens it.
        #[test]
        fn a_delay_stays_within_its_bounds(story in prop::collection::vec((any::<bool>(), 0_u64..2_000), 0..200)) {
            let mut known = Settling::default();
            for (failed, green_for) in story {
                let before = known;
                known = if failed {
                    known.after_failure(Duration::from_secs(green_for))
                } else {
                    known.after_success()
                };
                prop_assert!(known.delay.is_zero() || (DELAY_MIN..=DELAY_MAX).contains(&known.delay));
                if failed { prop_assert!(known.delay >= before.delay) } else { prop_assert!(known.delay <= before.delay) }
            }
        }
    }
}
