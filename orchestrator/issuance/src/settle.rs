//! What becomes of an open authorization whose order cannot go on now: the first that applies of resume,
//! submit and deactivate.
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
    /// The last failure that the CA counts against the hostname: a validation that failed, or a deactivation
    /// of ours that it charged.
    pub failed_at: Option<Timestamp>,
    pub pressure: Pressure,
}

/// How much of what ordinary work may hold of the pending-authorization budget is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Under half: an order may be kept open for its next try, whenever that is.
    Low,
    /// What is kept open for long is missed by who could go now.
    High,
    /// Nine tenths: a unit is worth more than a failure token.
    NearCap,
}

impl Pressure {
    /// `held` units of `max`, which is the budget less the recovery reserve.
    pub fn of(held: u64, max: u64) -> Self {
        let (held, max) = (u128::from(held), u128::from(max));
        match () {
            () if held * 10 >= max * 9 => Self::NearCap,
            () if held * 2 >= max => Self::High,
            () => Self::Low,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// Keep the CA's order, and with it the authorization, until its next try. Costs nothing.
    Resume {
        at: Timestamp,
    },
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

/// A wait that takes no more room than a slow validation would: a new attempt would be no sooner.
const SHORT_WAIT: Duration = Duration::from_mins(2);

/// By when an authorization is to be settled that is open since `opened_at`.
pub fn deadline(opened_at: Timestamp, expires_at: Timestamp, profile: &CaProfile) -> Timestamp {
    opened_at.after(Duration::from_secs(profile.settle_grace_seconds)).min(latest(expires_at))
}

/// The last instant at which something can be settled that expires.
pub(crate) fn latest(expires_at: Timestamp) -> Timestamp {
    expires_at.before(EXPIRY_MARGIN)
}

/// Decides for one open authorization whose identifier has been read. `next_try` is when its order would be
/// tried again; `None` where the order has ended.
pub fn settle(
    authorization: &Authorization,
    circumstances: Circumstances,
    next_try: Option<Timestamp>,
    profile: &CaProfile,
    now: Timestamp,
) -> Settlement {
    let answerable = authorization.is_answerable();
    let requested = authorization.settle_requested_at.is_some();
    if let Some(at) = next_try {
        let in_time = at < authorization.settle_at;
        let room = match circumstances.pressure {
            Pressure::Low => true,
            Pressure::High => now.until(at) <= SHORT_WAIT,
            Pressure::NearCap => false,
        };
        if in_time && room && answerable && !requested {
            return Settlement::Resume { at };
        }
    }
    if circumstances.served && answerable {
        return Settlement::Submit;
    }
    if !profile.charges_deactivation || circumstances.pressure == Pressure::NearCap || requested {
        return Settlement::Deactivate;
    }
    let until = unwanted_at(circumstances.failed_at, profile).min(latest(authorization.expires_at));
    if until <= now { Settlement::Deactivate } else { Settlement::Wait { until } }
}

/// When nobody misses the failure token that a deactivation costs: the hostname's budget of failures is full.
fn unwanted_at(failed_at: Option<Timestamp>, profile: &CaProfile) -> Timestamp {
    failed_at.map_or(Timestamp::EPOCH, |at| at.after(profile.failure_budget_refill()))
}
