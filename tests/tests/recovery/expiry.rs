//! Authorizations expire under an order: the attempt ends, and the next one begins.

use std::time::Duration;

use lockkeeper::acme::Endpoint;
use lockkeeper_tests::scripted_transport::{Call, Fate};
use lockkeeper_tests::world::{World, pairs};
use rehearsal::rules::{CaRules, Profile};

use crate::lives::{Life, WITHIN, assert_issued_once, dead, rules, stages, world};

const LIFE: u64 = 3_600;

/// Authorizations that live for an hour, in orders that live for a week.
async fn short_lived(stem: &str, hangs: fn(&Call) -> bool, senders: usize) -> anyhow::Result<World> {
    let sites = pairs(stem, 1);
    let usual = rules();
    let default_profile = Profile { pending_authorization_seconds: LIFE, ..usual.default_profile.clone() };
    let world = world(&sites, CaRules { default_profile, ..usual }).await?;
    dead(&world, &sites, senders, move |call| if hangs(&call) { Fate::Hang } else { Fate::Pass }).await?;
    world.clock.leap(Duration::from_secs(2 * LIFE));

    let life = Life::after(&world).await?;
    let failed = async || Ok(stages(&world).await? == ["failed", "parked"]);
    world.wait_until("the attempt is over", WITHIN, failed).await?;
    world.wait_until_done(WITHIN).await?;
    assert_eq!(world.orders().await?[0].fault_class.as_deref(), Some("order_expired"));
    world.end_rests().await?;
    let issued = async || Ok(world.summary().await?.certificates_issued == 1);
    world.wait_until("the next attempt", WITHIN, issued).await?;
    life.finish(&world).await?;
    assert_issued_once(&world, &sites).await?;
    Ok(world)
}

/// Rows of the ledger that expired and were never submitted.
async fn unsettled(world: &World) -> anyhow::Result<i64> {
    let count = "select count(*) from authorizations where status = 'expired' and submitted_at is null";
    Ok(sqlx::query_scalar(count).fetch_one(world.store.pool()).await?)
}

#[tokio::test]
async fn an_authorization_that_expires_before_it_is_submitted_ends_the_attempt() -> anyhow::Result<()> {
    let world = short_lived("unsubmitted", |call| call.reads(Endpoint::Authorization), 1).await?;
    assert_eq!(unsettled(&world).await?, 2, "and is told apart");
    world.stop().await
}

#[tokio::test]
async fn an_authorization_that_expires_before_its_challenge_arrived_ends_the_attempt() -> anyhow::Result<()> {
    let world = short_lived("unarrived", |call| call.writes(Endpoint::Challenge), 2).await?;
    assert_eq!(unsettled(&world).await?, 2);
    world.stop().await
}
