use proptest::prelude::*;

use super::*;
use crate::identifier::Hostname;

const START: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);
const HOUR: Duration = Duration::from_hours(1);

fn valid_for(life: Duration) -> Validity {
    Validity { not_before: START, not_after: START.after(life) }
}

fn names(names: &[&str]) -> Identifiers {
    Identifiers::new(names.iter().map(|name| Hostname::parse(name).expect("a name"))).expect("names")
}

/// A renewal that is due by its window, with nothing underway.
fn standing() -> Standing {
    let validity = valid_for(DAY * 90);
    let window = Window { start: START.after(DAY * 59), end: START.after(DAY * 61) };
    Standing {
        validity,
        issued_at: START.after(HOUR),
        issued: names(&["a.com", "www.a.com"]),
        wished: names(&["a.com", "www.a.com"]),
        plan: Plan { renew_at: START.after(DAY * 60), window: Some(window), at_once: false },
        can_replace: true,
        underway: Underway::default(),
    }
}

fn ordered(turn: Turn) -> Renewal {
    match turn {
        Turn::Order(renewal) => renewal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_window_it_is_two_thirds_of_the_lifetime_or_half_of_a_short_one() {
    let first = |life| START.until(Plan::by_lifetime(valid_for(life), Fraction::ZERO).renew_at);
    assert_eq!(first(DAY * 90), DAY * 60);
    assert_eq!(first(DAY * 45), DAY * 30);
    assert_eq!(first(DAY * 10), DAY * 10 / 3 * 2);
    assert_eq!(first(HOUR * 160), HOUR * 80);
    let last = Plan::by_lifetime(valid_for(DAY * 90), Fraction::new(1.0));
    assert!(START.until(last.renew_at) <= DAY * 60 + DAY * 90 / 50);
    assert_eq!(last.basis(), Basis::Lifetime);
}

#[test]
fn the_same_window_leaves_the_instant_and_another_one_draws_again() {
    let validity = valid_for(DAY * 90);
    let window = Window { start: START.after(DAY * 59), end: START.after(DAY * 61) };
    let plan = Plan::by_lifetime(validity, Fraction::ZERO);
    let (told, change) = plan.informed(window, validity, START, Fraction::new(0.25));
    assert_eq!((change, told.basis()), (Change::First, Basis::RenewalInfo));
    let (again, change) = told.informed(window, validity, START.after(DAY), Fraction::new(0.9));
    assert_eq!((again, change), (told, Change::Same));
    let earlier = Window { start: START.after(DAY * 9), end: START.after(DAY * 11) };
    let (moved, change) = told.informed(earlier, validity, START.after(DAY), Fraction::new(0.25));
    assert_eq!(change, Change::Moved);
    assert!(earlier.start <= moved.renew_at && moved.renew_at < earlier.end && !moved.at_once);
    let upside_down = Window { start: earlier.end, end: earlier.start };
    assert_eq!(told.informed(upside_down, validity, START, Fraction::ZERO), (told, Change::Nonsense));
}

#[test]
fn a_window_in_the_past_means_now_and_an_incident_only_if_it_was_put_there() {
    let validity = valid_for(DAY * 90);
    let plan = Plan::by_lifetime(validity, Fraction::ZERO);
    let now = START.after(DAY * 20);
    let past = Window { start: now.before(HOUR), end: now.before(HOUR / 2) };
    let (revoked, change) = plan.informed(past, validity, now, Fraction::new(0.5));
    assert_eq!((change, revoked.renew_at, revoked.at_once), (Change::Past, now, true));

    // Nobody looked for a month, and the ordinary window went by.
    let ordinary = Window { start: START.after(DAY * 59), end: START.after(DAY * 61) };
    let late = START.after(DAY * 70);
    let (missed, change) = plan.informed(ordinary, validity, late, Fraction::new(0.5));
    assert_eq!((change, missed.renew_at, missed.at_once), (Change::Past, late, false));
    // And then the certificate is revoked.
    let past = Window { start: late.before(HOUR), end: late.before(HOUR / 2) };
    let known =
        plan.informed(Window { end: late.after(DAY), start: late }, validity, START, Fraction::ZERO).0;
    assert!(known.informed(past, validity, late, Fraction::ZERO).0.at_once);
}

#[test]
fn a_poll_is_neither_hurried_nor_forgotten() {
    let validity = valid_for(DAY * 90);
    let next =
        |seconds| next_poll(validity, START, Some(Duration::from_secs(seconds))).map(|at| START.until(at));
    assert_eq!(next(0), Some(POLL_MIN));
    assert_eq!(next(21_600), Some(HOUR * 6));
    assert_eq!(next(10_000_000), Some(DAY));
    assert_eq!(next_poll(validity, START, None), Some(START.after(HOUR * 6)));
    let failed = |failures, told| {
        next_poll_after_failure(validity, START, failures, told, Fraction::ZERO).map(|at| START.until(at))
    };
    assert_eq!(failed(1, None), Some(POLL_FAILED));
    assert_eq!(failed(3, None), Some(POLL_FAILED * 4));
    assert_eq!(failed(1, Some(HOUR)), Some(HOUR));
    assert_eq!(failed(40, None), Some(DAY));
    let nearly = START.after(DAY * 90).before(HOUR);
    assert_eq!(next_poll(validity, nearly, None), None, "it has expired by then");
}

#[test]
fn inside_the_window_it_replaces_and_is_exempt() {
    let standing = standing();
    let now = standing.plan.renew_at;
    let renewal = ordered(standing.turn(now));
    assert_eq!((renewal.lane, renewal.replaces, renewal.may_split), (Lane::Renewal, true, false));
    let window = standing.plan.window.expect("there is one");
    assert_eq!(renewal.exemptions.renewal_info, Some((window.start, window.end)));
    assert_eq!(renewal.exemptions.set_until, Exemptions::of_set(standing.issued_at).set_until);

    let unknown = Standing { can_replace: false, ..standing.clone() };
    let renewal = ordered(unknown.turn(now));
    assert_eq!((renewal.replaces, renewal.exemptions.renewal_info), (false, None));

    let late = ordered(standing.turn(window.end.after(HOUR)));
    assert_eq!((late.replaces, late.exemptions.renewal_info), (true, None), "no longer exempt");
}

#[test]
fn one_order_at_a_time() {
    let now = START.after(DAY * 60);
    let underway = |underway| Standing { underway, ..standing() };
    let waits = underway(Underway { wished: true, issued: true, at_ca: false });
    assert_eq!(waits.turn(now), Turn::Wait);
    assert_eq!(waits.turn(waits.validity.not_after.before(HOUR)), Turn::Hasten);
    let at_ca = underway(Underway { at_ca: true, ..Underway::default() });
    assert_eq!(at_ca.turn(waits.validity.not_after.before(HOUR)), Turn::Wait);
}

#[test]
fn a_part_is_renewed_while_the_whole_waits_for_a_name() {
    let now = START.after(DAY * 60);
    let wished = names(&["a.com", "bad.com", "www.a.com"]);
    let part = Standing { wished: wished.clone(), ..standing() };
    let waiting = Underway { wished: true, ..Underway::default() };
    let renewal = ordered(Standing { underway: waiting, ..part.clone() }.turn(now));
    assert_eq!((renewal.names, renewal.may_split), (part.issued.clone(), true));
    let renewing = Underway { issued: true, ..waiting };
    assert_eq!(Standing { underway: renewing, ..part.clone() }.turn(now), Turn::Wait);
    // Nobody tries for the whole any more: that is what is wished.
    let whole = ordered(part.turn(now));
    assert_eq!((whole.names, whole.exemptions.set_until), (wished, None));
}

#[test]
fn a_wish_that_has_changed_is_what_is_ordered() {
    let now = START.after(DAY * 60);
    let changed = Standing { wished: names(&["b.com"]), ..standing() };
    let underway = Underway { wished: true, ..Underway::default() };
    assert_eq!(Standing { underway, ..changed.clone() }.turn(now), Turn::Wait);
    let renewal = ordered(changed.turn(now));
    assert_eq!((renewal.names, renewal.replaces), (names(&["b.com"]), false), "they have no name in common");
}

#[test]
fn what_expires_soon_is_urgent_and_may_leave_a_name_behind() {
    let standing = standing();
    let soon = standing.validity.not_after.before(HOUR * 23);
    let renewal = ordered(standing.turn(soon));
    assert_eq!((renewal.lane, renewal.may_split), (Lane::Urgent, true));
    let at_once = Plan { at_once: true, ..standing.plan };
    let renewal = ordered(Standing { plan: at_once, ..standing.clone() }.turn(START.after(DAY)));
    assert_eq!((renewal.lane, renewal.may_split), (Lane::Urgent, false));
    let day_before = standing.validity.not_after.before(HOUR * 30);
    assert_eq!(standing.look_again(day_before), standing.validity.not_after.before(DAY), "in time to hasten");
    assert_eq!(standing.look_again(standing.validity.not_after), standing.validity.not_after.after(DAY * 7));
}

proptest! {
    /// Wherever the window lies: the instant is inside it and leaves room before its end, or it is now, and it is
    /// never after the expiry.
    #[test]
    fn the_instant_is_inside_the_window(
        life_hours in 24_u64..20_000, from in 0.0..1.0_f64, width in 0.000_1..0.5_f64, at in 0.0..1.0_f64, draw in 0.0..1.0_f64,
    ) {
        let life = HOUR * u32::try_from(life_hours).expect("small");
        let validity = valid_for(life);
        let start = START.after(life.mul_f64(from));
        let window = Window { start, end: start.after(life.mul_f64(width)) };
        let now = START.after(life.mul_f64(at));
        let plan = Plan::by_lifetime(validity, Fraction::new(draw));
        prop_assert!(validity.not_before < plan.renew_at && plan.renew_at < validity.not_after);
        let (plan, change) = plan.informed(window, validity, now, Fraction::new(draw));
        prop_assert!(plan.renew_at < validity.not_after, "{plan:?}");
        prop_assert!(plan.renew_at >= now.min(validity.latest()), "{plan:?}");
        if window.end <= now {
            prop_assert_eq!((change, plan.renew_at), (Change::Past, now));
        } else if window.start <= validity.latest() {
            prop_assert!(window.start <= plan.renew_at && plan.renew_at < window.end, "{plan:?}");
            let room = ROOM_MAX.min(window.start.until(window.end) / 4);
            prop_assert!(plan.renew_at == now || plan.renew_at <= window.end.before(room), "{plan:?}");
        }
    }

    /// Each quarter of what is drawn from gets its share.
    #[test]
    fn the_draw_is_uniform(seed in 0.0..0.001_f64) {
        let validity = valid_for(DAY * 90);
        let window = Window { start: START.after(DAY * 59), end: START.after(DAY * 61) };
        let plan = Plan::by_lifetime(validity, Fraction::ZERO);
        let mut quarters = [0; 4];
        for draw in 0..1_000_u32 {
            let draw = Fraction::new(seed + f64::from(draw) / 1_000.0);
            let at = plan.informed(window, validity, START, draw).0.renew_at;
            let share = window.start.until(at).as_secs() * 4 / window.start.until(window.end.before(ROOM_MAX)).as_secs();
            quarters[usize::try_from(share.min(3)).expect("small")] += 1;
        }
        prop_assert!(quarters.iter().all(|count| (245..=255).contains(count)), "{quarters:?}");
    }

    /// Nothing that is due waits for ever, and whatever is looked at is looked at again later.
    #[test]
    fn there_is_always_a_next_look(hours in 0_u64..10_000) {
        let now = START.after(HOUR * u32::try_from(hours).expect("small"));
        prop_assert!(standing().look_again(now) > now);
    }
}
