//! Many certificates that are to be replaced by an instant, since the CA is going to revoke them: how fast they are
//! ordered, where they wait, whether all will be there in time, and when it is over.

use std::time::Duration;

use crate::fairness::Lane;
use crate::time::Timestamp;

const HOUR: Duration = Duration::from_hours(1);
/// Orders of one campaign that may be under way at once: more would be behind each other anyhow, and what is not queued yet
/// can be paused and called off without a trace.
pub const UNDERWAY_MAX: u32 = 2_000;
/// With nothing replaced for so long, no pace is left to go by.
pub const STALLED_AFTER: Duration = HOUR;
/// Of the time from the beginning to the deadline: what has failed and is not mended by then is late.
const MENDED_BY: f64 = 0.75;

/// Members by what has become of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Nothing was ordered for them so far.
    pub waiting: u32,
    /// An order is under way.
    pub queued: u32,
    pub replaced: u32,
    /// It does not go on by itself, or the last attempt has come to nothing.
    pub failed: u32,
    /// There is nothing to replace any more.
    pub skipped: u32,
}

impl Counts {
    pub fn total(&self) -> u32 {
        self.waiting + self.queued + self.replaced + self.failed + self.skipped
    }

    /// Still to come without anybody doing anything.
    pub fn remaining(&self) -> u32 {
        self.waiting + self.queued
    }
}

/// How many may be ordered in an hour, evenly: one every so often, and what could have been ordered since the last look in
/// one go. What was not ordered during a pause is not caught up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub per_hour: u32,
    /// From when on the next one may be ordered.
    pub next_at: Timestamp,
}

impl Rate {
    /// In whole microseconds, as instants are kept.
    fn interval(&self) -> Duration {
        Duration::from_micros(
            u64::try_from(HOUR.as_micros()).unwrap_or(u64::MAX) / u64::from(self.per_hour.max(1)),
        )
    }

    /// How many may be ordered at `now`.
    pub fn allows(&self, now: Timestamp) -> u32 {
        if now < self.next_at {
            return 0;
        }
        let due = self.next_at.until(now).as_micros() / self.interval().as_micros().max(1);
        u32::try_from(due).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// After `ordered` of those that were allowed at `now`: from when on the next one may be.
    #[must_use]
    pub fn after(&self, ordered: u32, now: Timestamp) -> Timestamp {
        self.next_at.after(self.interval().saturating_mul(ordered)).max(now)
    }
}

/// What was replaced in a span up to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub replaced: u32,
    pub within: Duration,
}

/// How a campaign stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub began_at: Timestamp,
    pub deadline: Timestamp,
    pub counts: Counts,
    /// All members are known.
    pub is_complete: bool,
    pub is_paused: bool,
    pub per_hour: Option<u32>,
    /// `None`: it is too young.
    pub pace: Option<Pace>,
    /// When all was to be done, by the forecast that was made at its beginning.
    pub foreseen_at: Option<Timestamp>,
}

impl Standing {
    /// When the rate alone lets the last one be ordered.
    fn last_ordered(&self, now: Timestamp) -> Timestamp {
        let Some(per_hour) = self.per_hour else { return now };
        now.after((HOUR / per_hour.max(1)).saturating_mul(self.counts.waiting))
    }

