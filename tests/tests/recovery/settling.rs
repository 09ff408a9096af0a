//! The settle policy, from the response that is not served to the CA's own record of what was done.

use std::time::Duration;

use issuance::time::Timestamp;
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{CaChoice, Plan, World, pairs};
use rehearsal::audit::{AuthorizationRecord, Event};
use rehearsal::fleet::{Fault, Site};

use crate::lives::{Life, WITHIN, assert_issued_once, records, rules, world};

/// The CA's budget of failures is full again an hour after the last one.
const REFILL: Duration = Duration::from_hours(1);

pub(crate) fn break_all(world: &World, sites: &[Site], fault: Option<Fault>) {
    for name in sites.iter().flat_map(|site| &site.names) {
        world.fleet.set_fault(name, fault);
    }
}

/// What the CA has counted against the name, in the order of time.
fn charges(records: &[AuthorizationRecord], name: &str) -> Vec<(Timestamp, Event)> {
    let of_name = records.iter().filter(|record| record.name == name);
    let mut charges: Vec<_> = of_name
        .flat_map(|record| &record.history)
        .filter(|line| matches!(line.event, Event::Failed | Event::DeactivatedWhilePending))
        .map(|line| (line.at, line.event))
        .collect();
    charges.sort_by_key(|(at, _)| *at);
    charges
}

/// Deactivations so far.
pub(crate) fn deactivated(world: &World) -> usize {
    records(world).iter().filter(|record| record.status == "deactivated").count()
}

/// Both names have failed at the CA, and what the next attempt presents is not served.
pub(crate) async fn fails_at_the_ca_and_then_here(world: &World, sites: &[Site]) -> anyhow::Result<Life> {
    break_all(world, sites, Some(Fault::BreaksAfter(2)));
    let life = Life::after(world).await?;
    life.import(world, sites).await?;
    let failed = async || Ok(world.audit()?.authorizations.invalid == 2);
    world.wait_until("both fail at the CA", WITHIN, failed).await?;
    break_all(world, sites, Some(Fault::WrongForCa));
    Ok(life)
}

#[tokio::test]
async fn an_order_is_kept_open_for_its_next_try() -> anyhow::Result<()> {
    let sites = pairs("resumed", 1);
    let world = world(&sites, rules()).await?;
    break_all(&world, &sites, Some(Fault::WrongForCa));
    let life = Life::after(&world).await?;
    life.import(&world, &sites).await?;
    let tried_twice = async || {
        let tries = "select count(*) from orders where stage = 'presented' and looks = 2";
        let tried: i64 = sqlx::query_scalar(tries).fetch_one(world.store.pool()).await?;
        Ok(tried == 1)
    };
    world.wait_until("it is tried twice", WITHIN, tried_twice).await?;
    break_all(&world, &sites, None);
    life.finish(&world).await?;
    assert_issued_once(&world, &sites).await?;
    assert_eq!((world.audit()?.orders, deactivated(&world)), (1, 0));
    world.stop().await
}

/// However long a name stays broken, and however often it fails at the CA and here: a deactivation, which counts
/// as a failure there, leaves an hour after whatever was counted before it.
#[tokio::test]
async fn deactivations_are_paced_so_that_no_name_runs_out_of_failures() -> anyhow::Result<()> {
    let sites = pairs("paced", 1);
    let world = world(&sites, rules()).await?;
    let life = fails_at_the_ca_and_then_here(&world, &sites).await?;
    let enough = async || {
        world.end_rests().await?;
        Ok(deactivated(&world) >= 6)
    };
    world.wait_until("three attempts are settled", WITHIN, enough).await?;
    for name in &sites[0].names {
        let charges = charges(&records(&world), name.as_str());
        assert!(charges.len() >= 4, "{name}: {charges:?}");
        for two in charges.windows(2) {
            let apart = two[0].0.until(two[1].0);
            assert!(two[1].1 == Event::Failed || apart >= REFILL, "{name}: {apart:?} in {charges:?}");
        }
    }
    assert_eq!(world.audit()?.rate_limited, 0);
    life.app.stop().await?;
    world.stop().await
}

/// What is kept open takes room from others: where nearly all of it is taken, an order is settled at once.
#[tokio::test]
async fn nothing_is_kept_open_where_others_would_miss_it() -> anyhow::Result<()> {
    let sites = pairs("crowded", 1);
    let settings = Settings { pending: Some((2, 0)), drain_seconds: 1, ..Settings::default() };
    let plan = Plan { ca: CaChoice::Rehearsal(rules()), settings, ..Plan::new(sites.clone()) };
    let world = World::start(plan).await?;
    break_all(&world, &sites, Some(Fault::WrongForCa));
    let life = Life::after(&world).await?;
    life.import(&world, &sites).await?;
    let settled = async || Ok(deactivated(&world) == 2);
    world.wait_until("both are deactivated", WITHIN, settled).await?;
    for record in records(&world).iter().take(2) {
        let (opened, ended) = (record.history[0].at, record.history[1].at);
        assert!(opened.until(ended) < Duration::from_secs(50), "{record:?}");
    }
    life.app.stop().await?;
    world.stop().await
}
