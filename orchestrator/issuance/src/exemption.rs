//! Orders that a CA does not count: renewals, in its eyes.
//!
//! Let's Encrypt knows two kinds. An order that names the certificate it replaces, inside the window that the CA
//! suggested for that (RFC 9773), stands under no limit at all. An order for an exact set of names that was issued in
//! the last 120 days, to whomever, stands neither under the limit of new orders nor under that of its registered
//! domains. Both are told when an order is queued, so that it does not wait behind those that are counted.

use std::time::Duration;

use crate::time::Timestamp;

/// How far back Let's Encrypt looks for the same exact set.
pub const SET_REMEMBERED_FOR: Duration = Duration::from_hours(120 * 24);
/// What is nearer than this to the end of its exemption is counted: the request takes a while to get there, and clocks
/// differ.
const MARGIN: Duration = Duration::from_mins(2);

/// Why the CA does not count an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exemption {
    /// It replaces a certificate inside its suggested window: no limit is checked.
    RenewalInfo,
    /// Its exact set was issued lately: no new-order is counted, and nothing of its registered domains.
    ExactSet,
}

impl Exemption {
    /// The spelling in the API and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RenewalInfo => "renewal_info",
            Self::ExactSet => "exact_set",
        }
    }
}

/// When an order is exempt. Both may hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exemptions {
    /// Its exact set was issued less than [`SET_REMEMBERED_FOR`] before this instant.
    pub set_until: Option<Timestamp>,
    /// The window [from, until) of the certificate that it replaces.
    pub renewal_info: Option<(Timestamp, Timestamp)>,
}

impl Exemptions {
    pub const NONE: Self = Self { set_until: None, renewal_info: None };

    /// Of an order whose exact set was last issued at `issued_at`.
    pub fn of_set(issued_at: Timestamp) -> Self {
        Self { set_until: Some(issued_at.after(SET_REMEMBERED_FOR)), renewal_info: None }
    }

    /// What an order is exempt by that leaves at `now`; the stronger one where both hold.
    pub fn at(&self, now: Timestamp) -> Option<Exemption> {
        let there_by = now.after(MARGIN);
        if self.renewal_info.is_some_and(|(from, until)| from <= now && there_by < until) {
            return Some(Exemption::RenewalInfo);
        }
        self.set_until.is_some_and(|until| there_by < until).then_some(Exemption::ExactSet)
    }

    /// Of an order that does not, or no longer, name the certificate it replaces.
    #[must_use]
    pub fn without_renewal_info(self) -> Self {
        Self { renewal_info: None, ..self }
    }

    /// From when on an order that is exempt at `now` will not be, by what exempts it now. `None`: it is not exempt.
    pub fn over_at(&self, now: Timestamp) -> Option<Timestamp> {
        let there_by = now.after(MARGIN);
        let window = self.renewal_info.filter(|(from, _)| *from <= now).map(|(_, until)| until);
        let holding = window.into_iter().chain(self.set_until).filter(|until| there_by < *until);
        holding.max().map(|until| until.before(MARGIN))
    }

    /// Without what is over at `now`, so that nobody takes the order for exempt any more.
    #[must_use]
    pub fn still_at(self, now: Timestamp) -> Self {
        let there_by = now.after(MARGIN);
        Self {
            set_until: self.set_until.filter(|until| there_by < *until),
            renewal_info: self.renewal_info.filter(|(_, until)| there_by < *until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);
    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_set_is_exempt_for_120_days_less_the_margin() {
        let issued = |days: u32| Exemptions::of_set(NOW.before(DAY * days)).at(NOW);
        assert_eq!(issued(0), Some(Exemption::ExactSet));
        assert_eq!(issued(119), Some(Exemption::ExactSet));
        assert_eq!(issued(120), None);
        let nearly = Exemptions::of_set(NOW.before(DAY * 120).after(MARGIN));
        assert_eq!(nearly.at(NOW), None, "the request may arrive too late");
        assert_eq!(nearly.still_at(NOW), Exemptions::NONE);
    }

    #[test]
    fn a_window_exempts_from_its_start_to_shortly_before_its_end() {
        let window = (NOW, NOW.after(DAY));
        let both = Exemptions { renewal_info: Some(window), ..Exemptions::of_set(NOW) };
        assert_eq!(both.at(NOW), Some(Exemption::RenewalInfo));
        assert_eq!(both.at(NOW.before(Duration::from_secs(1))), Some(Exemption::ExactSet), "not open yet");
        assert_eq!(both.at(NOW.after(DAY).before(MARGIN)), Some(Exemption::ExactSet), "all but over");
        assert_eq!(both.still_at(NOW.after(DAY)), Exemptions::of_set(NOW));
    }

    #[test]
    fn it_is_over_at_the_instant_from_which_it_does_not_hold() {
        let second = Duration::from_secs(1);
        let set = Exemptions { set_until: Some(NOW.after(DAY)), renewal_info: None };
        let window = Exemptions { set_until: None, renewal_info: Some((NOW, NOW.after(DAY * 2))) };
        let both = Exemptions { renewal_info: window.renewal_info, ..set };
        for exemptions in [set, window, both] {
            let over = exemptions.over_at(NOW).expect("it holds");
            assert_eq!(exemptions.at(over), None);
            assert!(exemptions.at(over.before(second)).is_some());
        }
        assert_eq!(window.over_at(NOW.before(second)), None, "not open yet");
    }
}
