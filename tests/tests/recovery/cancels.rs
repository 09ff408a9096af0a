//! Orders that end at their owner's wish while they are at the CA: nothing is left pending there.

use lockkeeper::acme::Endpoint;
use lockkeeper_tests::scripted_transport::Fate;
use lockkeeper_tests::world::{World, pairs};
use rehearsal::fleet::{Fault, Site};
use serde_json::Value;

use crate::lives::{Life, dead, reaches, records, rules, stages, world};

async fn cancel(world: &World) -> anyhow::Result<Value> {
    let front = world.front("front").await?;
    let api = world.client("front", &front)?;
    let order: Value = api.get("/v1/orders").await?;
    let id = order["data"][0]["id"].as_str().expect("an order");
    let report: Value = api.post(&format!("/v1/orders/{id}/cancel")).await?;
    front.stop().await?;
    Ok(report)
}

/// Whatever it takes: each authorization was submitted or deactivated, and nothing was certified.
async fn assert_settled(world: &World, sites: &[Site]) -> anyhow::Result<()> {
    assert_eq!(stages(world).await?, ["cancelled"]);
    let rests: bool = sqlx::query_scalar("select bool_and(due_at is null) from orders")
        .fetch_one(world.store.pool())
        .await?;
    let pending: i64 = sqlx::query_scalar("select count(*) from authorizations where final_at is null")
        .fetch_one(world.store.pool())
        .await?;
    assert!(rests && pending == 0, "at rest, with {pending} pending");
    let told = records(world);
    assert_eq!(told.len(), sites.iter().map(|site| site.names.len()).sum::<usize>());
    for record in told {
        assert!(["valid", "deactivated"].contains(&record.status), "{record:?}");
    }
    assert_eq!(world.audit()?.certificates, 0);
    Ok(())
}

#[tokio::test]
async fn a_placed_order_is_settled_by_whoever_takes_it_up() -> anyhow::Result<()> {
    let sites = pairs("cancelled", 1);
    let world = world(&sites, rules()).await?;
    dead(&world, &sites, 1, |call| if call.reads(Endpoint::Authorization) { Fate::Hang } else { Fate::Pass })
        .await?;
    assert_eq!(stages(&world).await?, ["placed"]);
    let report = cancel(&world).await?;
    assert_eq!(
        (&report["ended"], stages(&world).await?),
        (&false.into(), vec!["placed".to_owned()]),
        "{report}"
    );
    Life::after(&world).await?.finish(&world).await?;
    assert_settled(&world, &sites).await?;
    world.stop().await
}

#[tokio::test]
async fn what_is_not_served_is_deactivated() -> anyhow::Result<()> {
    let sites = pairs("unserved", 1);
    let world = world(&sites, rules()).await?;
    for name in sites.iter().flat_map(|site| &site.names) {
        world.fleet.set_fault(name, Some(Fault::WrongForCa));
    }
    let life = Life::after(&world).await?;
    life.import(&world, &sites).await?;
    reaches(&world, "presented").await?;
    life.die(&world).await?;
    cancel(&world).await?;
    Life::after(&world).await?.finish(&world).await?;
    assert_settled(&world, &sites).await?;
    assert!(records(&world).iter().all(|record| record.status == "deactivated"));
    world.stop().await
}
