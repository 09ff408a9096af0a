//! The server, or a part of it, ends.

use std::time::Duration;

use lockkeeper_tests::postgres::Ending;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::scene::Scene;

const APPLICATION: &str = "lockkeeper";

#[tokio::test]
async fn a_server_that_ends_in_every_way_and_comes_back_loses_nothing() -> anyhow::Result<()> {
    let mut scene = Scene::open("restarted", 32, "").await?;
    for (ending, certificates) in [(Ending::Fast, 4), (Ending::Immediate, 12), (Ending::Killed, 20)] {
        scene.reach(certificates).await?;
        scene.postgres.restart(ending).await?;
    }
    scene.close().await.map(drop)
}

#[tokio::test]
async fn a_killed_backend_takes_every_session_with_it_and_nothing_else() -> anyhow::Result<()> {
    let scene = Scene::open("backend", 24, "").await?;
    for certificates in [4, 12] {
        scene.reach(certificates).await?;
        assert!(scene.postgres.kill_a_backend(APPLICATION).await?, "the service has sessions");
    }
    scene.close().await.map(drop)
}

#[tokio::test]
async fn sessions_that_are_terminated_again_and_again_are_opened_again() -> anyhow::Result<()> {
    let scene = Scene::open("terminated", 24, "").await?;
    let mut chance = StdRng::seed_from_u64(20_261_125);
    scene.reach(1).await?;
    let mut ended = 0_i64;
    for _ in 0..25 {
        let mut connection = scene.postgres.connect().await?;
        ended += sqlx::query_scalar::<_, i64>(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = $1",
        )
        .bind(APPLICATION)
        .fetch_one(&mut connection)
        .await?;
        // At any instruction: this moment is drawn, and nothing is waited for.
        tokio::time::sleep(Duration::from_millis(chance.random_range(10..120))).await;
    }
    assert!(ended > 25, "only {ended} sessions were there to be ended");
    scene.close().await.map(drop)
}
