//! When a name that is not ready is looked at, what its recovery sets free, and when it is given up.
//!
//! The backoff (see [`crate::backoff`]) says how long the CA is not asked; it grows, because an ask costs. A look costs
//! a few packets, so it is made far more often, and whoever sees the name mended need not wait for the backoff. A name
//! that has been broken for long is mended less probably within the next minutes, so looks at it grow rare.

use std::time::Duration;

use crate::backoff::HostnameBackoff;
use crate::time::{Fraction, Timestamp};

/// Between two looks at a name that broke lately: whoever mends it waits half of it on average.
const LOOK_EVERY: Duration = Duration::from_mins(2);
/// And afterwards this part of the time for which it has been broken: an hour when it is given up.
const BROKEN_SHARE: u32 = 720;
/// Up to this share is added, so that what broke together is not looked at together for ever.
const JITTER_SHARE: f64 = 0.1;
/// A name that nothing has been right with for so long is nobody's concern any more.
const HOPELESS_AFTER: Duration = Duration::from_hours(30 * 24);
/// A name that the CA has failed is not put to it again sooner, whatever is seen: with no more than four failures an
/// hour it stays below the five that Let's Encrypt allows, however often it breaks and is mended.
const AFTER_A_FAILURE_AT_THE_CA: Duration = Duration::from_mins(15);

/// What is known of a name that is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    pub backoff: HostnameBackoff,
    /// It has not been right since.
    pub broken_since: Timestamp,
    /// Our own check has seen it fail since the CA last did, or the CA never did.
    pub seen_failing: bool,
    /// The last failure that the CA may have counted against it.
    pub charged_at: Option<Timestamp>,
}

/// What follows from one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Looked at again then.
    Look(Timestamp),
    /// It is right: from that instant on the CA may be asked.
    Release(Timestamp),
    /// Given up, and its tenant told.
    Suspend,
}

impl Watch {
    /// `right`: what the look saw; `None` where it could not be made.
    pub fn turn(self, right: Option<bool>, now: Timestamp, jitter: Fraction) -> Turn {
        let again = Turn::Look(now.after(wait(self.broken_since.until(now), jitter)));
        match right {
            Some(true) => Turn::Release(self.released_at(now)),
            Some(false) if self.broken_since.after(HOPELESS_AFTER) <= now => Turn::Suspend,
            Some(false) | None => again,
        }
    }

    /// Evidence counts where the same check has seen the name fail: it has changed since. Where the CA failed it while
    /// the check passed, the check cannot tell whether anything was mended, and the name rests as long as it would.
    fn released_at(self, now: Timestamp) -> Timestamp {
        if self.backoff.at_ca && !self.seen_failing {
            return self.backoff.until.max(now);
        }
        self.charged_at.map_or(now, |at| at.after(AFTER_A_FAILURE_AT_THE_CA).max(now))
    }
}

/// How long until the next look at a name that has been broken for so long.
pub fn wait(broken_for: Duration, jitter: Fraction) -> Duration {
    let base = LOOK_EVERY.max(broken_for / BROKEN_SHARE);
    base + jitter.of(base, JITTER_SHARE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const HOUR: Duration = Duration::from_hours(1);

    fn watch() -> Watch {
        Watch {
            backoff: HostnameBackoff { failures: 4, until: START.after(24 * HOUR), at_ca: false },
            broken_since: START,
            seen_failing: true,
            charged_at: None,
        }
    }

    #[test]
    fn looks_grow_rare_with_the_age_of_the_fault() {
        let minutes = |hours| wait(HOUR * hours, Fraction::ZERO).as_secs() / 60;
        assert_eq!([0, 1, 24, 7 * 24, 30 * 24].map(minutes), [2, 2, 2, 14, 60]);
    }

    #[test]
    fn what_is_mended_goes_at_once_whatever_its_backoff() {
        let now = START.after(HOUR);
        assert_eq!(watch().turn(Some(true), now, Fraction::ZERO), Turn::Release(now));
    }

    #[test]
    fn what_the_ca_failed_for_a_reason_that_is_not_seen_here_rests() {
        let now = START.after(HOUR);
        let backoff = HostnameBackoff { at_ca: true, ..watch().backoff };
        let unseen = Watch { backoff, seen_failing: false, charged_at: Some(START), ..watch() };
        assert_eq!(unseen.turn(Some(true), now, Fraction::ZERO), Turn::Release(backoff.until));
        let seen = Watch { seen_failing: true, ..unseen };
        assert_eq!(seen.turn(Some(true), now, Fraction::ZERO), Turn::Release(now));
        let just_failed = Watch { charged_at: Some(now), ..seen };
        assert_eq!(
            just_failed.turn(Some(true), now, Fraction::ZERO),
            Turn::Release(now.after(AFTER_A_FAILURE_AT_THE_CA))
        );
    }

    #[test]
    fn hopeless_is_what_failed_for_thirty_days_and_fails_now() {
        let month = START.after(HOPELESS_AFTER);
        assert_eq!(watch().turn(Some(false), month, Fraction::ZERO), Turn::Suspend);
        assert_eq!(watch().turn(Some(true), month, Fraction::ZERO), Turn::Release(month));
        assert!(matches!(watch().turn(None, month, Fraction::ZERO), Turn::Look(_)));
        let before = month.before(Duration::from_secs(1));
        assert!(matches!(watch().turn(Some(false), before, Fraction::ZERO), Turn::Look(_)));
    }

    proptest! {
        /// A name that breaks and is mended as often as it likes meets the CA no more than four times an hour.
        #[test]
        fn a_flapping_name_fails_four_times_an_hour_at_the_most(mended_after in proptest::collection::vec(0_u64..600, 200)) {
            let (mut now, mut failures) = (START, Vec::new());
            for seconds in mended_after {
                let charged_at = failures.last().copied();
                let seen = now.after(Duration::from_secs(seconds));
                let Turn::Release(at) = (Watch { charged_at, ..watch() }).turn(Some(true), seen, Fraction::ZERO) else {
                    panic!("a mended name is released");
                };
                now = at;
                failures.push(at);
            }
            for five in failures.windows(5) {
                prop_assert!(five[0].until(five[4]) >= HOUR);
            }
        }

        #[test]
        fn a_look_is_never_further_away_than_an_hour_and_a_tenth(hours in 0_u32..720, draw in 0.0_f64..1.0) {
            let wait = wait(HOUR * hours, Fraction::new(draw));
            prop_assert!(wait >= LOOK_EVERY && wait <= HOUR.mul_f64(1.1));
        }
    }
}
