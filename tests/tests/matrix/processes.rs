//! The same with processes: the points are where the process really ends, or stops.

use std::time::Duration;

use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{Plan, World, csv, pairs};
use rehearsal::rules::CaRules;

const WITHIN: Duration = Duration::from_mins(1);
const SITES: u64 = 6;

async fn world() -> anyhow::Result<World> {
    let settings = Settings { roles: &["api", "worker"], permits: 4, ..Settings::default() };
    let rules = CaRules { nonce_rejection: 0.0, ..CaRules::default() };
    let ca = lockkeeper_tests::world::CaChoice::Rehearsal(rules);
    World::start(Plan { settings, ca, ..Plan::new(pairs("process", SITES as usize)) }).await
}

async fn ends_well(world: &World) -> anyhow::Result<()> {
    world.wait_until_done(WITHIN).await?;
    let summary = world.summary().await?;
    assert_eq!((summary.certificates_issued, summary.open_authorizations), (SITES, 0), "{summary:?}");
    let audit = world.audit()?;
    assert_eq!((audit.authorizations.open, audit.rate_limited), (0, 0), "{audit:?}");
    assert_eq!((audit.certificates, audit.duplicate_certificates), (SITES, 0), "{audit:?}");
    Ok(())
}

#[tokio::test]
async fn a_process_that_aborts_at_a_point_is_followed_by_one_that_goes_on() -> anyhow::Result<()> {
    let world = world().await?;
    let responder = world.responder_alone("responder").await?;
    let sites = csv(&pairs("process", SITES as usize));
    let fates =
        ["after_request.new_order:2=abort", "before_commit.finalizing=abort", "after_request.finalize=abort"];
    for (turn, fate) in fates.into_iter().enumerate() {
        let service = world.process_with_fate("one", fate).await?;
        if turn == 0 {
            world.import_by("one", &service, sites.clone()).await?;
        }
        let ended = service.ended(WITHIN).await?;
        assert!(!ended.success(), "{fate}: {ended}");
    }
    let service = world.process("one").await?;
    ends_well(&world).await?;
    assert!(service.terminate(WITHIN).await?.success());
    responder.stop().await?;
    world.stop().await
}

#[tokio::test]
async fn a_process_that_stops_at_a_point_goes_on_when_it_is_let() -> anyhow::Result<()> {
    let world = world().await?;
    let responder = world.responder_alone("responder").await?;
    let service = world.process_with_fate("one", "before_request.finalize:2=stop").await?;
    world.import_by("one", &service, csv(&pairs("process", SITES as usize))).await?;
    service.stopped(WITHIN).await?;
    assert!(world.summary().await?.certificates_issued < SITES);
    service.go_on().await?;
    ends_well(&world).await?;
    assert!(service.terminate(WITHIN).await?.success());
    responder.stop().await?;
    world.stop().await
}
