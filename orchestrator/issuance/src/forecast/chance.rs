//! What is not known beforehand, drawn from a seed.
//!
//! Each draw belongs to one thing (this order's fate, that tenant's place), not to a moment, so a run with one limit
//! lifted meets the same fates as the run that it is held against.

use std::time::Duration;

use super::question::Expectations;
use crate::time::Fraction;

/// One of the ways in which it may come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chance {
    root: u64,
    expectations: Expectations,
}

/// What becomes of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Issued,
    /// For those of its names that are good.
    IssuedInPart,
    /// Preflight keeps it at home; it costs nothing.
    Parked,
    /// It looks well from here, takes what an order takes until the CA has looked, and gets no certificate.
    RefusedByCa,
}

#[derive(Debug, Clone, Copy)]
enum Purpose {
    Capacity = 1,
    Fate,
    Hidden,
    Part,
    Service,
    Jitter,
    Tie,
}

impl Chance {
    pub(super) fn new(seed: u64, draw: u64, expectations: Expectations) -> Self {
        Self { root: mixed(seed ^ mixed(draw)), expectations }
    }

    /// How much faster or slower all workers are than expected.
    pub(super) fn capacity_factor(&self) -> f64 {
        self.around_one(self.expectations.capacity_spread, Purpose::Capacity, 0)
    }

    pub(super) fn fate(&self, order: u32, names: u32) -> Fate {
        if self.number(Purpose::Fate, order.into()) >= self.expectations.broken_share {
            return Fate::Issued;
        }
        if self.number(Purpose::Hidden, order.into()) < self.expectations.hidden_share {
            Fate::RefusedByCa
        } else if names > 1 && self.number(Purpose::Part, order.into()) < self.expectations.partial_share {
            Fate::IssuedInPart
        } else {
            Fate::Parked
        }
    }

    /// How long one order is in hand, of which `usual` is the mean.
    pub(super) fn service(&self, usual: Duration, order: u32) -> Duration {
        usual.mul_f64(self.around_one(self.expectations.service_spread, Purpose::Service, order.into()))
    }

    /// What is added to a wait for a token of a key.
    pub(super) fn jitter(&self, wait: Duration, order: u32) -> Duration {
        Fraction::new(self.number(Purpose::Jitter, order.into())).of(wait, self.expectations.wait_jitter)
    }

    /// Who goes first of those with the same claim to it.
    pub(super) fn tie(&self, tenant: u32) -> u32 {
        let bits = self.bits(Purpose::Tie, tenant.into());
        u32::try_from(bits >> 32).unwrap_or(u32::MAX)
    }

    fn around_one(&self, spread: f64, purpose: Purpose, whose: u64) -> f64 {
        (1.0 + spread * (2.0 * self.number(purpose, whose) - 1.0)).max(0.0)
    }

    /// In `[0, 1)`.
    fn number(&self, purpose: Purpose, whose: u64) -> f64 {
        let bits = u32::try_from(self.bits(purpose, whose) >> 32).unwrap_or(u32::MAX);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }

    fn bits(&self, purpose: Purpose, whose: u64) -> u64 {
        mixed(self.root ^ mixed((purpose as u64) << 56 ^ whose))
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood, 2014).
fn mixed(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: u32 = 20_000;

    #[test]
    fn shares_come_out_as_expected_and_differ_from_draw_to_draw() {
        let expectations =
            Expectations { broken_share: 0.05, hidden_share: 0.1, partial_share: 0.25, ..Expectations::NONE };
        let count_of = |names, draw, fate| {
            let chance = Chance::new(7, draw, expectations);
            (0..ORDERS).filter(|order| chance.fate(*order, names) == fate).count()
        };
        let count = |draw, fate| count_of(1, draw, fate);
        assert!((800..1_000).contains(&count(1, Fate::Parked)), "{}", count(1, Fate::Parked));
        assert_eq!(count(1, Fate::IssuedInPart), 0, "a site of one name is whole or not at all");
        let in_part = count_of(2, 1, Fate::IssuedInPart);
        assert!((180..270).contains(&in_part), "{in_part}");
        assert_eq!(in_part + count_of(2, 1, Fate::Parked), count(1, Fate::Parked));
        assert!((60..140).contains(&count(1, Fate::RefusedByCa)), "{}", count(1, Fate::RefusedByCa));
        assert_ne!(count(1, Fate::Parked), count(2, Fate::Parked));
        assert_eq!(count(1, Fate::Parked), count(1, Fate::Parked));
    }

    #[test]
    fn where_nothing_is_uncertain_nothing_is_drawn() {
        let chance = Chance::new(7, 1, Expectations::NONE);
        let usual = Duration::from_secs(4);
        assert_eq!(chance.service(usual, 3), usual);
        assert_eq!(chance.jitter(usual, 3), Duration::ZERO);
        assert!((0..ORDERS).all(|order| chance.fate(order, 2) == Fate::Issued));
    }
}
