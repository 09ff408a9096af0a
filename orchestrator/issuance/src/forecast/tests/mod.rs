//! The forecast against a simulation that steps through every second, and against what anybody can work out by hand.

mod plain;
mod scene;

use std::time::Duration;

use proptest::prelude::*;
use scene::{NOW, Scene};

use super::books::Books;
use super::chance::Chance;
use super::run::{Trial, run};
use super::*;
use crate::exemption::Exemptions;
use crate::fairness::Lane;
use crate::gcra::Decision;
use crate::limit::LimitName;

const HOUR: Duration = Duration::from_hours(1);

fn hours(spread: Option<Spread>) -> f64 {
    NOW.until(spread.expect("it finishes").p50).as_secs_f64() / 3_600.0
}

/// 10,000 sites, 5 % broken: 9,500 orders, of which all but the burst wait 36 s each.
#[test]
fn a_fleet_takes_as_long_as_its_new_order_tokens() {
    let mut scene = Scene::lets_encrypt();
    for site in 0..10_000 {
        scene.site(&format!("shop{site}.com"), site % 40, Lane::Bulk);
    }
    scene.expectations = Expectations { hidden_share: 0.0, ..Expectations::USUAL };
    scene.targets = vec![24 * HOUR];
    let forecast = scene.ask(forecast);
    let by_hand = (9_500.0 - 300.0) * 36.0 / 3_600.0;
    assert!((hours(forecast.finish) / by_hand - 1.0).abs() < 0.01, "{} h", hours(forecast.finish));
    assert!(forecast.draws >= 100);
    let dearest = forecast.bindings[0];
    assert_eq!(dearest.constraint, Constraint::NewOrdersPerAccount);
    assert!(dearest.costs > 90 * HOUR, "{dearest:?}");
    assert!(dearest.orders > 9_000);
    let [day, free] = &forecast.proposals[..] else { panic!("{:?}", forecast.proposals) };
    // n orders, a burst of N, N every three hours: N = 3 n / (24 + 3).
    let ask = &day.asks[0];
    assert!(day.reached && (1_040..1_080).contains(&ask.count), "{ask:?}");
    assert_eq!((ask.limit, ask.count_now), (LimitName::NewOrdersPerAccount, 300));
    assert!(free.reached && free.asks[0].count > 4_000, "{free:?}");
    assert!(free.finish < day.finish);
}

/// Half of all is broken, and of that half again in part: what is good of it costs a token all the same.
#[test]
fn what_is_good_of_a_broken_site_takes_a_token_too() {
    let mut scene = Scene::lets_encrypt();
    for site in 0..4_000 {
        scene.site(&format!("shop{site}.com www.shop{site}.com"), site % 40, Lane::Bulk);
    }
    scene.expectations = Expectations { broken_share: 0.5, partial_share: 0.5, ..Expectations::NONE };
    let by_hand = (3_000.0 - 300.0) * 36.0 / 3_600.0;
    let answer = hours(scene.ask(finish));
    assert!((answer / by_hand - 1.0).abs() < 0.02, "{answer} h");
    // Its set is a new one, whatever the whole one is known for.
    for wish in &mut scene.sites {
        wish.exemptions = Exemptions::of_set(NOW);
        wish.readiness = Readiness::GoodInPart;
    }
    let forecast = scene.ask(forecast);
    let by_hand = (4_000.0 - 300.0) * 36.0 / 3_600.0;
    let answer = hours(forecast.finish);
    assert!((answer / by_hand - 1.0).abs() < 0.02, "{answer} h");
    assert!(forecast.sites.iter().all(|site| site.finish.is_none()), "nobody has all of its names");
}

/// A site that is often broken is told of by few draws.
#[test]
fn no_site_is_done_after_all_of_them() {
    let mut scene = Scene::lets_encrypt();
    for site in 0..2_000 {
        scene.site(&format!("shop{site}.com"), site % 40, Lane::Bulk);
        scene.sites.last_mut().expect("one").exemptions = Exemptions::of_set(NOW);
    }
    scene.expectations = Expectations { broken_share: 0.5, ..Expectations::USUAL };
    let forecast = scene.ask(forecast);
    let whole = forecast.finish.expect("it finishes");
    let spreads = forecast.sites.iter().filter_map(|site| site.finish);
    for site in spreads {
        assert!(site.p50 <= whole.p50 && site.p90 <= whole.p90, "{site:?} of {whole:?}");
    }
}

