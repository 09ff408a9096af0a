//! The installation examined while it runs, and when something of it is missing.

use std::sync::Arc;

use lockkeeper::clock::SystemClock;
use lockkeeper::config::Config;
use lockkeeper::doctor::{self, Diagnosis, Health};
use lockkeeper_tests::world::{Plan, World, pairs};

async fn examine(config: &Config) -> Vec<Diagnosis> {
    doctor::examine(config, Arc::new(SystemClock)).await
}

fn health(diagnoses: &[Diagnosis], what: &str) -> Health {
    let found = diagnoses.iter().find(|one| one.what == what);
    found.unwrap_or_else(|| panic!("nothing is said of {what}: {diagnoses:?}")).health
}

#[tokio::test]
async fn a_running_installation_is_well_and_each_thing_that_is_missing_is_told() -> anyhow::Result<()> {
    let world = World::start(Plan::new(pairs("doctor", 1))).await?;
    let app = world.service("one").await?;
    let file = world.config_file("one");
    let mut config = Config::load(Some(&file), std::iter::empty())?;
    world
        .wait_until("the CA knows the account", std::time::Duration::from_mins(1), async || {
            let known: i64 =
                sqlx::query_scalar("select count(*) from accounts where account_url is not null")
                    .fetch_one(world.store.pool())
                    .await?;
            Ok(known == 1)
        })
        .await?;

    let well = examine(&config).await;
    for what in [
        "data folder",
        "master key",
        "database",
        "database schema",
        "tenant fence",
        "CA account",
        "CA directory",
        "clock",
        "preflight",
        "responder",
    ] {
        assert_eq!(health(&well, what), Health::Ok, "{what}: {well:?}");
    }
    // The tests' own server is careless, and that is seen.
    assert_eq!(health(&well, "database durability"), Health::Fail, "{well:?}");
    let port = well.iter().find(|one| one.what == "challenge port").expect("told");
    assert!(port.found.contains(&format!("pid {}", std::process::id())), "{port:?}");
    assert!(well.iter().all(|one| one.health != Health::Fail || one.fix.is_some()), "{well:?}");

    app.stop().await?;
    assert_eq!(health(&examine(&config).await, "responder"), Health::Fail);
    config.data.master_key = Some(file.with_file_name("gone.key"));
    config.ca.agree_to_terms = false;
    let ill = examine(&config).await;
    assert_eq!(health(&ill, "master key"), Health::Fail);
    assert_eq!(health(&ill, "CA terms"), Health::Fail);
    config.database.url = Some(lockkeeper::config::DatabaseUrl::parse("postgres://nobody@127.0.0.1:9/none")?);
    assert_eq!(health(&examine(&config).await, "database"), Health::Fail);
    world.stop().await
}
