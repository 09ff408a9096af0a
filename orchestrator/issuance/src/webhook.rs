//! Webhooks: what becomes of an attempt, by the schedule of Standard Webhooks 1.0.0.

use std::time::Duration;

use crate::time::{Fraction, Timestamp};

/// The wait before each attempt, counted from the failure before it: 0 s, 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h.
/// In all about three days and a quarter: a receiver that is mended after a weekend has missed nothing.
pub const WAITS: [Duration; 10] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];
/// What is added to a wait at the most, as a share of it: what failed together must not come back together.
const JITTER: f64 = 0.1;
/// A receiver may ask for more patience than the schedule has, up to this.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);
/// A webhook that only failed for so long is switched off.
pub const DISABLED_AFTER: Duration = Duration::from_hours(5 * 24);
/// For how long the secret before a rotation still signs.
pub const ROTATION: Duration = Duration::from_hours(24);
/// For one attempt, from the first lookup to the last byte.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// How one attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Any status of 200 to 299.
    Delivered,
    /// 410: nobody wants it any more.
    Gone,
    /// Any other status; a redirect is one, since it is not followed.
    Refused,
    /// No whole answer within [`TIMEOUT`].
    Timeout,
    /// No address, no connection, or one that broke.
    Unreachable,
    /// No encryption, or not with whom the URL names.
    Tls,
    /// An address that must not be connected to.
    Forbidden,
}

impl Outcome {
    pub const ALL: [Self; 7] = [
        Self::Delivered,
        Self::Gone,
        Self::Refused,
        Self::Timeout,
        Self::Unreachable,
        Self::Tls,
        Self::Forbidden,
    ];

    /// The spelling in the API, the metrics and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Forbidden => "forbidden",
        }
    }

    /// What a status says.
    pub const fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            410 => Self::Gone,
            _ => Self::Refused,
        }
    }
}

/// Why a webhook was switched off by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disabled {
    /// The receiver has answered 410.
    Gone,
    /// It has answered nothing good for [`DISABLED_AFTER`].
    Failing,
}

impl Disabled {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Gone, Self::Failing].into_iter().find(|reason| reason.as_str() == text)
    }

    /// For a person.
    pub const fn explained(self) -> &'static str {
        match self {
            Self::Gone => "the receiver answered 410 Gone: nobody wants these events any more",
            Self::Failing => "every attempt of five days has failed",
        }
    }
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Delivered,
    /// It is tried again then; what follows it for the same certificate waits.
    Again(Timestamp),
    /// It is not tried again by itself, and what follows it goes on.
    GivenUp,
}

/// What follows from one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub fate: Fate,
    /// Since when the webhook has only failed.
    pub failing_since: Option<Timestamp>,
    pub disable: Option<Disabled>,
}

/// Decides about a delivery after its attempt number `attempts`, of a webhook that has only failed since `failing_since`.
///
/// `retry_after` is the receiver's wish (RFC 9110 §10.2.3): it makes a wait longer, never shorter.
pub fn judge(
    outcome: Outcome,
    attempts: u32,
    failing_since: Option<Timestamp>,
    retry_after: Option<Duration>,
    now: Timestamp,
    jitter: Fraction,
) -> Verdict {
    if outcome == Outcome::Delivered {
        return Verdict { fate: Fate::Delivered, failing_since: None, disable: None };
    }
    let since = failing_since.unwrap_or(now);
    let disable = match outcome {
        Outcome::Gone => Some(Disabled::Gone),
        _ if since.until(now) >= DISABLED_AFTER => Some(Disabled::Failing),
        _ => None,
    };
    let fate = match WAITS.get(attempts as usize) {
        Some(wait) => {
            let wait = (*wait).max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
            Fate::Again(now.after(wait + jitter.of(wait, JITTER)))
        }
        None => Fate::GivenUp,
    };
    Verdict { fate, failing_since: Some(since), disable }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

    fn after(attempts: u32, retry_after: Option<u64>) -> Fate {
        let retry_after = retry_after.map(Duration::from_secs);
        judge(Outcome::Refused, attempts, None, retry_after, NOW, Fraction::ZERO).fate
    }

    #[test]
    fn failures_follow_the_schedule_and_end() {
        let waits = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
        for (made, wait) in waits.into_iter().enumerate() {
            let attempts = u32::try_from(made + 1).unwrap();
            assert_eq!(
                after(attempts, None),
                Fate::Again(NOW.after(Duration::from_secs(wait))),
                "{attempts}"
            );
        }
        assert_eq!(after(10, None), Fate::GivenUp);
        assert_eq!(after(u32::MAX, None), Fate::GivenUp);
    }

    #[test]
    fn the_receiver_is_given_the_time_it_asks_for() {
        assert_eq!(after(1, Some(120)), Fate::Again(NOW.after(Duration::from_mins(2))));
        assert_eq!(after(3, Some(1)), Fate::Again(NOW.after(Duration::from_mins(30))), "never sooner");
        assert_eq!(after(1, Some(u64::MAX)), Fate::Again(NOW.after(Duration::from_hours(24))), "nor never");
    }

    #[test]
    fn five_days_of_failures_or_gone_switch_it_off() {
        let since = NOW.before(DISABLED_AFTER);
        let judged = |outcome, since| judge(outcome, 3, since, None, NOW, Fraction::ZERO);
        assert_eq!(judged(Outcome::Timeout, Some(since)).disable, Some(Disabled::Failing));
        let almost = since.after(Duration::from_secs(1));
        assert_eq!(judged(Outcome::Timeout, Some(almost)).disable, None);
        assert_eq!(judged(Outcome::Timeout, Some(almost)).failing_since, Some(almost));
        assert_eq!(judged(Outcome::Refused, None).failing_since, Some(NOW));
        assert_eq!(judged(Outcome::Gone, None).disable, Some(Disabled::Gone));
        let good = judged(Outcome::Delivered, Some(since));
        assert_eq!(good, Verdict { fate: Fate::Delivered, failing_since: None, disable: None });
    }

    #[test]
    fn a_status_means_what_the_specification_says() {
        for (status, outcome) in [
            (200, Outcome::Delivered),
            (204, Outcome::Delivered),
            (299, Outcome::Delivered),
            (301, Outcome::Refused),
            (307, Outcome::Refused),
            (410, Outcome::Gone),
            (429, Outcome::Refused),
            (503, Outcome::Refused),
        ] {
            assert_eq!(Outcome::of_status(status), outcome, "{status}");
        }
    }

    proptest! {
        #[test]
        fn the_jitter_is_a_tenth_at_the_most(attempts in 1..9_u32, draw in 0.0..1.0_f64) {
            let plain = WAITS[attempts as usize];
            let Fate::Again(at) = judge(Outcome::Tls, attempts, None, None, NOW, Fraction::new(draw)).fate else {
                return Err(TestCaseError::fail("it is tried again"));
            };
            prop_assert!(at >= NOW.after(plain) && at <= NOW.after(plain.mul_f64(1.1)));
        }
    }
}
