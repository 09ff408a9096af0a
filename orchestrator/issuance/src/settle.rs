//! How an open authorization of an order that will not go on is brought to an end.
//!
//! Letting one expire is never chosen, though some CAs charge nothing for it: others cap what is pending,
//! and a promise that rests on the CA forgetting is none. What was submitted is never deactivated: its
//! validation is under way, and the CA may charge for both.

use std::time::Duration;

use crate::authorization::Authorization;
use crate::profile::CaProfile;
use crate::time::Timestamp;

/// What is known when the decision is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// Our own check saw the response where the CA would look.
    pub served: bool,
    /// The instant at which nobody misses the failure token that a deactivation may cost: the hostname's
    /// failure budget is full.
    pub failure_budget_full_at: Timestamp,
    /// The account is close to its pending-authorization cap: a unit is worth more than a token.
    pub near_cap: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// Post the challenge: success leaves a valid authorization to reuse and costs nothing.
    Submit,
    Deactivate,
    /// Decide again then.
    Wait {
        until: Timestamp,
    },
}

/// A deactivation must reach the CA while there is something to deactivate.
const EXPIRY_MARGIN: Duration = Duration::from_mins(5);

/// Decides for one open authorization whose identifier has been read.
pub fn settle(
    authorization: &Authorization,
    circumstances: Circumstances,
    profile: &CaProfile,
    now: Timestamp,
) -> Settlement {
    if circumstances.served && authorization.challenge.is_some() {
        return Settlement::Submit;
    }
    if !profile.charges_deactivation || circumstances.near_cap {
        return Settlement::Deactivate;
    }
    let latest = authorization.expires_at.before(EXPIRY_MARGIN);
    let deadline = circumstances.failure_budget_full_at.min(latest);
    if deadline <= now { Settlement::Deactivate } else { Settlement::Wait { until: deadline } }
}
