//! Laws of the settle policy, over every authorization and every circumstance.

use std::time::Duration;

use issuance::authorization::{Authorization, Challenge};
use issuance::fault::{FailureClass, Fault};
use issuance::identifier::Hostname;
use issuance::limit::{Limit, LimitName};
use issuance::profile::CaProfile;
use issuance::settle::{Circumstances, Pressure, Settlement, deadline, settle};
use issuance::time::Timestamp;
use proptest::prelude::*;

use super::NOW;
use crate::table::{Recovery, profile};

const MARGIN: Duration = Duration::from_mins(5);
const REFILL: Duration = Duration::from_hours(1);

#[derive(Debug, Clone)]
struct Case {
    authorization: Authorization,
    circumstances: Circumstances,
    next_try: Option<Timestamp>,
    profile: CaProfile,
}

impl Case {
    fn decide(&self) -> Settlement {
        settle(&self.authorization, self.circumstances, self.next_try, &self.profile, NOW)
    }

    fn answerable(&self) -> bool {
        self.authorization.challenge.is_some() && self.authorization.fault.is_none()
    }

    fn budget_is_full(&self) -> bool {
        self.circumstances.failed_at.is_none_or(|at| at.after(REFILL) <= NOW)
    }
}

/// An instant within two hours of now, often one at which something changes.
fn instants() -> impl Strategy<Value = Timestamp> {
    let minutes = |count: i64| Timestamp::from_unix_seconds(NOW.unix_seconds() + 60 * count);
    prop_oneof![
        prop::sample::select(vec![-60, -5, 0, 5, 60]).prop_map(minutes),
        (-7_200_i64..7_200).prop_map(|seconds| Timestamp::from_unix_seconds(NOW.unix_seconds() + seconds)),
    ]
}

fn pressures() -> impl Strategy<Value = Pressure> {
    prop::sample::select(vec![Pressure::Low, Pressure::High, Pressure::NearCap])
}

