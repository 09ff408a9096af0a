//! The way to the server fails, or is full.

use std::time::Duration;

use lockkeeper_tests::wire::Weather;
use sqlx::PgConnection;
use tokio::time::Instant;

use crate::scene::{Scene, WITHIN};

/// Requests that never arrive, answers that never come, COMMITs whose answer is lost, ends that are no ends: whatever
/// is asked again then has to be the same as if it were asked once.
#[tokio::test]
async fn connections_that_break_at_every_statement_are_no_harm() -> anyhow::Result<()> {
    let scene = Scene::open("broken", 30, "").await?;
    let weather =
        Weather { request_lost: 0.02, answer_lost: 0.02, commit_lost: 0.3, half_closed: 0.01, held: 0.01 };
    scene.wire.set_weather(weather);
    scene.world.wait_until("enough has broken", WITHIN, async || Ok(scene.wire.blows() >= 60)).await?;
    scene.wire.set_weather(Weather::default());
    scene.close().await.map(drop)
}

#[tokio::test]
async fn a_server_that_turns_everybody_away_is_waited_for() -> anyhow::Result<()> {
    let scene = Scene::open("turned-away", 16, "").await?;
    scene.reach(2).await?;
    scene.wire.lead_to(None);
    let orders = scene.world.audit()?.orders;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let more = scene.world.audit()?.orders - orders;
    assert!(
        more <= 8,
        "no order is placed without an intent, and there are no more intents than permits: {more}"
    );
    scene.wire.lead_to(Some(scene.postgres.address()));
    scene.close().await.map(drop)
}

/// Others have taken every connection that the server has, at a moment when the service needs new ones.
#[tokio::test]
async fn a_server_without_a_free_connection_is_waited_for() -> anyhow::Result<()> {
    const CONNECTIONS: usize = 24;
    let settings = format!("max_connections = {CONNECTIONS}\n");
    let scene = Scene::open("crowded", 16, &settings).await?;
    scene.reach(2).await?;
    scene.wire.lead_to(None);
    let mut others: Vec<PgConnection> = Vec::new();
    let deadline = Instant::now() + WITHIN;
    while others.len() < CONNECTIONS {
        match scene.postgres.connect().await {
            Ok(connection) => others.push(connection),
            // The sessions of the service take a moment to end.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        assert!(Instant::now() < deadline, "only {} were to be had", others.len());
    }
    scene.wire.lead_to(Some(scene.postgres.address()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(others);
    scene.close().await.map(drop)
}
