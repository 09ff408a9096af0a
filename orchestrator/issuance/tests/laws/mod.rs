//! Laws of the arithmetic and of the policies, over everything they may be asked.

mod metering;
mod settling;

use std::collections::HashSet;
use std::time::Duration;

use issuance::admission::{Books, Budget, Candidate, Denial, admit};
use issuance::backoff::{HostnameBackoff, rest};
use issuance::fairness::Lane;
use issuance::fault::{FailureClass, Refusal};
use issuance::gcra::Bucket;
use issuance::identifier::{Hostname, Identifiers};
use issuance::mirror::{Meter, Meters};
use issuance::problem::{Problem, ProblemKind};
use issuance::time::{Fraction, Timestamp};
use proptest::prelude::*;

use crate::table::{Recovery, profile};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

fn names(first: usize, count: usize) -> Identifiers {
    let names = (first..first + count).map(|n| Hostname::parse(&format!("h{n}.a.com")).expect("a name"));
    Identifiers::new(names).expect("a set")
}

fn candidate(names: &Identifiers) -> Candidate<'_> {
    let lane = Lane::Renewal;
    Candidate {
        names,
        lane,
        proven_at: NOW,
        backoffs: &[],
        again: false,
        exemption: None,
        needs: &[],
        ahead: 0,
    }
}

fn books<'a>(
    budget: &'a mut Budget,
    flights: &'a mut HashSet<Box<str>>,
    meters: &'a mut Meters,
) -> Books<'a> {
    Books { budget, flights, meters }
}

/// Polling is never a spin and never slower than the profile says, whatever the profile says.
#[test]
fn the_pace_of_polling() {
    let mut odd = profile(Recovery::None);
    let waits: Vec<_> = (0..8).map(|looks| odd.poll_wait(looks).as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 15, 15, 15, 15]);
    (odd.poll_first_ms, odd.poll_max_ms) = (0, 0);
    assert_eq!(odd.poll_wait(u32::MAX), Duration::from_millis(1));
    (odd.poll_first_ms, odd.poll_max_ms) = (u64::MAX, 2_000);
    assert_eq!(odd.poll_wait(u32::MAX), Duration::from_secs(2));
}

/// A certificate that is not ours to replace does not stop the account: it is asked for without naming it.
#[test]
fn a_replacement_that_is_refused_is_asked_for_without() {
    for (kind, status, detail) in [
        (
            ProblemKind::Unauthorized,
            403,
            "requester account did not request the certificate being replaced by this order",
        ),
        (ProblemKind::Malformed, 400, "Could not validate ARI 'replaces' field :: unknown serial"),
        (ProblemKind::AlreadyReplaced, 409, "already has a replacement order"),
    ] {
        assert_eq!(Refusal::of(&Problem::new(kind, status, detail)), Refusal::AlreadyReplaced, "{detail}");
    }
}

fn kinds() -> impl Strategy<Value = ProblemKind> {
    prop_oneof![
        prop::sample::select(ProblemKind::KNOWN.to_vec()),
        "\\PC{0,30}".prop_map(|text| ProblemKind::parse(&text)),
    ]
}

