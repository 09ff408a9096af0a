//! When a certificate is renewed, and what its order is like.
//!
//! The CA says when (ARI, RFC 9773): a window, in which an instant is drawn. Where it does not say, the lifetime does.
//! An instant is drawn once for each window and kept, so that neither a restart nor another look moves it.

use std::time::Duration;

use crate::exemption::Exemptions;
use crate::fairness::Lane;
use crate::identifier::Identifiers;
use crate::time::{Fraction, Timestamp};

const DAY: Duration = Duration::from_hours(24);
/// Below this lifetime a certificate is renewed at half of it instead of two thirds, as Let's Encrypt does.
const SHORT_LIVED: Duration = Duration::from_hours(10 * 24);
/// What was issued in one go is not renewed in one go: by lifetime, a fiftieth of it is there to draw from.
const SPREAD: u32 = 50;
/// The end of a window that is left free, so that an order which has to wait a little is still inside it.
const ROOM_MAX: Duration = Duration::from_hours(2);
/// A certificate that expires within this goes before everything else.
pub const URGENT_BEFORE_EXPIRY: Duration = DAY;
/// The next look at a renewal that is on its way, or came to nothing.
pub const LOOK_AGAIN: Duration = DAY;
/// The same once the certificate has expired: whoever still wants it has not been able to have it for long.
const LOOK_AGAIN_EXPIRED: Duration = Duration::from_hours(7 * 24);

/// Between two polls: what a CA asks for is taken between these (RFC 9773 §4.3.2 names both).
const POLL_MIN: Duration = Duration::from_mins(1);
const POLL_MAX: Duration = DAY;
/// Where the CA asks for nothing (RFC 9773 §4.3.3).
const POLL_DEFAULT: Duration = Duration::from_hours(6);
/// After the first poll that failed; doubled with each one more.
const POLL_FAILED: Duration = Duration::from_mins(5);

/// How long a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

impl Validity {
    fn lifetime(self) -> Duration {
        self.not_before.until(self.not_after)
    }

    /// Two thirds of the lifetime, or half of a short one.
    fn ordinary(self) -> Timestamp {
        let life = self.lifetime();
        self.not_before.after(if life < SHORT_LIVED { life / 2 } else { life / 3 * 2 })
    }

    /// No instant is drawn after this, whatever the CA suggests.
    fn latest(self) -> Timestamp {
        self.not_after.before(DAY.min(self.lifetime() / 10))
    }
}

/// When the CA wants a renewal: [start, end) (RFC 9773 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub start: Timestamp,
    pub end: Timestamp,
}

/// What an instant was drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Basis {
    RenewalInfo,
    Lifetime,
}

impl Basis {
    pub const ALL: [Self; 2] = [Self::RenewalInfo, Self::Lifetime];

    /// The spelling in the database, the API and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RenewalInfo => "renewal_info",
            Self::Lifetime => "lifetime",
        }
    }
}

/// When one certificate is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    pub renew_at: Timestamp,
    /// As the CA last told it.
    pub window: Option<Window>,
    /// The CA has moved the window into the past: the certificate was revoked, or is part of an incident.
    pub at_once: bool,
}

/// What a look at the CA's window has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// The first window that the CA tells.
    First,
    /// The window that is known.
    Same,
    Moved,
    /// A window that is over already: now.
    Past,
    /// Upside down: not obeyed.
    Nonsense,
}

impl Change {
    pub const ALL: [Self; 5] = [Self::First, Self::Same, Self::Moved, Self::Past, Self::Nonsense];

    /// The spelling in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Same => "same",
            Self::Moved => "moved",
            Self::Past => "past",
            Self::Nonsense => "nonsense",
        }
    }
}

impl Plan {
    /// Without a word of the CA.
    pub fn by_lifetime(validity: Validity, draw: Fraction) -> Self {
        let spread = draw.of(validity.lifetime() / SPREAD, 1.0);
        Self { renew_at: validity.ordinary().after(spread), window: None, at_once: false }
    }

    pub fn basis(&self) -> Basis {
        if self.window.is_some() { Basis::RenewalInfo } else { Basis::Lifetime }
    }

    /// After the CA has told a window.
    #[must_use]
    pub fn informed(
        self,
        window: Window,
        validity: Validity,
        now: Timestamp,
        draw: Fraction,
    ) -> (Self, Change) {
        if window.end <= window.start {
            return (self, Change::Nonsense);
        }
        if self.window == Some(window) {
            return (self, Change::Same);
        }
        if window.end <= now {
            // One that has passed while nobody looked is no incident.
            let pulled = self.window.is_some_and(|known| window.end <= known.start);
            let at_once = self.at_once || pulled || window.end < validity.ordinary();
            return (Self { renew_at: now, window: Some(window), at_once }, Change::Past);
        }
        let room = ROOM_MAX.min(window.start.until(window.end) / 4);
        let latest = window.end.before(room).min(validity.latest());
        let from = window.start.max(now);
        let renew_at = from.after(draw.of(from.until(latest), 1.0)).min(validity.latest().max(now));
        let change = if self.window.is_some() { Change::Moved } else { Change::First };
        (Self { renew_at, window: Some(window), at_once: false }, change)
    }
}

