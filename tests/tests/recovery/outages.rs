//! The CA on its worst days: it works for hours, or for ever; it refuses the account; answers are lost.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use issuance::time::Clock as _;
use lockkeeper::acme::Endpoint;
use lockkeeper_tests::scripted_transport::{Call, CallKind, Fate, problem};
use lockkeeper_tests::world::pairs;
use rehearsal::fleet::Fault;
use rehearsal::rules::{CaRules, Profile};
use serde_json::Value;

use crate::lives::{Life, WITHIN, assert_issued_once, records, rules, stages, world};

/// As if the CA had not come to an end with it.
fn still_processing(order: &mut Value) {
    if order["status"] == "valid" || order["status"] == "ready" {
        order["status"] = "processing".into();
        order.as_object_mut().expect("an order").remove("certificate");
    }
}

#[tokio::test]
async fn an_order_that_is_processed_for_hours_is_waited_for() -> anyhow::Result<()> {
    let sites = pairs("hours", 1);
    let world = world(&sites, rules()).await?;
    let clock = Arc::clone(&world.clock);
    let until = clock.now().after(Duration::from_hours(3));
    let life = Life::begin(&world, move |call| match call {
        call if call.writes(Endpoint::Finalize) => Fate::AnswerLost,
        call if call.reads(Endpoint::Order) && clock.now() < until && call.nth > 0 => {
            Fate::Rewrite(still_processing)
        }
        _ => Fate::Pass,
    })
    .await?;
    life.import(&world, &sites).await?;
    let wire = life.wire.clone();
    life.finish(&world).await?;
    assert!(world.clock.now() >= until);
    assert_eq!(wire.count(Endpoint::Finalize, CallKind::Write), 1, "it is not finalized again");
    assert!(wire.count(Endpoint::Order, CallKind::Read) < 100, "nor asked about without a pause");
    assert_issued_once(&world, &sites).await?;
    assert_eq!(stages(&world).await?, ["issued"]);
    world.stop().await
}

#[tokio::test]
async fn an_order_that_is_processed_for_ever_ends_with_its_life() -> anyhow::Result<()> {
    let sites = pairs("for-ever", 1);
    let usual = rules();
    let default_profile = Profile { order_seconds: 7_200, ..usual.default_profile.clone() };
    let world = world(&sites, CaRules { default_profile, ..usual }).await?;
    let begun = world.clock.now();
    let life = Life::begin(&world, |call| match call {
        call if call.writes(Endpoint::Finalize) => Fate::RequestLost,
        call if call.reads(Endpoint::Order) && call.nth > 0 => Fate::Rewrite(still_processing),
        _ => Fate::Pass,
    })
    .await?;
    life.import(&world, &sites).await?;
    let failed = async || Ok(stages(&world).await? == ["failed", "parked"]);
    world.wait_until("it is over", WITHIN, failed).await?;
    assert!(begun.until(world.clock.now()) < Duration::from_hours(3), "not long after its expiry");
    assert_eq!(world.orders().await?[0].fault_class.as_deref(), Some("order_expired"));
    life.wire.go_on(|_| Fate::Pass);
    world.end_rests().await?;
    let issued = async || Ok(world.summary().await?.certificates_issued == 1);
    world.wait_until("the next attempt", WITHIN, issued).await?;
    life.finish(&world).await?;
    assert_issued_once(&world, &sites).await?;
    world.stop().await
}

/// The CA has deactivated the account in the middle. Nothing new is asked for, what is there is looked at every
/// five minutes, the operator is told; and all goes on when the CA takes the account back.
#[tokio::test]
async fn a_refused_account_freezes_and_goes_on_after_the_repair() -> anyhow::Result<()> {
    const SITES: usize = 5;
    let sites = pairs("frozen", 2 * SITES);
    let (first, second) = sites.split_at(SITES);
    let world = world(&sites, rules()).await?;
    let refused = |call: Call| match call.endpoint {
        Endpoint::Directory | Endpoint::NewNonce | Endpoint::NewAccount | Endpoint::NewOrder => Fate::Pass,
        _ => Fate::Answer(problem(
            StatusCode::FORBIDDEN,
            "unauthorized",
            "Account is not valid, has status \"deactivated\"",
        )),
    };
    let life = Life::begin(&world, refused).await?;
    life.import(&world, first).await?;
    let api = life.api(&world)?;
    let told = async || {
        let headroom: Value = api.get("/v1/headroom").await?;
        Ok(headroom["stopped_reason"].as_str().is_some_and(|reason| reason.contains("deactivated")))
    };
    world.wait_until("the operator is told", WITHIN, told).await?;
    let placed = life.wire.count(Endpoint::NewOrder, CallKind::Write);
    life.import(&world, second).await?;

    let read = || life.wire.count(Endpoint::Authorization, CallKind::Read);
    let (before, from) = (read(), world.clock.now());
    let hour = async || Ok(from.until(world.clock.now()) >= Duration::from_hours(1));
    world.wait_until("an hour is over", WITHIN, hour).await?;
    let asked = read() - before;
    assert!(asked <= 2 * SITES * 13, "{asked} requests in an hour are a storm");
    assert_eq!(life.wire.count(Endpoint::NewOrder, CallKind::Write), placed, "nothing new is asked for");
    assert_eq!(world.summary().await?.certificates_issued, 0);
    life.die(&world).await?;

    Life::after(&world).await?.finish(&world).await?;
    assert_issued_once(&world, &sites).await?;
    world.stop().await
}