proptest! {
    /// Whatever a CA says leads somewhere, and no wait it asks for is nothing or beyond all reason.
    #[test]
    fn every_refusal_is_understood(kind in kinds(), status: u16, detail in "\\PC{0,200}", seconds in prop::option::of(any::<u64>())) {
        let problem = Problem { retry_after: seconds.map(Duration::from_secs), ..Problem::new(kind, status, detail) };
        if let Refusal::Busy { wait } | Refusal::Unknown { wait } = Refusal::of(&problem) {
            prop_assert!((Duration::from_secs(1)..=Duration::from_hours(7 * 24)).contains(&wait));
        }
        prop_assert!(FailureClass::ALL.contains(&FailureClass::of_validation(&problem)));
    }

    /// Each further failure rests at least as long as the one before, and the count never runs over.
    #[test]
    fn rests_only_grow(failures in 0_u32..=u32::MAX) {
        prop_assert!(rest(failures, Fraction::ZERO) <= rest(failures.saturating_add(1), Fraction::ZERO));
        let backoff = HostnameBackoff { failures, ..HostnameBackoff::default() };
        let after = backoff.after_failure(true, NOW, Fraction::new(0.999));
        prop_assert!(after.until > NOW && after.failures >= failures);
    }

    /// However many fail the same instant or late: a failure never shortens the rest of the one before.
    #[test]
    fn a_failure_never_shortens_a_rest(at in prop::collection::vec((0_i64..1_000_000, any::<bool>(), 0.0_f64..1.0), 1..20)) {
        let mut backoff = HostnameBackoff::default();
        for (seconds, at_ca, draw) in at {
            let next = backoff.after_failure(at_ca, Timestamp::from_unix_seconds(seconds), Fraction::new(draw));
            prop_assert!(next.until >= backoff.until);
            backoff = next;
        }
    }

    /// Nobody waits for room behind whom there is room: what was denied for want of it stays first in line, and
    /// goes as soon as its turn and its size allow, however many small orders come after it.
    #[test]
    fn whoever_waits_first_goes_first(sizes in prop::collection::vec(1_usize..10, 2..30), used in 0_u32..20) {
        let sets: Vec<_> = sizes.iter().enumerate().map(|(n, size)| names(n * 10, *size)).collect();
        let mut waiting: Vec<_> = sets.iter().collect();
        let (mut pending, mut rounds, mut order) = (used, 0, Vec::new());
        while !waiting.is_empty() {
            let candidates: Vec<_> = waiting
                .iter()
                .map(|names| candidate(names))
                .collect();
            let mut budget = Budget { pending_max: 20, pending, new_orders: None, seeks_more: false, held_until: Timestamp::EPOCH };
            let decisions = admit(&candidates, &mut books(&mut budget, &mut HashSet::new(), &mut Meters::new()), NOW);
            // In one pass the granted ones stand before the denied ones.
            prop_assert!(decisions.is_sorted_by_key(Result::is_err));
            let granted = decisions.iter().filter(|one| one.is_ok()).count();
            order.extend(waiting.drain(..granted));
            // The flights land, and the room comes back.
            pending = 0;
            rounds += 1;
            prop_assert!(granted > 0 || rounds == 1, "nobody starves");
        }
        prop_assert_eq!(order, sets.iter().collect::<Vec<_>>());
    }

    /// What is denied is denied until an instant that lies ahead, and takes no token from the bucket.
    #[test]
    fn a_denial_takes_nothing(count in 1_usize..20, burst in 1_u32..5, held in 0_u64..20) {
        let sets: Vec<_> = (0..count).map(|n| names(n, 1)).collect();
        let candidates: Vec<_> = sets
            .iter()
            .map(|names| candidate(names))
            .collect();
        let bucket = Bucket::new(burst, 1, Duration::from_mins(6)).expect("a bucket");
        let held_until = NOW.before(Duration::from_secs(10)).after(Duration::from_secs(held));
        let mut budget = Budget { pending_max: 100, pending: 0, new_orders: Some(Meter::full(bucket, NOW)), seeks_more: false, held_until };
        let mut flights = HashSet::new();
        let decisions = admit(&candidates, &mut books(&mut budget, &mut flights, &mut Meters::new()), NOW);
        let granted = decisions.iter().filter(|one| one.is_ok()).count();
        prop_assert!(decisions.iter().filter_map(|one| one.as_ref().err()).map(Denial::until).all(|until| until > NOW));
        let most = if held_until > NOW { 0 } else { count.min(burst as usize) };
        prop_assert_eq!(granted, most);
        let meter = budget.new_orders.expect("a bucket");
        prop_assert_eq!((meter.reserved as usize, meter.full_at), (granted, NOW));
        prop_assert_eq!(flights.len(), granted);
    }
}
