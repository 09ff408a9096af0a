//! What a forecast is asked with.

use std::collections::HashMap;
use std::time::Duration;

use crate::exemption::Exemptions;
use crate::fairness::Lane;
use crate::identifier::Identifiers;
use crate::ids::AccountId;
use crate::mirror::{BucketKey, Rules};
use crate::time::Timestamp;

/// Everything that is known and everything that is assumed.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub now: Timestamp,
    pub account: AccountId,
    pub rules: &'a Rules,
    /// The buckets that are not full, and when they will be; reservations counted as spent.
    pub full_at: &'a HashMap<BucketKey, Timestamp>,
    /// No order leaves before.
    pub held_until: Timestamp,
    /// Each tenant's weight. Elsewhere a tenant is a place in this list.
    pub tenants: &'a [u32],
    /// What is queued already, in front of `sites`.
    pub ahead: &'a [Ahead],
    pub sites: &'a [Site<'a>],
    pub capacity: Capacity,
    pub expectations: Expectations,
    /// Finishes to find overrides for, from `now`.
    pub targets: &'a [Duration],
    /// The same seed, the same answer.
    pub seed: u64,
}

/// One certificate that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    pub names: &'a Identifiers,
    pub tenant: u32,
    pub lane: Lane,
    pub exemptions: Exemptions,
    pub readiness: Readiness,
}

/// What is known of a site beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Readiness {
    /// It is as likely to be broken as any.
    #[default]
    Unknown,
    Good,
    /// Some of its names are broken; the others get a certificate of their own.
    GoodInPart,
    /// It gets no certificate before somebody has repaired it.
    Broken,
}

/// Orders of one tenant in one lane that line up before the sites, alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    pub tenant: u32,
    pub lane: Lane,
    pub orders: u32,
    /// Names of each.
    pub names: u32,
    pub exemptions: Exemptions,
}

/// What we can do ourselves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    /// Authorizations that may be pending at once: the budget less the recovery reserve.
    pub pending_max: u32,
    /// Pending now; assumed to be settled in the time of one order.
    pub pending: u32,
    /// Orders in hand at once, over all replicas.
    pub workers: u32,
    /// How long one order is in hand.
    pub order: Duration,
}

/// What is assumed of that which is not known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expectations {
    /// Of all sites, those that get no certificate for all of their names before they are repaired; from 0 to 1.
    pub broken_share: f64,
    /// Of those, the ones that preflight does not see: each takes a new-order token in vain.
    pub hidden_share: f64,
    /// Of the others with more than one name, the ones of which some name is good: those names go on in an order of
    /// their own, which is a new set to the CA.
    pub partial_share: f64,
    /// An order takes up to this share more or less than the mean.
    pub service_spread: f64,
    /// All workers are up to this share faster or slower than assumed.
    pub capacity_spread: f64,
    /// A wait for a token takes up to this share longer (Boulder adds as much to `Retry-After`).
    pub wait_jitter: f64,
}

impl Expectations {
    /// Nothing fails and all is exact.
    pub const NONE: Self = Self {
        broken_share: 0.0,
        hidden_share: 0.0,
        partial_share: 0.0,
        service_spread: 0.0,
        capacity_spread: 0.0,
        wait_jitter: 0.0,
    };

    /// Where nothing was measured.
    pub const USUAL: Self = Self {
        broken_share: 0.05,
        hidden_share: 0.05,
        partial_share: 0.25,
        service_spread: 0.5,
        capacity_spread: 0.2,
        wait_jitter: 0.03,
    };
}
