//! The CA or the database is away for a while: nothing is lost by it.

use std::sync::Arc;
use std::time::Duration;

use lockkeeper::acme::Transport;
use lockkeeper::cluster::PrivateCluster;
use lockkeeper_tests::flaky_transport::{FlakyTransport, Strike, Weather, Which};
use lockkeeper_tests::world::{CaChoice, Plan, World, csv, pairs};
use rehearsal::rules::CaRules;

const WITHIN: Duration = Duration::from_mins(1);

async fn assert_all_issued_once(world: &World, sites: u64) -> anyhow::Result<()> {
    let summary = world.summary().await?;
    assert_eq!((summary.certificates_issued, summary.open_authorizations), (sites, 0), "{summary:?}");
    let audit = world.audit()?;
    assert_eq!((audit.authorizations.open, audit.rate_limited), (0, 0), "{audit:?}");
    assert_eq!((audit.certificates, audit.duplicate_certificates), (sites, 0), "{audit:?}");
    Ok(())
}

#[tokio::test]
async fn a_ca_that_is_down_at_the_start_is_waited_for() -> anyhow::Result<()> {
    let sites = pairs("early", 5);
    let ca = CaChoice::RehearsalLater(CaRules::default());
    let mut world = World::start(Plan { ca, ..Plan::new(sites.clone()) }).await?;
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&sites)).await?;
    assert_eq!(world.summary().await?.orders_moving, 5, "all wait");
    world.ca.open().await?;
    world.wait_until_done(WITHIN).await?;
    assert_all_issued_once(&world, 5).await?;
    app.stop().await?;
    world.stop().await
}

/// The answers of a broken proxy in front of the CA are no ACME: whether a request was executed cannot be known.
#[tokio::test]
async fn nonsense_in_place_of_answers_ends_no_order() -> anyhow::Result<()> {
    let sites = pairs("nonsense", 12);
    let world = World::start(Plan::new(sites.clone())).await?;
    // In the middle: 12 orders take some hundred requests.
    let nonsense = 20..45;
    let weather = Weather::new(0, [(Which::All(nonsense.clone()), Strike::Garbage)]);
    let transport = FlakyTransport::new(weather)?;
    let app = world.service_through("one", Some(Arc::clone(&transport) as Arc<dyn Transport>)).await?;
    world.import_into("one", &app, csv(&sites)).await?;
    world.wait_until_done(WITHIN).await?;
    assert!(transport.requests() > nonsense.end, "all of it was heard");
    assert_all_issued_once(&world, 12).await?;
    app.stop().await?;
    world.stop().await
}

#[tokio::test]
async fn a_database_that_restarts_in_the_middle_loses_nothing() -> anyhow::Result<()> {
    let sites = pairs("restart", 24);
    let folder = tempfile::Builder::new().prefix("lockkeeper-restart-").tempdir()?;
    // The database runs as a user of its own, who has to get in.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let cluster = PrivateCluster::start(folder.path()).await?;
    let plan = Plan { database_url: Some(cluster.url()), ..Plan::new(sites.clone()) };
    let world = World::start(plan).await?;
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&sites)).await?;
    world
        .wait_until("the first certificate", WITHIN, async || {
            Ok(world.summary().await?.certificates_issued > 0)
        })
        .await?;
    cluster.stop().await?;
    let cluster = PrivateCluster::start(folder.path()).await?;
    world.wait_until_done(WITHIN).await?;
    assert_all_issued_once(&world, 24).await?;
    app.stop().await?;
    world.stop().await?;
    Ok(cluster.stop().await?)
}
