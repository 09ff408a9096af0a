//! The table "In doubt": the answer to new-order was lost.

use std::time::Duration;

use lockkeeper::acme::Endpoint;
use lockkeeper_tests::scripted_transport::{CallKind, Fate};
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{Plan, QUICK_PEBBLE, World, pairs};
use rehearsal::fleet::Fault;

use crate::lives::{Life, WITHIN, assert_issued_once, records, reserved, rules, stages, world};

/// More than anything at the CA lives.
const LIFETIME: Duration = Duration::from_hours(7 * 24 + 1);

/// Pebble lists an account's orders: the list is complete, and what is not there was never made.
#[tokio::test]
async fn an_order_that_is_not_in_the_list_goes_back_to_the_gate() -> anyhow::Result<()> {
    let sites = pairs("unlisted", 1);
    let settings = Settings { drain_seconds: 1, ..Settings::default() };
    let plan = Plan { ca: QUICK_PEBBLE, settings, ..Plan::new(sites.clone()) };
    let world = World::start(plan).await?;
    let life = Life::begin(&world, |call| match call.endpoint {
        Endpoint::NewOrder if call.nth == 0 => Fate::RequestLost,
        _ => Fate::Pass,
    })
    .await?;
    life.import(&world, &sites).await?;
    let wire = life.wire.clone();
    life.finish(&world).await?;
    assert!(wire.count(Endpoint::Orders, CallKind::Read) > 0, "the list was read");
    assert_eq!(world.summary().await?.certificates_issued, 1);
    let truth = world.truth().await?;
    assert_eq!((truth.created, truth.pending), (2, 0), "{truth:?}");
    assert_eq!(reserved(&world).await?, 0, "the units came back");
    world.stop().await
}

#[tokio::test]
async fn an_order_that_is_in_the_list_is_found_there() -> anyhow::Result<()> {
    let sites = pairs("listed", 1);
    let plan = Plan { ca: QUICK_PEBBLE, ..Plan::new(sites.clone()) };
    let world = World::start(plan).await?;
    let life = Life::begin(&world, |call| match call.endpoint {
        Endpoint::NewOrder if call.nth == 0 => Fate::AnswerLost,
        _ => Fate::Pass,
    })
    .await?;
    life.import(&world, &sites).await?;
    let wire = life.wire.clone();
    life.finish(&world).await?;
    assert!(wire.count(Endpoint::Orders, CallKind::Read) > 0, "the list was read");
    assert_eq!(world.summary().await?.certificates_issued, 1);
    let truth = world.truth().await?;
    assert_eq!((truth.created, truth.pending), (2, 0), "{truth:?}");
    world.stop().await
}

#[tokio::test]
async fn asking_again_brings_the_order_that_was_lost() -> anyhow::Result<()> {
    let sites = pairs("again", 1);
    let world = world(&sites, rules()).await?;
    let life = Life::begin(&world, |call| match call.endpoint {
        Endpoint::NewOrder if call.nth == 0 => Fate::AnswerLost,
        _ => Fate::Pass,
    })
    .await?;
    life.import(&world, &sites).await?;
    let wire = life.wire.clone();
    life.finish(&world).await?;
    assert_eq!(wire.count(Endpoint::NewOrder, CallKind::Write), 2);
    assert_eq!(world.audit()?.orders, 1);
    assert_issued_once(&world, &sites).await?;
    assert_eq!(reserved(&world).await?, 0, "no unit is held for what was found");
    world.stop().await
}

#[tokio::test]
async fn asked_too_often_it_is_given_up_and_its_units_stay_held() -> anyhow::Result<()> {
    let sites = pairs("given-up", 1);
    let world = world(&sites, rules()).await?;
    // The profile's `asks_max`.
    let life = Life::begin(&world, |call| match call.endpoint {
        Endpoint::NewOrder if call.nth < 3 => Fate::AnswerLost,
        _ => Fate::Pass,
    })
    .await?;
    life.import(&world, &sites).await?;
    let given_up = async || Ok(stages(&world).await? == ["failed", "parked"]);
    world.wait_until("it is given up", WITHIN, given_up).await?;
    let fate = world.orders().await?[0].fault_class.clone();
    assert_eq!(fate.as_deref(), Some("ca_unreachable"));
    assert_eq!(reserved(&world).await?, 6, "two units for each ask");
    world.end_rests().await?;
    let issued = async || Ok(world.summary().await?.certificates_issued == 1);
    world.wait_until("the next attempt", WITHIN, issued).await?;
    life.finish(&world).await?;
    assert_issued_once(&world, &sites).await?;
    assert_eq!(reserved(&world).await?, 6, "nobody knows that the attempt found them all");
    world.clock.leap(LIFETIME);
    assert_eq!(reserved(&world).await?, 0, "nothing of it can be pending any more");
    world.stop().await
}

/// An order that failed keeps Boulder from handing out a later one of the same names. So asking again makes yet
/// another order, and the lost one's authorizations are pending until they expire, with nobody who knows their
/// addresses: their units stay held for as long.
#[tokio::test]
async fn a_lost_order_that_a_failed_one_hides_keeps_its_units() -> anyhow::Result<()> {
    let sites = pairs("hidden", 1);
    let world = world(&sites, rules()).await?;
    for name in &sites[0].names {
        world.fleet.set_fault(name, Some(Fault::WrongForCa));
    }
    let life = Life::begin(&world, |call| match call.endpoint {
        // The first attempt fails; of the second one, the answer is lost.
        Endpoint::NewOrder if call.nth == 1 => Fate::AnswerLost,
        _ => Fate::Pass,
    })
    .await?;
    life.import(&world, &sites).await?;
    let settled = async || Ok(world.audit()?.authorizations.deactivated == 2);
    world.wait_until("the first attempt is settled", WITHIN, settled).await?;
    for name in &sites[0].names {
        world.fleet.set_fault(name, None);
    }
    world.wait_until_done(WITHIN).await?;
    world.end_rests().await?;
    let issued = async || Ok(world.summary().await?.certificates_issued == 1);
    world.wait_until("the certificate", WITHIN, issued).await?;
    life.finish(&world).await?;

    let audit = world.audit()?;
    assert_eq!((audit.orders, audit.certificates), (3, 1), "{audit:?}");
    let open = records(&world).iter().filter(|one| one.open).count();
    assert_eq!(open, 2, "of the lost order");
    assert_eq!(reserved(&world).await?, 2, "and they are counted");
    world.clock.leap(LIFETIME);
    assert_eq!(world.audit()?.authorizations.open, 0);
    assert_eq!(reserved(&world).await?, 0);
    world.stop().await
}
