//! Who is let through, and what is said to the others.

use proptest::prelude::*;

use super::*;
use crate::ids::AccountId;
use crate::mirror::{BucketKey, Meter};
use crate::time::Fraction;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

fn names(first: usize, count: usize) -> Identifiers {
    let hosts =
        (first..first + count).map(|n| Hostname::parse(&format!("h{n}.example.com")).expect("a name"));
    Identifiers::new(hosts).expect("a set")
}

fn budget(pending: u32) -> Budget {
    Budget { pending_max: 20, pending, new_orders: None, seeks_more: false, held_until: Timestamp::EPOCH }
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
        ahead: 0,
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
    assert!(matches!(&decisions[1], Err(Denial::TargetBusy { target, .. }) if &**target == "h0.example.com"));
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
            Err(Denial::Backoff { hostname: hostname.clone(), until: NOW.after(Duration::from_secs(50)) }),
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
    let mut one_left = Budget { new_orders: Some(Meter::full(bucket, NOW)), ..budget(0) };
    let decisions = decide_all(&[candidate(&first), candidate(&second)], &mut one_left, &mut HashSet::new());
    assert_eq!(decisions, [Ok(()), Err(Denial::NewOrders { until: NOW.after(Duration::from_secs(36)) })]);
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
    let mut last_one =
        Budget { new_orders: Some(Meter { full_at: used, ..Meter::full(slow, NOW) }), ..budget(0) };
    let decisions = decide_all(&[bulk.clone(), person.clone()], &mut last_one, &mut HashSet::new());
    assert_eq!(decisions, [Err(Denial::NewOrders { until: NOW.after(slow.refill()) }), Ok(())]);
    // As fast as Let's Encrypt's: nothing is kept, nobody waits long.
    let fast = Bucket::new(300, 300, Duration::from_hours(3)).expect("a bucket");
    let mut last_one = Budget {
        new_orders: Some(Meter { full_at: NOW.after(fast.refill() * 299), ..Meter::full(fast, NOW) }),
        ..budget(0)
    };
    assert_eq!(decide_all(&[bulk], &mut last_one, &mut HashSet::new()), [Ok(())]);
}

/// Whoever happens to come first to the gate does not take the last token from those before him.
#[test]
fn the_last_tokens_go_by_turn() {
    let sets: Vec<_> = (0..3).map(|n| names(n, 1)).collect();
    let bucket = Bucket::new(3, 3, Duration::from_hours(3)).expect("a bucket");
    let mut two_left = Budget {
        new_orders: Some(Meter { full_at: NOW.after(bucket.refill()), ..Meter::full(bucket, NOW) }),
        ..budget(0)
    };
    let candidates: Vec<_> =
        [2, 1, 0].into_iter().zip(&sets).map(|(ahead, one)| Candidate { ahead, ..candidate(one) }).collect();
    let turn = || Err(Denial::Turn { until: NOW.after(PROOF_WAIT) });
    let decisions = decide_all(&candidates, &mut two_left, &mut HashSet::new());
    assert_eq!(decisions, [turn(), Ok(()), Ok(())]);
}

#[test]
fn exempt_orders_take_no_token() {
    let one = names(0, 1);
    let bucket = Bucket::new(1, 1, Duration::from_hours(3)).expect("a bucket");
    let empty = NOW.after(bucket.refill());
    let mut budget =
        Budget { new_orders: Some(Meter { full_at: empty, ..Meter::full(bucket, NOW) }), ..budget(0) };
    let exempt = Candidate { exemption: Some(Exemption::ExactSet), ..candidate(&one) };
    assert_eq!(decide_all(&[exempt], &mut budget, &mut HashSet::new()), [Ok(())]);
    assert_eq!(budget.new_orders, Some(Meter { full_at: empty, ..Meter::full(bucket, NOW) }));
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
