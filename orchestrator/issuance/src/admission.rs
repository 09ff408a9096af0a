//! Who may place an order now. Decided for many orders of one account at once, from what one transaction
//! has read under the account's lock; what is granted is taken in the same transaction.

use std::collections::HashSet;
use std::time::Duration;

use crate::backoff::HostnameBackoff;
use crate::gcra::{Bucket, Decision};
use crate::identifier::{Hostname, Identifiers};
use crate::time::Timestamp;

/// What the account has left.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Authorizations that may be pending at once for this kind of work: the cap less the recovery reserve,
    /// or the whole cap where an order in doubt is asked for again.
    pub pending_max: u32,
    /// Reserved and pending now.
    pub pending: u32,
    /// new-orders: the bucket and its state.
    pub new_orders: Option<(Bucket, Timestamp)>,
    /// The CA wants no new-order from this account before.
    pub held_until: Timestamp,
}

/// One order that wants to be placed.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    pub names: &'a Identifiers,
    /// When preflight saw every name answer.
    pub proven_at: Timestamp,
    /// What is remembered of those of its names that failed.
    pub backoffs: &'a [(Hostname, HostnameBackoff)],
    /// Its own flight is under way already: it is asked for again.
    pub again: bool,
}

/// Why not now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The pending-authorization budget is used up; no instant is known, a release makes room.
    NoRoom { until: Timestamp },
    /// The account's new-order bucket is empty.
    NewOrders { until: Timestamp },
    /// The CA told the whole account to wait.
    Held { until: Timestamp },
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
            | Self::Backoff { until, .. }
            | Self::TargetBusy { until, .. } => *until,
        }
    }

    /// The spelling in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NoRoom { .. } => "no_room",
            Self::NewOrders { .. } => "new_orders",
            Self::Held { .. } => "held",
            Self::Backoff { .. } => "backoff",
            Self::TargetBusy { .. } => "target_busy",
        }
    }
}

/// Room comes back within a validation's time; whoever releases some says so, this is for those who missed it.
const ROOM_WAIT: Duration = Duration::from_millis(500);
/// A flight takes about as long as a validation and a finalize.
const TARGET_WAIT: Duration = Duration::from_secs(5);

