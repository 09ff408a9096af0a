//! Who may place an order now. Decided for many orders of one account at once, from what one transaction
//! has read under the account's lock; what is granted is taken in the same transaction.

use std::collections::HashSet;
use std::time::Duration;

use crate::backoff::HostnameBackoff;
use crate::exemption::Exemption;
use crate::fairness::Lane;
use crate::gcra::Bucket;
use crate::identifier::{Hostname, Identifiers};
use crate::limit::LimitName;
use crate::mirror::{Meter, Meters, Need, Shortage};
use crate::time::Timestamp;

/// What the account has left.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Authorizations that may be pending at once for this kind of work: the cap less the recovery reserve,
    /// or the whole cap where an order in doubt is asked for again.
    pub pending_max: u32,
    /// Reserved and pending now.
    pub pending: u32,
    /// The account's bucket of new orders; `None` where the CA does not count them.
    pub new_orders: Option<Meter>,
    /// The operator believes that the CA grants the account more new orders than is known: where no token is left, one
    /// order at a time goes all the same, until the CA says no.
    pub seeks_more: bool,
    /// The CA wants no new-order from this account before.
    pub held_until: Timestamp,
}

/// One order that wants to be placed.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    pub names: &'a Identifiers,
    pub lane: Lane,
    /// When preflight saw every name answer.
    pub proven_at: Timestamp,
    /// What is remembered of those of its names that failed.
    pub backoffs: &'a [(Hostname, HostnameBackoff)],
    /// Its own flight is under way already: it is asked for again.
    pub again: bool,
    /// Why the CA will not count it, if so.
    pub exemption: Option<Exemption>,
    /// What it wants of the buckets beside the account's.
    pub needs: &'a [Need],
    /// Others of its lane whose turn is before its own, who are not among the candidates and whom the CA would count.
    pub ahead: u32,
}

/// Why not now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The pending-authorization budget is used up; no instant is known, a release makes room.
    NoRoom { until: Timestamp },
    /// The account's new-order bucket is empty, or what is left is kept for those for whom a person waits.
    NewOrders { until: Timestamp },
    /// The CA told the whole account to wait.
    Held { until: Timestamp },
    /// Another order is on its way to show whether the CA lets the bucket become that empty.
    Unproven { limit: LimitName, until: Timestamp },
    /// The tokens that are left are for those of its lane whose turn is before its own; they are on their way.
    Turn { until: Timestamp },
    /// Another limit has no token for it; one is promised for then.
    Limit { limit: LimitName, key: Box<str>, until: Timestamp },
    /// A name rests after a failure.
    Backoff { hostname: Hostname, until: Timestamp },
    /// Another order is being validated at the same name.
    TargetBusy { target: Box<str>, until: Timestamp },
}

impl Denial {
    /// When to ask again.
    pub fn until(&self) -> Timestamp {
        match self {
            Self::NoRoom { until }
            | Self::NewOrders { until }
            | Self::Held { until }
            | Self::Turn { until }
            | Self::Unproven { until, .. }
            | Self::Limit { until, .. }
            | Self::Backoff { until, .. }
            | Self::TargetBusy { until, .. } => *until,
        }
    }

    /// It stands against every order of the account that the CA counts, and not against this one: asking for another
    /// is of no use before [`until`](Self::until).
    pub fn is_the_accounts(&self) -> bool {
        match self {
            Self::NoRoom { .. } | Self::NewOrders { .. } | Self::Held { .. } | Self::Turn { .. } => true,
            Self::Unproven { limit, .. } => *limit == LimitName::NewOrdersPerAccount,
            Self::Limit { .. } | Self::Backoff { .. } | Self::TargetBusy { .. } => false,
        }
    }

    /// The spelling in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NoRoom { .. } => "no_room",
            Self::NewOrders { .. } => "new_orders",
            Self::Held { .. } => "held",
            Self::Unproven { .. } => "unproven",
            Self::Turn { .. } => "turn",
            Self::Limit { limit, .. } => limit.as_str(),
            Self::Backoff { .. } => "backoff",
            Self::TargetBusy { .. } => "target_busy",
        }
    }
}

/// Room comes back within a validation's time; whoever releases some says so, this is for those who missed it.
const ROOM_WAIT: Duration = Duration::from_millis(500);
/// An answer to new-order takes about as long; whoever hears it says so, this is for the other replicas.
pub(crate) const PROOF_WAIT: Duration = Duration::from_millis(200);
/// A flight takes about as long as a validation and a finalize.
const TARGET_WAIT: Duration = Duration::from_secs(5);
/// A person waits no longer than this for a new-order token: where one takes longer to come back, some are kept.
const PATIENCE: Duration = Duration::from_mins(1);
/// Of what is kept for those for whom a person waits: one in so many.
const KEPT_SHARE: u32 = 20;

/// Authorizations that bulk work leaves to the others, of as many as may be pending.
pub fn pending_kept(pending_max: u32) -> u32 {
    pending_max / KEPT_SHARE
}

/// New-order tokens that bulk work leaves to the others.
pub fn new_orders_kept(bucket: &Bucket) -> u32 {
    if bucket.refill() <= PATIENCE { 0 } else { (bucket.burst() / KEPT_SHARE).max(1).min(bucket.burst() - 1) }
}

/// What is used up in the course of one decision.
#[derive(Debug)]
pub struct Books<'a> {
    pub budget: &'a mut Budget,
    pub flights: &'a mut HashSet<Box<str>>,
    pub meters: &'a mut Meters,
}

