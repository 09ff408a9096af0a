//! Who may place an order now. Decided for many orders of one account at once, from what one transaction
//! has read under the account's lock; what is granted is taken in the same transaction.

use std::collections::HashSet;
use std::time::Duration;

use crate::backoff::HostnameBackoff;
use crate::exemption::Exemption;
use crate::fairness::Lane;
use crate::gcra::{Bucket, Decision};
use crate::identifier::{Hostname, Identifiers};
use crate::limit::LimitName;
use crate::mirror::{self, Meters, Need};
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
            | Self::Limit { until, .. }
            | Self::Backoff { until, .. }
            | Self::TargetBusy { until, .. } => *until,
        }
    }

    /// It stands against every order of the account that the CA counts, and not against this one: asking for another
    /// is of no use before [`until`](Self::until).
    pub fn is_the_accounts(&self) -> bool {
        matches!(self, Self::NoRoom { .. } | Self::NewOrders { .. } | Self::Held { .. })
    }

    /// The spelling in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NoRoom { .. } => "no_room",
            Self::NewOrders { .. } => "new_orders",
            Self::Held { .. } => "held",
            Self::Limit { limit, .. } => limit.as_str(),
            Self::Backoff { .. } => "backoff",
            Self::TargetBusy { .. } => "target_busy",
        }
    }
}

