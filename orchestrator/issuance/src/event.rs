//! What is told to whoever listens: the closed list of kinds, and which of them somebody wants.
//!
//! A kind says of what and what happened, as in `certificate.issued`. The names are a contract: one is added, none is
//! changed. What is told of a write alone (`webhook.created` and the like) is for the audit and stands in no list here:
//! it is shown with the events, and delivered to nobody.

use std::time::Duration;

use crate::time::Timestamp;

/// Everything that a webhook can be told, as documented.
pub const KINDS: [&str; 24] = [
    "hostname.ready",
    "hostname.failing",
    "hostname.blocked",
    "certificate.issued",
    "certificate.renewed",
    "certificate.failed",
    "certificate.expiring",
    "certificate.revoked",
    "certificate.deployed",
    "certificate.deploy_failed",
    "order.deferred",
    "authorization.stuck",
    "headroom.low",
    "headroom.exhausted",
    "headroom.recovered",
    "import.completed",
    "campaign.suggested",
    "campaign.started",
    "campaign.late",
    "campaign.done",
    "account.paused",
    "account.key_rolled",
    "webhook.disabled",
    TEST,
];

/// What a webhook is sent to try it; sent to the one that is tried alone, whatever it wants.
pub const TEST: &str = "webhook.test";

/// A deferral that is over sooner than this is told to nobody.
pub const DEFERRAL_MIN: Duration = Duration::from_mins(1);

/// A text that names no kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no kind of event: write one such as certificate.issued, or all of a subject as in certificate.*"
)]
pub struct KindError {
    pub text: Box<str>,
}

/// Holds a wish to the list: a kind, or `subject.*` for all kinds of a subject.
pub fn check_wanted(text: &str) -> Result<(), KindError> {
    let refused = || KindError { text: text.chars().take(64).collect::<String>().into() };
    match text.strip_suffix(".*") {
        Some(subject) if KINDS.iter().any(|kind| subject_of(kind) == subject) => Ok(()),
        None if KINDS.contains(&text) => Ok(()),
        _ => Err(refused()),
    }
}

/// Whether `kind` is among what is `wanted`; nothing in particular is everything.
pub fn is_wanted(kind: &str, wanted: &[impl AsRef<str>]) -> bool {
    wanted.is_empty()
        || wanted.iter().any(|one| match one.as_ref().strip_suffix(".*") {
            Some(subject) => subject_of(kind) == subject,
            None => one.as_ref() == kind,
        })
}

fn subject_of(kind: &str) -> &str {
    kind.split_once('.').map_or(kind, |(subject, _)| subject)
}

/// Remembers that an order is deferred for `reason`, beside what was told of it before, where that is news: another reason
/// than any that was told, and one that lasts.
pub fn new_deferral(told: Option<&str>, reason: &str, until: Timestamp, now: Timestamp) -> Option<String> {
    let told = told.unwrap_or_default();
    if now.until(until) < DEFERRAL_MIN || told.split(' ').any(|one| one == reason) {
        return None;
    }
    Some(format!("{told} {reason}").trim_start().to_owned())
}

/// How much of a limit is left, as it was last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Headroom {
    Ample,
    Low,
    Exhausted,
}

impl Headroom {
    pub const ALL: [Self; 3] = [Self::Ample, Self::Low, Self::Exhausted];

    /// The spelling in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ample => "ample",
            Self::Low => "low",
            Self::Exhausted => "exhausted",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }

    /// What is told when it has come to this.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Ample => "headroom.recovered",
            Self::Low => "headroom.low",
            Self::Exhausted => "headroom.exhausted",
        }
    }

    /// What it is now, with `left` of one. It gets worse at once and better only when a quarter is back: a bucket that
    /// is emptied as fast as it fills is told of once.
    #[must_use]
    pub fn then(self, left: f64) -> Self {
        const LOW: f64 = 0.1;
        const RECOVERED: f64 = 0.25;
        let now = match left {
            left if left >= RECOVERED => return Self::Ample,
            left if left <= 0.0 => Self::Exhausted,
            left if left <= LOW => Self::Low,
            _ => Self::Ample,
        };
        self.max(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_wish_names_a_kind_or_all_of_a_subject() {
        for good in KINDS.iter().copied().chain(["certificate.*", "headroom.*"]) {
            assert_eq!(check_wanted(good), Ok(()), "{good}");
        }
        for bad in ["", "*", ".*", "certificate", "certificate.", "certificate.gone", "cert*", "nobody.*"] {
            assert!(check_wanted(bad).is_err(), "{bad}");
        }
        assert!(check_wanted(&"x".repeat(10_000)).unwrap_err().to_string().len() < 250);
    }

    #[test]
    fn what_is_wanted_is_what_was_asked_for() {
        let nothing: [&str; 0] = [];
        assert!(KINDS.iter().all(|kind| is_wanted(kind, &nothing)));
        assert!(is_wanted("certificate.issued", &["certificate.*"]));
        assert!(is_wanted("certificate.issued", &["headroom.low", "certificate.issued"]));
        assert!(!is_wanted("certificate.issued", &["certificate.renewed", "hostname.*"]));
    }

    #[test]
    fn a_deferral_is_told_once_for_each_reason_that_lasts() {
        let now = Timestamp::from_unix_seconds(1_000);
        let later = now.after(DEFERRAL_MIN);
        let told = new_deferral(None, "new_orders", later, now).expect("news");
        let told = new_deferral(Some(&told), "held", later, now).expect("another reason");
        assert_eq!(told, "new_orders held");
        assert_eq!(new_deferral(Some(&told), "new_orders", later, now), None);
        assert_eq!(new_deferral(Some(&told), "held", later, now), None);
        assert_eq!(new_deferral(None, "turn", now.after(Duration::from_secs(5)), now), None);
    }

    proptest! {
        /// From one telling of a kind to the next one, a quarter of the bucket has come back.
        #[test]
        fn headroom_never_flutters(levels in prop::collection::vec(0.0..1.0_f64, 1..200)) {
            let (mut standing, mut best_since) = (Headroom::Ample, 1.0_f64);
            for left in levels {
                let next = standing.then(left);
                best_since = best_since.max(left);
                if next > standing {
                    prop_assert!(left <= 0.1);
                    best_since = left;
                } else if next < standing {
                    prop_assert!(best_since >= 0.25 && next == Headroom::Ample);
                }
                standing = next;
            }
        }
    }
}