/// Decides for `candidates` in their order, taking from the books as it grants.
///
/// Once one is refused for want of room, all after it are: a large order must not be overtaken by small ones
/// for ever. But bulk work holds up nobody else.
pub fn admit(candidates: &[Candidate<'_>], books: &mut Books<'_>, now: Timestamp) -> Vec<Result<(), Denial>> {
    let (mut full, mut full_for_bulk) = (false, false);
    candidates
        .iter()
        .map(|candidate| {
            let bulk = candidate.lane == Lane::Bulk;
            let decision = decide(candidate, books, full || (bulk && full_for_bulk), now);
            match &decision {
                Ok(()) => books.take(candidate),
                Err(Denial::NoRoom { .. }) if bulk => full_for_bulk = true,
                Err(Denial::NoRoom { .. }) => full = true,
                Err(_) => {}
            }
            decision
        })
        .collect()
}

fn units(candidate: &Candidate<'_>) -> u32 {
    u32::try_from(candidate.names.len()).unwrap_or(u32::MAX)
}

impl Books<'_> {
    fn take(&mut self, candidate: &Candidate<'_>) {
        self.budget.pending += units(candidate);
        self.flights.extend(candidate.names.iter().map(|name| name.validation_target().into()));
        // Asked again, it holds its reservations already.
        for need in candidate.needs.iter().filter(|need| need.reserved && !candidate.again) {
            if let Some(meter) = self.meters.get_mut(&need.bucket) {
                meter.reserved += 1;
            }
        }
    }

    /// The bucket that makes it wait longest, if any does; the token that it waits for is promised to it.
    fn check_limits(&mut self, candidate: &Candidate<'_>, now: Timestamp) -> Result<(), Denial> {
        let checked = || candidate.needs.iter().filter(|need| need.checked);
        let short =
            |need: &Need| Some((self.meters.get(&need.bucket)?.let_one(now).err()?, need.bucket.limit));
        let waits = checked().filter_map(|need| match short(need)? {
            (Shortage::Until(retry_at), _) => Some((retry_at, &need.bucket)),
            (Shortage::Unproven, _) => None,
        });
        if let Some((retry_at, bucket)) = waits.max_by_key(|(retry_at, _)| *retry_at) {
            let until = self.meters.get_mut(bucket).map_or(retry_at, |meter| meter.promise(retry_at));
            return Err(Denial::Limit { limit: bucket.limit, key: bucket.key.clone(), until });
        }
        match checked().find_map(short) {
            // The CA counts these when it issues, so the way is as long as a whole order's.
            Some((_, limit)) => Err(Denial::Unproven { limit, until: now.after(TARGET_WAIT) }),
            None => Ok(()),
        }
    }
}

impl Budget {
    /// Takes a new-order token, but for `kept` of them, and for those that are `ahead`.
    fn take_new_order(&mut self, kept: u32, ahead: u32, now: Timestamp) -> Result<(), Denial> {
        let Some(meter) = &mut self.new_orders else { return Ok(()) };
        let ventures = self.seeks_more && meter.reserved == 0;
        let let_one = match meter.check(1 + kept, now) {
            Err(_) if ventures => Ok(()),
            Err(retry_at) => Err(Shortage::Until(retry_at)),
            Ok(()) => meter.let_one(now),
        };
        let for_those_ahead = ahead >= meter.left(now).max(1) || meter.check(1 + kept + ahead, now).is_err();
        if let_one.is_ok() && ahead > 0 && for_those_ahead {
            return Err(Denial::Turn { until: now.after(PROOF_WAIT) });
        }
        match let_one {
            Ok(()) => {
                meter.reserved += 1;
                Ok(())
            }
            Err(Shortage::Until(_)) if self.seeks_more => Err(unproven(now)),
            Err(Shortage::Until(until)) => Err(Denial::NewOrders { until }),
            Err(Shortage::Unproven) => Err(unproven(now)),
        }
    }
}

fn unproven(now: Timestamp) -> Denial {
    Denial::Unproven { limit: LimitName::NewOrdersPerAccount, until: now.after(PROOF_WAIT) }
}

fn decide(
    candidate: &Candidate<'_>,
    books: &mut Books<'_>,
    full: bool,
    now: Timestamp,
) -> Result<(), Denial> {
    if now < books.budget.held_until {
        return Err(Denial::Held { until: books.budget.held_until });
    }
    let resting = candidate
        .backoffs
        .iter()
        .map(|(hostname, backoff)| (hostname, backoff.proven(candidate.proven_at).until))
        .filter(|(_, until)| *until > now)
        .max_by_key(|(_, until)| *until);
    if let Some((hostname, until)) = resting {
        return Err(Denial::Backoff { hostname: hostname.clone(), until });
    }
    if !candidate.again {
        let busy = candidate.names.iter().find(|name| books.flights.contains(name.validation_target()));
        if let Some(name) = busy {
            let until = now.after(TARGET_WAIT);
            return Err(Denial::TargetBusy { target: name.validation_target().into(), until });
        }
        books.check_limits(candidate, now)?;
    }
    let bulk = candidate.lane == Lane::Bulk && !candidate.again;
    let budget = &mut *books.budget;
    let kept = if bulk { pending_kept(budget.pending_max) } else { 0 };
    if full || budget.pending.saturating_add(units(candidate)).saturating_add(kept) > budget.pending_max {
        return Err(Denial::NoRoom { until: now.after(ROOM_WAIT) });
    }
    if candidate.exemption.is_some() {
        return Ok(());
    }
    let kept = match &budget.new_orders {
        Some(meter) if bulk => new_orders_kept(&meter.bucket),
        _ => 0,
    };
    let ahead = if candidate.again { 0 } else { candidate.ahead };
    budget.take_new_order(kept, ahead, now)
}

#[cfg(test)]
mod tests;