/// One request of the kind, or its answer, is lost: it is read what came of it, and nothing is done twice.
async fn loses_once(stem: &str, wanted: fn(&Call) -> bool, fate: fn() -> Fate) -> anyhow::Result<()> {
    let sites = pairs(stem, 1);
    let world = world(&sites, rules()).await?;
    let life =
        Life::begin(&world, move |call| if wanted(&call) && call.nth == 0 { fate() } else { Fate::Pass })
            .await?;
    life.import(&world, &sites).await?;
    life.finish(&world).await?;
    assert_issued_once(&world, &sites).await?;
    assert_eq!(world.audit()?.orders, 1);
    world.stop().await
}

#[tokio::test]
async fn a_lost_challenge_is_read_before_it_is_posted_again() -> anyhow::Result<()> {
    let challenge: fn(&Call) -> bool = |call| call.writes(Endpoint::Challenge);
    loses_once("challenge-lost", challenge, || Fate::RequestLost).await?;
    loses_once("challenge-unheard", challenge, || Fate::AnswerLost).await
}

#[tokio::test]
async fn a_lost_finalize_is_read_before_it_is_sent_again() -> anyhow::Result<()> {
    let finalize: fn(&Call) -> bool = |call| call.writes(Endpoint::Finalize);
    loses_once("finalize-lost", finalize, || Fate::RequestLost).await?;
    loses_once("finalize-unheard", finalize, || Fate::AnswerLost).await
}

/// Nobody's validation is under way, and the CA says so for a while: it is asked again, not given up.
#[tokio::test]
async fn a_conflict_with_a_deactivation_is_waited_out() -> anyhow::Result<()> {
    let sites = pairs("deactivation-conflict", 1);
    let world = world(&sites, rules()).await?;
    for name in &sites[0].names {
        world.fleet.set_fault(name, Some(Fault::WrongForCa));
    }
    let life = Life::begin(&world, |call| {
        if call.deactivates() && call.nth < 6 {
            return Fate::Answer(problem(StatusCode::CONFLICT, "conflict", "try again"));
        }
        Fate::Pass
    })
    .await?;
    life.import(&world, &sites).await?;
    let settled = async || Ok(world.audit()?.authorizations.deactivated == 2);
    world.wait_until("both are deactivated", WITHIN, settled).await?;
    world.wait_until_done(WITHIN).await?;
    assert_eq!(world.audit()?.authorizations.open, 0);
    life.finish(&world).await?;
    world.stop().await
}

#[tokio::test]
async fn a_lost_deactivation_is_read_before_it_is_sent_again() -> anyhow::Result<()> {
    for (stem, fate) in [
        ("deactivation-lost", (|| Fate::RequestLost) as fn() -> Fate),
        ("deactivation-unheard", || Fate::AnswerLost),
    ] {
        let sites = pairs(stem, 1);
        let world = world(&sites, rules()).await?;
        world.fleet.set_fault_for_all(Some(Fault::WrongForCa));
        for name in &sites[0].names {
            world.fleet.set_fault(name, Some(Fault::WrongForCa));
        }
        let life = Life::begin(
            &world,
            move |call| {
                if call.deactivates() && call.nth < 2 { fate() } else { Fate::Pass }
            },
        )
        .await?;
        life.import(&world, &sites).await?;
        let settled = async || {
            let records = records(&world);
            Ok(records.len() >= 2 && records.iter().take(2).all(|one| one.status == "deactivated"))
        };
        world.wait_until("both are deactivated", WITHIN, settled).await?;
        let wire = life.wire.clone();
        world.wait_until_done(WITHIN).await?;
        let sent = wire.count(Endpoint::Authorization, CallKind::Write);
        assert!(sent <= 4, "{stem}: {sent} deactivations of two authorizations");
        assert_eq!(world.audit()?.authorizations.open, 0, "{stem}");
        life.finish(&world).await?;
        world.stop().await?;
    }
    Ok(())
}