#[test]
fn known_sets_take_no_token_and_wait_for_workers_alone() {
    let mut scene = Scene::lets_encrypt();
    for site in 0..10_000 {
        scene.site(&format!("shop{site}.com"), site % 40, Lane::Bulk);
        scene.sites.last_mut().expect("one").exemptions = Exemptions::of_set(NOW.before(24 * HOUR * 30));
    }
    let forecast = scene.ask(forecast);
    assert!(forecast.sites.iter().all(|site| site.exemption == Some(Exemption::ExactSet)));
    // 16 at once, 4 s each.
    let by_hand = 10_000.0 / 4.0 / 3_600.0;
    assert!((hours(forecast.finish) / by_hand - 1.0).abs() < 0.1, "{} h", hours(forecast.finish));
    assert_eq!(forecast.bindings.len(), 1, "{:?}", forecast.bindings);
    assert_eq!(forecast.bindings[0].constraint, Constraint::Workers);
    assert!(forecast.proposals[0].reached && forecast.proposals[0].asks.is_empty());
}

#[test]
fn one_site_behind_thousands_is_there_in_a_minute() {
    let mut scene = Scene::lets_encrypt();
    scene.ahead.push(Ahead {
        tenant: 0,
        lane: Lane::Bulk,
        orders: 4_000,
        names: 1,
        exemptions: Exemptions::NONE,
    });
    scene.site("shop.com", 1, Lane::Bulk);
    let forecast = scene.ask(forecast);
    let site = forecast.sites[0].finish.expect("it finishes");
    assert!(NOW.until(site.p90) <= Duration::from_mins(1), "{site:?}");
    assert_eq!(forecast.finish, Some(site), "it is what was asked about");
    assert!(hours(forecast.tenants[0]) > 30.0);
}

#[test]
fn sites_of_one_registered_domain_wait_for_its_weekly_tokens() {
    let mut scene = Scene::lets_encrypt();
    for site in 0..120 {
        scene.site(&format!("shop{site}.hosting.com"), 0, Lane::Bulk);
    }
    scene.site("other.com", 1, Lane::Bulk);
    scene.targets = vec![24 * HOUR];
    let forecast = scene.ask(forecast);
    let by_hand = 70.0 * 7.0 * 24.0 / 50.0;
    assert!((hours(forecast.finish) / by_hand - 1.0).abs() < 0.01, "{} h", hours(forecast.finish));
    let binding = Constraint::CertificatesPerRegisteredDomain;
    assert_eq!(forecast.bindings[0].constraint, binding);
    assert_eq!(forecast.sites[119].binding, Some(binding));
    assert!(hours(forecast.sites[120].finish) < 0.1, "others do not wait with them");
    let ask = &forecast.proposals[0].asks[0];
    assert_eq!(ask.key.as_deref(), Some("hosting.com"));
    // 120 orders, N at once and N a week: 120 N^-1 - 1 = 1 / 7.
    assert_eq!(ask.count, 106);
    assert!(forecast.proposals[0].reached);
}

#[test]
fn what_can_not_be_met_is_said_with_the_best_there_is() {
    let mut scene = Scene::lets_encrypt();
    for site in 0..2_000 {
        scene.site(&format!("shop{site}.com"), 0, Lane::Bulk);
    }
    scene.targets = vec![Duration::from_mins(1), 240 * HOUR];
    let forecast = scene.ask(forecast);
    let [minute, days, _] = &forecast.proposals[..] else { panic!("{:?}", forecast.proposals) };
    assert!(!minute.reached && minute.binding == Some(Constraint::Workers), "{minute:?}");
    assert!(days.reached && days.asks.is_empty());
}

#[test]
fn an_order_without_room_for_its_names_never_finishes_and_holds_up_nobody() {
    let mut scene = Scene::lets_encrypt();
    scene.site("a.com b.com c.com", 0, Lane::Bulk);
    scene.site("d.com", 0, Lane::Bulk);
    scene.capacity.pending_max = 2;
    let forecast = scene.ask(forecast);
    assert_eq!(forecast.sites[0].finish, None);
    assert!(forecast.sites[1].finish.is_some());
}