prop_compose! {
    fn cases()(
        expires_at in instants(),
        settle_at in instants(),
        requested: bool,
        answerable: bool,
        refused in prop::bool::weighted(0.2),
        served: bool,
        failed_at in prop::option::of(instants()),
        pressure in pressures(),
        next_try in prop::option::of(instants()),
        charges_deactivation: bool,
    ) -> Case {
        let challenge = Challenge {
            kind: "http-01".into(),
            url: "https://ca.test/challenge/1".into(),
            token: "token".into(),
            key_authorization: "token.thumbprint".into(),
        };
        let authorization = Authorization {
            identifier: Some(Hostname::parse("a.com").expect("a name")),
            challenge: answerable.then_some(challenge),
            fault: refused.then(|| Fault::new(FailureClass::Internal, "no")),
            settle_requested_at: requested.then_some(NOW),
            ..Authorization::opened("https://ca.test/authz/1".into(), NOW, expires_at, settle_at)
        };
        let profile = CaProfile { charges_deactivation, ..profile(Recovery::Asks) };
        Case { authorization, circumstances: Circumstances { served, failed_at, pressure }, next_try, profile }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    /// Resume, submit, deactivate, in this order; to wait is to deactivate later.
    #[test]
    fn the_first_that_applies(case in cases()) {
        let room = case.next_try.is_some_and(|at| match case.circumstances.pressure {
            Pressure::Low => true,
            Pressure::High => NOW.until(at) <= Duration::from_mins(2),
            Pressure::NearCap => false,
        });
        let resumes = case.next_try.is_some_and(|at| at < case.authorization.settle_at)
            && room
            && case.answerable()
            && case.authorization.settle_requested_at.is_none();
        let submits = case.circumstances.served && case.answerable();
        match case.decide() {
            Settlement::Resume { at } => prop_assert!(resumes && Some(at) == case.next_try),
            Settlement::Submit => prop_assert!(submits && !resumes),
            Settlement::Deactivate | Settlement::Wait { .. } => prop_assert!(!submits && !resumes),
        }
    }

    /// A charged deactivation spends a token that nobody wants, unless its last instant, a full cap or the
    /// operator forces it.
    #[test]
    fn a_token_that_somebody_may_want_is_not_spent(case in cases()) {
        if case.decide() == Settlement::Deactivate && case.profile.charges_deactivation {
            let forced = case.circumstances.pressure == Pressure::NearCap
                || case.authorization.settle_requested_at.is_some()
                || case.authorization.expires_at.before(MARGIN) <= NOW;
            prop_assert!(case.budget_is_full() || forced);
        }
    }

    /// Expiry is never chosen: whatever is decided, there is an act, or a later decision before its last
    /// instant. And no decision is put off without an end: decided again then, with nothing new, it is an act.
    #[test]
    fn expiry_is_never_chosen(case in cases()) {
        if let Settlement::Wait { until } = case.decide() {
            prop_assert!(NOW < until && until <= case.authorization.expires_at.before(MARGIN));
            let later = settle(&case.authorization, case.circumstances, case.next_try, &case.profile, until);
            prop_assert!(!matches!(later, Settlement::Wait { .. }), "{later:?}");
        }
    }

    /// Where the CA charges nothing, or the operator asks, nothing waits.
    #[test]
    fn nothing_waits_without_need(case in cases()) {
        if !case.profile.charges_deactivation || case.authorization.settle_requested_at.is_some() {
            let waits = matches!(case.decide(), Settlement::Wait { .. });
            prop_assert!(!waits);
        }
    }

    /// However many are to be deactivated of one name, one after the other: no five of them, and so no limit of
    /// five an hour, fall into one hour.
    #[test]
    fn deactivations_of_one_name_keep_their_distance(case in cases(), count in 2_usize..8) {
        let mut case = case;
        case.circumstances.served = false;
        case.circumstances.pressure = Pressure::High;
        case.authorization.settle_requested_at = None;
        case.authorization.expires_at = NOW.after(Duration::from_hours(7 * 24));
        case.profile.charges_deactivation = true;
        let (mut now, mut acts) = (NOW, Vec::new());
        while acts.len() < count {
            match settle(&case.authorization, case.circumstances, None, &case.profile, now) {
                Settlement::Wait { until } => now = until,
                decided => {
                    prop_assert_eq!(decided, Settlement::Deactivate);
                    acts.push(now);
                    case.circumstances.failed_at = Some(now);
                }
            }
        }
        prop_assert!(acts.windows(2).all(|two| two[0].until(two[1]) >= REFILL));
    }

    /// The deadline leaves time to act before the expiry, and is never later than the grace.
    #[test]
    fn a_deadline_comes_before_the_expiry(expires_at in instants(), grace in 0_u64..100_000) {
        let profile = CaProfile { settle_grace_seconds: grace, ..profile(Recovery::Asks) };
        let at = deadline(NOW, expires_at, &profile);
        prop_assert!(at <= expires_at.before(MARGIN) && at <= NOW.after(Duration::from_secs(grace)));
    }
}

/// Half and nine tenths of what ordinary work may hold; with nothing to hold, everything is near.
#[test]
fn the_pressure_on_a_budget() {
    let of = |held| Pressure::of(held, 200);
    assert_eq!([0, 99, 100, 179, 180, 300].map(of), {
        use Pressure::{High, Low, NearCap};
        [Low, Low, High, High, NearCap, NearCap]
    });
    assert_eq!(Pressure::of(0, 0), Pressure::NearCap);
    assert_eq!(Pressure::of(u64::MAX, u64::MAX), Pressure::NearCap);
}

/// The budget is full after as long as all of it takes to come back; an hour where a CA says nothing.
#[test]
fn a_failure_budget_fills_at_the_profile_s_pace() {
    let mut profile = profile(Recovery::Asks);
    assert_eq!(profile.failure_budget_refill(), REFILL);
    let limit = |burst, count, period_seconds| {
        let name = LimitName::FailedAuthorizationsPerHostname;
        vec![Limit { name, burst, count, period_seconds }]
    };
    profile.limits = limit(3, 1, 600);
    assert_eq!(profile.failure_budget_refill(), Duration::from_mins(30));
    profile.limits = limit(3, 0, 600);
    assert_eq!(profile.failure_budget_refill(), REFILL);
}
