//! Nothing goes wrong: a. Presenting or validation fails: b2, d1, d2, e1, e2.
//!
//! The service waits a minute and ten before it gives up a response that it does not see; its clock leaps. One
//! order's leap may take another to its next attempt, so where responses are waited for (b2, d1, d2) there may be
//! more attempts than one, and what is held is how each authorization of all of them ended.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use lockkeeper_tests::proxy::Manners;
use lockkeeper_tests::world::{Plan, QUICK_PEBBLE, Truth, World, csv, pairs};
use rehearsal::fleet::{Damage, Extent, Fault, Site};

use crate::table;

const WITHIN: Duration = Duration::from_mins(1);
const ORDERS: usize = 10;
/// The probe and our own look see the response; the CA comes third.
const FAILS_AT_THE_CA: Fault = Fault::BreaksAfter(2);

fn broken(stem: &str, damage: Option<Damage>) -> Vec<Site> {
    let mut sites = pairs(stem, ORDERS);
    for site in &mut sites {
        site.damage = damage;
    }
    sites
}

async fn run(scenario: &str, damage: Option<Damage>) -> anyhow::Result<Truth> {
    let sites = broken(scenario, damage);
    let world = World::start(Plan { ca: QUICK_PEBBLE, ..Plan::new(sites.clone()) }).await?;
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&sites)).await?;
    world.wait_until_done(WITHIN).await?;
    let truth = world.truth().await?;
    table::print(scenario, &truth);
    app.stop().await?;
    world.stop().await?;
    Ok(truth)
}

const CREATED: usize = 2 * ORDERS;

/// In one attempt or several.
fn assert_all_deactivated(truth: &Truth) {
    assert!(truth.created >= CREATED, "{truth:?}");
    assert_eq!(*truth, Truth { created: truth.created, deactivated: truth.created, ..Truth::default() });
}

#[expect(clippy::unnecessary_wraps, reason = "a scenario may also be without damage")]
fn damage(extent: Extent, fault: Fault) -> Option<Damage> {
    Some(Damage { extent, fault })
}

#[tokio::test]
async fn a_nothing_goes_wrong() -> anyhow::Result<()> {
    let truth = run("a", None).await?;
    assert_eq!(truth, Truth { created: CREATED, valid: CREATED, ..Truth::default() });
    Ok(())
}

#[tokio::test]
async fn b2_the_responder_breaks_when_the_orders_are_placed() -> anyhow::Result<()> {
    let sites = broken("b2", None);
    let world = World::start(Plan { ca: QUICK_PEBBLE, ..Plan::new(sites.clone()) }).await?;
    // Long enough for all orders to be made before the first answer arrives.
    world.proxy()?.behave(Manners { new_order_delay: Duration::from_secs(3), ..Manners::default() });
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&sites)).await?;
    world.proxy()?.wait_for(WITHIN, |progress| progress.orders_made == ORDERS).await?;
    world.fleet.set_responder(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
    world.wait_until_done(WITHIN).await?;
    let truth = world.truth().await?;
    table::print("b2", &truth);
    assert_all_deactivated(&truth);
    app.stop().await?;
    world.stop().await
}

#[tokio::test]
async fn d1_presenting_fails_for_both_names() -> anyhow::Result<()> {
    let truth = run("d1", damage(Extent::WholeSite, Fault::WrongForCa)).await?;
    assert_all_deactivated(&truth);
    Ok(())
}

#[tokio::test]
async fn d2_presenting_fails_for_www_only() -> anyhow::Result<()> {
    let truth = run("d2", damage(Extent::Name(1), Fault::WrongForCa)).await?;
    assert!(truth.valid >= ORDERS && truth.deactivated >= ORDERS, "{truth:?}");
    assert_eq!(truth, Truth { created: truth.valid + truth.deactivated, pending: 0, invalid: 0, ..truth });
    Ok(())
}

#[tokio::test]
async fn e1_the_second_name_fails_validation() -> anyhow::Result<()> {
    let truth = run("e1", damage(Extent::Name(1), FAILS_AT_THE_CA)).await?;
    assert_eq!(truth, Truth { created: CREATED, valid: ORDERS, invalid: ORDERS, ..Truth::default() });
    Ok(())
}

#[tokio::test]
async fn e2_the_first_name_fails_validation() -> anyhow::Result<()> {
    let truth = run("e2", damage(Extent::Name(0), FAILS_AT_THE_CA)).await?;
    assert_eq!(truth, Truth { created: CREATED, valid: ORDERS, invalid: ORDERS, ..Truth::default() });
    Ok(())
}