#[test]
fn nobody_leaves_while_the_account_is_held_and_nothing_is_asked_about_nothing() {
    let mut scene = Scene::lets_encrypt();
    assert_eq!(scene.ask(finish), None);
    scene.site("a.com", 0, Lane::Urgent);
    scene.held_until = NOW.after(HOUR);
    let forecast = scene.ask(forecast);
    assert!(hours(forecast.finish) > 1.0);
    assert_eq!(forecast.sites[0].binding, Some(Constraint::AccountHeld));
}

#[test]
fn a_name_that_has_failed_rests_first() {
    let mut scene = Scene::lets_encrypt();
    scene.site("a.com www.a.com", 0, Lane::Bulk);
    scene.failed("www.a.com", NOW.after(HOUR));
    let forecast = scene.ask(forecast);
    assert!((hours(forecast.finish) - 0.2).abs() < 0.01, "one of five comes back in twelve minutes");
    assert_eq!(forecast.sites[0].binding, Some(Constraint::FailedAuthorizationsPerHostname));
}

#[test]
fn a_seed_gives_one_answer() {
    let mut scene = Scene::lets_encrypt();
    for site in 0..500 {
        scene.site(&format!("shop{site}.com"), site % 7, Lane::Bulk);
    }
    scene.expectations = Expectations::USUAL;
    let first = scene.ask(forecast);
    assert_eq!(first, scene.ask(forecast));
    assert_eq!(first.finish, scene.ask(finish));
    let spread = first.finish.expect("it finishes");
    assert!(spread.p50 < spread.p90, "{spread:?}");
    scene.seed += 1;
    assert_ne!(first, scene.ask(forecast));
}

proptest! {
    /// The same instants, order by order, as where every second is stepped through with arithmetic of its own.
    #[test]
    fn equals_a_simulation_by_the_second(scene in scene::any(), seed in any::<u64>()) {
        let outcome = scene.ask(|question| {
            let books = Books::open(*question);
            let chance = Chance::new(seed, 0, question.expectations);
            let mut issued = vec![None; books.entries.len()];
            run(&books, chance, &Trial::default(), |issue| {
                issued[issue.order as usize] = Some(NOW.until(issue.at).as_secs());
            });
            issued
        });
        prop_assert_eq!(outcome, plain::simulate(&scene, |tenant| Chance::new(seed, 0, scene.expectations).tie(tenant)));
    }

    /// Whatever is uncertain: at the gate's own arithmetic, and where nothing is kept for others, nobody leaves before a token is there, and none that is
    /// there lies idle while somebody who may have it waits and hands are free.
    #[test]
    fn no_token_too_early_and_none_idle(sites in 1_u32..400, burst in 1_u32..50, refill in 1_u64..90, seed in any::<u64>()) {
        let mut scene = Scene::lets_encrypt();
        scene.limit(LimitName::NewOrdersPerAccount, burst, refill);
        for site in 0..sites {
            scene.site(&format!("shop{site}.com"), site % 5, Lane::Renewal);
        }
        scene.expectations = Expectations { broken_share: 0.1, service_spread: 0.0, ..Expectations::USUAL };
        scene.expectations.hidden_share = 0.0;
        let (mut begun, gap, bucket) = scene.ask(|question| {
            let books = Books::open(*question);
            let chance = Chance::new(seed, 0, question.expectations);
            let mut begun = Vec::new();
            run(&books, chance, &Trial::default(), |issue| begun.push(issue.at.before(question.capacity.order)));
            let gap = (question.capacity.order / question.capacity.workers).mul_f64(chance.capacity_factor());
            (begun, gap, books.new_orders.expect("a limit").0)
        });
        begun.sort();
        let (mut full_at, mut hand) = (NOW, NOW);
        for at in begun {
            let first_chance = bucket.next_token_at(full_at, hand).max(hand);
            prop_assert_eq!(at, first_chance);
            let Decision::Granted { full_at: after } = bucket.spend(full_at, 1, at) else {
                return Err(TestCaseError::fail("no token was there"));
            };
            full_at = after;
            hand = at.after(gap);
        }
    }
}
