//! A standby takes over in the middle of a run.

use std::time::Duration;

use lockkeeper::store::{Store, StoreError};
use lockkeeper_tests::postgres::{Ending, PostgresServer};

use crate::scene::Scene;

/// The primary dies without a word; what it had acknowledged, the standby has.
#[tokio::test]
async fn a_synchronous_standby_takes_over_and_nothing_is_lost() -> anyhow::Result<()> {
    const SITES: usize = 32;
    let primary = PostgresServer::start_new("wal_level = replica\n").await?;
    let standby = primary.standby("second").await?;
    primary.sql("alter system set synchronous_standby_names = 'second'").await?;
    primary.sql("select pg_reload_conf()").await?;

    let direct = Store::open(&standby.url(), 1)?;
    assert!(matches!(direct.reach().await, Err(StoreError::Standby)), "a standby is not worked on");
    assert!(direct.ping().await.is_err_and(|error| error.is_unavailable()));

    let mut scene = Scene::open_on(primary, "failover", SITES).await?;
    scene.reach(6).await?;
    scene.postgres.stop(Ending::Killed).await?;
    // Led to it too early, the service waits: what it says may be old, and it takes no writes.
    scene.wire.lead_to(Some(standby.address()));
    let issued = scene.world.audit()?.certificates;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(issued < SITES as u64, "it was done too early");
    standby.promote().await?;
    scene.close().await?;
    assert!(direct.reach().await.is_ok(), "it is the primary now");
    Ok(())
}