/// When the CA is asked for the window next; `None`: not again, since the certificate has expired by then
/// (RFC 9773 §4.3.2).
pub fn next_poll(validity: Validity, now: Timestamp, retry_after: Option<Duration>) -> Option<Timestamp> {
    let wait = retry_after.unwrap_or(POLL_DEFAULT).clamp(POLL_MIN, POLL_MAX);
    Some(now.after(wait)).filter(|at| *at < validity.not_after)
}

/// The same after `failures` polls in a row that brought nothing.
pub fn next_poll_after_failure(
    validity: Validity,
    now: Timestamp,
    failures: u32,
    retry_after: Option<Duration>,
    jitter: Fraction,
) -> Option<Timestamp> {
    let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let wait = POLL_FAILED.saturating_mul(factor).max(retry_after.unwrap_or_default());
    let wait = wait + jitter.of(wait.min(POLL_MAX), 0.1);
    Some(now.after(wait.clamp(POLL_MIN, POLL_MAX))).filter(|at| *at < validity.not_after)
}

/// A certificate whose renewal is due, with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub validity: Validity,
    pub issued_at: Timestamp,
    /// What the certificate has.
    pub issued: Identifiers,
    /// What it should have.
    pub wished: Identifiers,
    pub plan: Plan,
    /// The CA offers renewal information and the certificate can be named there.
    pub can_replace: bool,
    pub underway: Underway,
}

/// Orders of the same certificate that have not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Underway {
    /// One for exactly the names that are wished.
    pub wished: bool,
    /// One for exactly the names that were issued.
    pub issued: bool,
    /// One that is at the CA.
    pub at_ca: bool,
}

/// The order that renews.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    pub names: Identifiers,
    pub lane: Lane,
    /// It names the certificate it replaces.
    pub replaces: bool,
    pub exemptions: Exemptions,
    /// Names that are not ready may be left behind. While the old certificate serves them all, they are not.
    pub may_split: bool,
}

/// What is done about a renewal that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    Order(Renewal),
    /// It is on its way, and has become urgent.
    Hasten,
    /// It is on its way.
    Wait,
}

impl Standing {
    fn is_urgent(&self, now: Timestamp) -> bool {
        self.plan.at_once || self.hastens_at() <= now
    }

    fn hastens_at(&self) -> Timestamp {
        self.validity.not_after.before(URGENT_BEFORE_EXPIRY.min(self.validity.lifetime() / 4))
    }

    /// What is to be done now.
    pub fn turn(&self, now: Timestamp) -> Turn {
        let is_urgent = self.is_urgent(now);
        match self.turn_in(if is_urgent { Lane::Urgent } else { Lane::Renewal }, now) {
            Turn::Hasten if !is_urgent => Turn::Wait,
            turn => turn,
        }
    }

    /// What is to be done now at somebody's wish, whenever the certificate would be renewed by itself: an order in `lane`,
    /// or in the first one where the certificate is about to expire; what is under way goes there as well.
    pub fn replaced_in(&self, lane: Lane, now: Timestamp) -> Turn {
        self.turn_in(if self.hastens_at() <= now { Lane::Urgent } else { lane }, now)
    }

    fn turn_in(&self, lane: Lane, now: Timestamp) -> Turn {
        let is_whole = self.issued == self.wished;
        let is_part = !is_whole && self.issued.iter().all(|name| self.wished.contains(name));
        // The whole is still tried for, and a name of it is not ready: the part that was is not given up meanwhile.
        let (names, is_underway) = if is_part && self.underway.wished {
            (&self.issued, self.underway.issued)
        } else {
            (&self.wished, self.underway.wished)
        };
        if self.underway.at_ca {
            return Turn::Wait;
        }
        if is_underway {
            return Turn::Hasten;
        }
        let replaces = self.can_replace && names.iter().any(|name| self.issued.contains(name));
        let set = if *names == self.issued { Exemptions::of_set(self.issued_at) } else { Exemptions::NONE };
        let window = self.plan.window.filter(|window| replaces && now < window.end);
        let renewal_info = window.map(|window| (window.start, window.end));
        Turn::Order(Renewal {
            names: names.clone(),
            lane,
            replaces,
            exemptions: Exemptions { renewal_info, ..set }.still_at(now),
            may_split: !is_whole || self.hastens_at() <= now,
        })
    }

    /// When it is looked at again, if nothing has been issued by then.
    pub fn look_again(&self, now: Timestamp) -> Timestamp {
        if self.validity.not_after <= now {
            return now.after(LOOK_AGAIN_EXPIRED);
        }
        let again = now.after(LOOK_AGAIN);
        if self.hastens_at() > now { again.min(self.hastens_at()) } else { again }
    }
}

#[cfg(test)]
mod tests;