/// Decides for `candidates` in their order, taking from `budget` and `flights` as it grants.
///
/// Once one is refused for want of room, all after it are: a large order must not be overtaken by small ones
/// for ever.
pub fn admit(
    candidates: &[Candidate<'_>],
    budget: &mut Budget,
    flights: &mut HashSet<Box<str>>,
    now: Timestamp,
) -> Vec<Result<(), Denial>> {
    let mut full = false;
    candidates
        .iter()
        .map(|candidate| {
            let decision = decide(candidate, budget, flights, full, now);
            match &decision {
                Ok(()) => {
                    budget.pending += units(candidate);
                    flights.extend(candidate.names.iter().map(|name| name.validation_target().into()));
                }
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

fn decide(
    candidate: &Candidate<'_>,
    budget: &mut Budget,
    flights: &HashSet<Box<str>>,
    full: bool,
    now: Timestamp,
) -> Result<(), Denial> {
    if now < budget.held_until {
        return Err(Denial::Held { until: budget.held_until });
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
        let busy = candidate.names.iter().find(|name| flights.contains(name.validation_target()));
        if let Some(name) = busy {
            let until = now.after(TARGET_WAIT);
            return Err(Denial::TargetBusy { target: name.validation_target().into(), until });
        }
    }
    if full || budget.pending.saturating_add(units(candidate)) > budget.pending_max {
        return Err(Denial::NoRoom { until: now.after(ROOM_WAIT) });
    }
    let Some((bucket, full_at)) = &mut budget.new_orders else { return Ok(()) };
    match bucket.spend(*full_at, 1, now) {
        Decision::Granted { full_at: after } => {
            *full_at = after;
            Ok(())
        }
        Decision::Denied { retry_at } => Err(Denial::NewOrders { until: retry_at }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::Fraction;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

    fn names(first: usize, count: usize) -> Identifiers {
        let hosts =
            (first..first + count).map(|n| Hostname::parse(&format!("h{n}.example.com")).expect("a name"));
        Identifiers::new(hosts).expect("a set")
    }

    fn budget(pending: u32) -> Budget {
        Budget { pending_max: 20, pending, new_orders: None, held_until: Timestamp::EPOCH }
    }

    fn candidate(names: &Identifiers) -> Candidate<'_> {
        Candidate { names, proven_at: NOW, backoffs: &[], again: false }
    }

    #[test]
    fn a_large_order_is_not_overtaken_while_there_is_no_room_for_it() {
        let (large, small) = (names(0, 5), names(10, 1));
        let mut flights = HashSet::new();
        let decisions = admit(&[candidate(&large), candidate(&small)], &mut budget(16), &mut flights, NOW);
        let denial = Err(Denial::NoRoom { until: NOW.after(ROOM_WAIT) });
        assert_eq!(decisions, [denial.clone(), denial]);
        assert!(flights.is_empty());
    }

    #[test]
    fn two_orders_never_fly_to_one_target() {
        let (plain, wildcard) =
            (names(0, 1), Identifiers::new([Hostname::parse("*.h0.example.com").expect("a name")]));
        let wildcard = wildcard.expect("a set");
        let mut flights = HashSet::new();
        let decisions = admit(&[candidate(&plain), candidate(&wildcard)], &mut budget(0), &mut flights, NOW);
        assert_eq!(decisions[0], Ok(()));
        assert!(
            matches!(&decisions[1], Err(Denial::TargetBusy { target, .. }) if &**target == "h0.example.com")
        );
        let again = Candidate { again: true, ..candidate(&plain) };
        assert_eq!(admit(&[again], &mut budget(0), &mut flights, NOW), [Ok(())]);
    }

    #[test]
    fn a_name_that_failed_at_the_ca_rests_though_it_looks_well() {
        let one = names(0, 1);
        let hostname = one.iter().next().expect("one name").clone();
        let failed_at = NOW.before(Duration::from_secs(10));
        for (at_ca, expected) in [
            (
                true,
                Err(Denial::Backoff {
                    hostname: hostname.clone(),
                    until: NOW.after(Duration::from_secs(50)),
                }),
            ),
            (false, Ok(())),
        ] {
            let backoff = HostnameBackoff::default().after_failure(at_ca, failed_at, Fraction::ZERO);
            let backoffs = [(hostname.clone(), backoff)];
            let resting = Candidate { backoffs: &backoffs, ..candidate(&one) };
            assert_eq!(admit(&[resting], &mut budget(0), &mut HashSet::new(), NOW), [expected]);
        }
    }

    #[test]
    fn the_new_order_bucket_and_the_account_hold_everybody() {
        let (first, second) = (names(0, 1), names(1, 1));
        let bucket = Bucket::new(1, 1, Duration::from_secs(36)).expect("a bucket");
        let mut one_left = Budget { new_orders: Some((bucket, NOW)), ..budget(0) };
        let decisions =
            admit(&[candidate(&first), candidate(&second)], &mut one_left, &mut HashSet::new(), NOW);
        assert_eq!(decisions, [Ok(()), Err(Denial::NewOrders { until: NOW.after(Duration::from_secs(36)) })]);
        let until = NOW.after(Duration::from_secs(7));
        let mut held = Budget { held_until: until, ..budget(0) };
        let decisions = admit(&[candidate(&first)], &mut held, &mut HashSet::new(), NOW);
        assert_eq!(decisions, [Err(Denial::Held { until })]);
    }

    proptest! {
        /// Whatever asks, in whatever order and size: the budget is never exceeded, never undercounted, and
        /// a denied order takes nothing.
        #[test]
        fn the_budget_is_never_exceeded(sizes in prop::collection::vec(1_usize..8, 1..40), used in 0_u32..25) {
            let sets: Vec<_> = sizes.iter().enumerate().map(|(n, size)| names(n * 10, *size)).collect();
            let candidates: Vec<_> = sets.iter().map(candidate).collect();
            let mut budget = budget(used);
            let mut flights = HashSet::new();
            let decisions = admit(&candidates, &mut budget, &mut flights, NOW);
            let granted: usize = decisions.iter().zip(&sizes).filter(|(one, _)| one.is_ok()).map(|(_, size)| size).sum();
            prop_assert_eq!(budget.pending, used + u32::try_from(granted).expect("small"));
            prop_assert!(granted == 0 || budget.pending <= budget.pending_max);
            prop_assert_eq!(flights.len(), granted);
        }
    }
}