    /// When all will be replaced that go on by themselves, at the pace they have. `None`: nothing tells it, since it is
    /// paused, or stands still.
    pub fn done_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_paused {
            return None;
        }
        let remaining = self.counts.remaining();
        if self.is_complete && remaining == 0 {
            return Some(now);
        }
        let by_pace = match self.pace.filter(|_| self.is_complete) {
            Some(Pace { replaced: 0, within }) if within >= STALLED_AFTER => return None,
            Some(Pace { replaced, within }) if replaced > 0 => {
                Some(now.after(within.mul_f64(f64::from(remaining) / f64::from(replaced))))
            }
            _ => self.foreseen_at,
        };
        Some(by_pace?.max(self.last_ordered(now)))
    }

    /// It will miss its deadline as things are, or has.
    pub fn is_late(&self, now: Timestamp) -> bool {
        let Counts { failed, .. } = self.counts;
        let remaining = self.counts.remaining();
        if now >= self.deadline {
            return remaining + failed > 0 || !self.is_complete;
        }
        let all = self.began_at.until(self.deadline);
        if failed > 0 && self.began_at.after(all.mul_f64(MENDED_BY)) <= now {
            return true;
        }
        if self.is_complete && remaining == 0 {
            return false;
        }
        if self.is_paused {
            // What it would take, were it to go on now.
            let foreseen = self.foreseen_at.map_or(Duration::ZERO, |at| self.began_at.until(at));
            let share = f64::from(remaining) / f64::from(self.counts.total().max(1));
            return now.after(foreseen.mul_f64(share)) > self.deadline;
        }
        match self.done_at(now) {
            Some(at) => at > self.deadline,
            // Without a pace and a forecast there is nothing to be late by, before it stands still.
            None => self.pace.is_some_and(|pace| pace.replaced == 0 && pace.within >= STALLED_AFTER),
        }
    }

    /// Where its orders wait: with the renewals, or in the `fast` lane if they would be late there. Where the rate is what
    /// holds them up, the lane makes no difference.
    pub fn lane(&self, fast: Lane, now: Timestamp) -> Lane {
        let held_by_rate = self.last_ordered(now) > self.deadline;
        if self.is_late(now) && (!held_by_rate || now >= self.deadline) { fast } else { Lane::Renewal }
    }

    /// There is nothing left to do: all are replaced or need not be; or the deadline has passed, and what is left does not
    /// go on by itself.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let left = self.counts.remaining();
        self.is_complete && left == 0 && (self.counts.failed == 0 || now >= self.deadline)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);
    const MINUTE: Duration = Duration::from_mins(1);

    fn standing() -> Standing {
        Standing {
            began_at: START,
            deadline: START.after(HOUR * 24),
            counts: Counts { waiting: 600, queued: 200, replaced: 200, failed: 0, skipped: 0 },
            is_complete: true,
            is_paused: false,
            per_hour: None,
            pace: Some(Pace { replaced: 100, within: HOUR }),
            foreseen_at: Some(START.after(HOUR * 5)),
        }
    }

    #[test]
    fn it_ends_by_its_pace_and_no_sooner_than_its_rate() {
        let now = START.after(HOUR * 2);
        assert_eq!(standing().done_at(now), Some(now.after(HOUR * 8)));
        let slow = Standing { per_hour: Some(50), ..standing() };
        assert_eq!(slow.done_at(now), Some(now.after(HOUR * 12)), "600 wait, 50 an hour");
        let young = Standing { pace: None, ..standing() };
        assert_eq!(young.done_at(START), Some(START.after(HOUR * 5)));
        let still = Standing { pace: Some(Pace { replaced: 0, within: HOUR }), ..standing() };
        assert_eq!((still.done_at(now), still.is_late(now)), (None, true), "it stands still");
        let paused = Standing { is_paused: true, ..standing() };
        assert_eq!((paused.done_at(now), paused.is_late(now)), (None, false));
        assert!(paused.is_late(START.after(HOUR * 21)), "four fifths of five hours are more than three");
    }

    #[test]
    fn it_takes_the_fast_lane_only_where_that_helps() {
        let now = START.after(HOUR * 2);
        assert_eq!(standing().lane(Lane::Urgent, now), Lane::Renewal);
        let late = Standing { deadline: now.after(HOUR * 7), ..standing() };
        assert_eq!((late.is_late(now), late.lane(Lane::Urgent, now)), (true, Lane::Urgent));
        let throttled = Standing { per_hour: Some(50), ..late };
        assert_eq!((throttled.is_late(now), throttled.lane(Lane::Urgent, now)), (true, Lane::Renewal));
    }

    #[test]
    fn what_has_failed_keeps_it_open_until_the_deadline_and_is_late_before() {
        let counts = Counts { waiting: 0, queued: 0, replaced: 997, failed: 3, skipped: 0 };
        let failing = Standing { counts, ..standing() };
        assert!(!failing.is_over(START.after(HOUR * 2)) && !failing.is_late(START.after(HOUR * 2)));
        assert!(failing.is_late(START.after(HOUR * 18)));
        assert!(failing.is_over(failing.deadline));
        let done = Standing { counts: Counts { failed: 0, skipped: 3, ..counts }, ..failing };
        assert!(done.is_over(START) && !done.is_late(START.after(HOUR * 23)));
        assert!(!Standing { is_complete: false, ..done }.is_over(START), "more may come");
    }

    #[test]
    fn a_rate_is_not_caught_up_with() {
        let rate = Rate { per_hour: 60, next_at: START };
        assert_eq!(rate.allows(START), 1);
        let rate = Rate { next_at: rate.after(1, START), ..rate };
        let later = START.after(MINUTE * 5);
        assert_eq!((rate.allows(START), rate.allows(later)), (0, 5));
        let fewer = Rate { next_at: rate.after(2, later), ..rate };
        assert_eq!(fewer.allows(later), 1, "what nobody wanted then is not there later");
    }

    proptest! {
        /// However the looks fall, no more are ordered than there are intervals, and one; and nothing is left behind.
        #[test]
        fn a_rate_is_kept(per_hour in 1..100_000_u32, looks in prop::collection::vec(1..600_000_000_u64, 1..60)) {
            let (mut rate, mut now, mut ordered) = (Rate { per_hour, next_at: START }, START, 0_u64);
            for look in looks {
                now = now.after(Duration::from_micros(look));
                let allowed = rate.allows(now);
                ordered += u64::from(allowed);
                rate.next_at = rate.after(allowed, now);
                prop_assert!(rate.next_at > now);
            }
            let whole = START.until(now).as_micros() / rate.interval().as_micros() + 1;
            prop_assert_eq!(u128::from(ordered), whole);
        }

        /// What is over is not late before its deadline, and what is late is not over before it.
        #[test]
        fn it_is_not_over_and_late_before_its_deadline(
            waiting in 0..1_000_u32, queued in 0..1_000_u32, failed in 0..50_u32, hours in 0..23_u32, replaced in 0..200_u32,
        ) {
            let counts = Counts { waiting, queued, replaced: 10, failed, skipped: 0 };
            let standing = Standing { counts, pace: Some(Pace { replaced, within: HOUR }), ..standing() };
            let now = START.after(HOUR * hours);
            prop_assert!(!(standing.is_over(now) && standing.is_late(now)));
        }
    }
}