/// Room comes back within a validation's time; whoever releases some says so, this is for those who missed it.
const ROOM_WAIT: Duration = Duration::from_millis(500);
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
        let waits = candidate.needs.iter().filter(|need| need.checked).filter_map(|need| {
            let retry_at = self.meters.get(&need.bucket)?.check(now).err()?;
            Some((retry_at, &need.bucket))
        });
        let Some((retry_at, bucket)) = waits.max_by_key(|(retry_at, _)| *retry_at) else { return Ok(()) };
        let until = self.meters.get_mut(bucket).map_or(retry_at, |meter| meter.promise(retry_at));
        Err(Denial::Limit { limit: bucket.limit, key: bucket.key.clone(), until })
    }
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
    let Some((bucket, full_at)) = &mut budget.new_orders else { return Ok(()) };
    let kept = if bulk { new_orders_kept(bucket) } else { 0 };
    if let Decision::Denied { retry_at } = bucket.spend(*full_at, 1 + kept, now) {
        return Err(Denial::NewOrders { until: retry_at });
    }
    match mirror::take_new_order(*bucket, *full_at, now) {
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
    use crate::ids::AccountId;
    use crate::mirror::{ARRIVAL_MARGIN, BucketKey, Meter};
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
        Candidate {
            names,
            lane: Lane::Renewal,
            proven_at: NOW,
            backoffs: &[],
            again: false,
            exemption: None,
            needs: &[],
        }
    }

    fn decide_all(
        candidates: &[Candidate<'_>],
        budget: &mut Budget,
        flights: &mut HashSet<Box<str>>,
    ) -> Vec<Result<(), Denial>> {
        admit(candidates, &mut Books { budget, flights, meters: &mut Meters::new() }, NOW)
    }

    #[test]
    fn a_large_order_is_not_overtaken_while_there_is_no_room_for_it() {
        let (large, small) = (names(0, 5), names(10, 1));
        let mut flights = HashSet::new();
        let decisions = decide_all(&[candidate(&large), candidate(&small)], &mut budget(16), &mut flights);
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
        let decisions = decide_all(&[candidate(&plain), candidate(&wildcard)], &mut budget(0), &mut flights);
        assert_eq!(decisions[0], Ok(()));
        assert!(
            matches!(&decisions[1], Err(Denial::TargetBusy { target, .. }) if &**target == "h0.example.com")
        );
        let again = Candidate { again: true, ..candidate(&plain) };
        assert_eq!(decide_all(&[again], &mut budget(0), &mut flights), [Ok(())]);
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
            assert_eq!(decide_all(&[resting], &mut budget(0), &mut HashSet::new()), [expected]);
        }
    }

    #[test]
    fn the_new_order_bucket_and_the_account_hold_everybody() {
        let (first, second) = (names(0, 1), names(1, 1));
        let bucket = Bucket::new(1, 1, Duration::from_secs(36)).expect("a bucket");
        let mut one_left = Budget { new_orders: Some((bucket, NOW)), ..budget(0) };
        let decisions =
            decide_all(&[candidate(&first), candidate(&second)], &mut one_left, &mut HashSet::new());
        assert_eq!(
            decisions,
            [
                Ok(()),
                Err(Denial::NewOrders { until: NOW.after(ARRIVAL_MARGIN).after(Duration::from_secs(36)) })
            ]
        );
        let until = NOW.after(Duration::from_secs(7));
        let mut held = Budget { held_until: until, ..budget(0) };
        let decisions = decide_all(&[candidate(&first)], &mut held, &mut HashSet::new());
        assert_eq!(decisions, [Err(Denial::Held { until })]);
    }

    #[test]
    fn what_the_ca_counts_later_is_spoken_for_now_and_those_who_wait_are_promised_a_token_each() {
        let (one, two, three) = (names(0, 1), names(1, 1), names(2, 1));
        let week = Duration::from_hours(168);
        let domain = BucketKey::of_domain("example.com");
        let bucket = Bucket::new(1, 1, week).expect("a bucket");
        let mut meters = Meters::from([(domain.clone(), Meter::full(bucket, NOW))]);
        let needs = [Need { bucket: domain.clone(), checked: true, reserved: true }];
        let unchecked = [Need { bucket: domain.clone(), checked: false, reserved: true }];
        let candidates = [
            Candidate { needs: &needs, ..candidate(&one) },
            Candidate { needs: &needs, ..candidate(&two) },
            Candidate { needs: &unchecked, ..candidate(&three) },
            Candidate { needs: &needs, ..candidate(&two) },
        ];
        let (mut budget, mut flights) = (budget(0), HashSet::new());
        let mut books = Books { budget: &mut budget, flights: &mut flights, meters: &mut meters };
        let decisions = admit(&candidates, &mut books, NOW);
        let denied = |weeks| {
            let limit = LimitName::CertificatesPerRegisteredDomain;
            Err(Denial::Limit { limit, key: "example.com".into(), until: NOW.after(week * weeks) })
        };
        assert_eq!(decisions, [Ok(()), denied(1), Ok(()), denied(2)]);
        assert_eq!(meters[&domain].reserved, 2, "exempt from the check, counted all the same");
        assert_eq!(budget.pending, 2, "what was denied holds nothing");
    }

    #[test]
    fn bulk_work_leaves_room_for_those_for_whom_a_person_waits() {
        let (one, two) = (names(0, 1), names(1, 1));
        let bulk = Candidate { lane: Lane::Bulk, ..candidate(&one) };
        let person = Candidate { lane: Lane::Interactive, ..candidate(&two) };
        let no_room = Err(Denial::NoRoom { until: NOW.after(ROOM_WAIT) });
        let decisions = decide_all(&[bulk.clone(), person.clone()], &mut budget(19), &mut HashSet::new());
        assert_eq!(decisions, [no_room, Ok(())]);
        // Four tokens, the next one in a quarter of an hour: one is kept.
        let slow = Bucket::new(4, 4, Duration::from_hours(1)).expect("a bucket");
        let used = NOW.after(slow.refill() * 3);
        let mut last_one = Budget { new_orders: Some((slow, used)), ..budget(0) };
        let decisions = decide_all(&[bulk.clone(), person.clone()], &mut last_one, &mut HashSet::new());
        assert_eq!(decisions, [Err(Denial::NewOrders { until: NOW.after(slow.refill()) }), Ok(())]);
        // As fast as Let's Encrypt's: nothing is kept, nobody waits long.
        let fast = Bucket::new(300, 300, Duration::from_hours(3)).expect("a bucket");
        let mut last_one = Budget { new_orders: Some((fast, NOW.after(fast.refill() * 299))), ..budget(0) };
        assert_eq!(decide_all(&[bulk], &mut last_one, &mut HashSet::new()), [Ok(())]);
    }

    #[test]
    fn exempt_orders_take_no_token() {
        let one = names(0, 1);
        let bucket = Bucket::new(1, 1, Duration::from_hours(3)).expect("a bucket");
        let empty = NOW.after(bucket.refill());
        let mut budget = Budget { new_orders: Some((bucket, empty)), ..budget(0) };
        let exempt = Candidate { exemption: Some(Exemption::ExactSet), ..candidate(&one) };
        assert_eq!(decide_all(&[exempt], &mut budget, &mut HashSet::new()), [Ok(())]);
        assert_eq!(budget.new_orders, Some((bucket, empty)));
        assert_eq!(BucketKey::of_account(AccountId(uuid::Uuid::nil())).limit, LimitName::NewOrdersPerAccount);
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
            let decisions = decide_all(&candidates, &mut budget, &mut flights);
            let granted: usize = decisions.iter().zip(&sizes).filter(|(one, _)| one.is_ok()).map(|(_, size)| size).sum();
            prop_assert_eq!(budget.pending, used + u32::try_from(granted).expect("small"));
            prop_assert!(granted == 0 || budget.pending <= budget.pending_max);
            prop_assert_eq!(flights.len(), granted);
        }
    }
}
