//! Several services on one database.

use std::collections::BTreeSet;
use std::time::Duration;

use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{Plan, World, csv, pairs};

const WITHIN: Duration = Duration::from_mins(1);
/// The least a lease can be: a request may take a second of it, the rest is margin.
const LEASE_SECONDS: u32 = 12;

#[tokio::test]
async fn two_replicas_share_the_work_within_one_budget() -> anyhow::Result<()> {
    const BUDGET: u32 = 20;
    let sites = pairs("shared", 60);
    let settings = Settings { pending: Some((BUDGET, 0)), ..Settings::default() };
    let world = World::start(Plan { settings, ..Plan::new(sites.clone()) }).await?;
    let (one, two) = (world.service("one").await?, world.service("two").await?);
    world.import_into("one", &one, csv(&sites)).await?;

    let mut at_work = BTreeSet::new();
    world
        .wait_until("everything is issued", WITHIN, async || {
            at_work.extend(world.orders().await?.into_iter().filter_map(|order| order.lease_holder));
            Ok(world.summary().await?.certificates_issued == 60)
        })
        .await?;
    assert_eq!(at_work.len(), 2, "both replicas held orders");
    let audit = world.audit()?;
    assert!(audit.peak_open <= u64::from(BUDGET), "{audit:?}");
    assert!(audit.peak_open > 4, "the budget was made use of: {audit:?}");
    assert_eq!((audit.authorizations.open, audit.rate_limited), (0, 0), "{audit:?}");
    assert_eq!((audit.certificates, audit.duplicate_certificates), (60, 0), "{audit:?}");
    one.stop().await?;
    two.stop().await?;
    world.stop().await
}

#[tokio::test]
async fn the_other_replica_finishes_what_a_killed_one_held() -> anyhow::Result<()> {
    let sites = pairs("orphaned", 40);
    let settings = Settings { lease_seconds: LEASE_SECONDS, permits: 4, ..Settings::default() };
    let world = World::start(Plan { settings, ..Plan::new(sites.clone()) }).await?;
    let victim = world.process("victim").await?;
    let survivor = world.process("survivor").await?;
    world.import_by("survivor", &survivor, csv(&sites)).await?;
    let name = std::fs::read_to_string(world.data_folder("victim").join("replica"))?;
    let name: uuid::Uuid = name.trim().parse()?;
    world
        .wait_until("the victim holds orders at the CA", WITHIN, async || {
            let orders = world.orders().await?;
            let held = orders.iter().filter(|order| order.lease_holder == Some(name));
            Ok(held.filter(|order| order.asks > 0).count() > 0)
        })
        .await?;
    victim.kill().await?;
    world.wait_until_done(WITHIN).await?;
    let summary = world.summary().await?;
    assert_eq!((summary.certificates_issued, summary.open_authorizations), (40, 0), "{}", survivor.log());
    let audit = world.audit()?;
    assert_eq!((audit.authorizations.open, audit.rate_limited), (0, 0), "{audit:?}");
    assert_eq!((audit.certificates, audit.duplicate_certificates), (40, 0), "{audit:?}");
    assert!(survivor.terminate(WITHIN).await?.success());
    world.stop().await
}
