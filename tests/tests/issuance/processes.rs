//! The service as a process of its own, killed and stopped.

use std::time::Duration;

use lockkeeper_tests::service_process::ServiceProcess;
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{Plan, World, csv, pairs};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

const WITHIN: Duration = Duration::from_mins(1);
const SITES: u64 = 40;
const KILLS: usize = 4;

/// Kills the service at moments that nobody chose, and starts it again each time. The data folder tells the next
/// process which leases were its predecessor's, so nothing waits for them to end.
async fn kill_again_and_again(
    world: &World,
    mut service: ServiceProcess,
    seed: u64,
) -> anyhow::Result<ServiceProcess> {
    let mut chance = StdRng::seed_from_u64(seed);
    for _ in 0..KILLS {
        let enough = world.summary().await?.certificates_issued + chance.random_range(1..4);
        world
            .wait_until("it got on, or all that is left rests", WITHIN, async || {
                let summary = world.summary().await?;
                Ok(summary.certificates_issued >= enough || summary.orders_moving == 0)
            })
            .await?;
        // At any instruction: this moment is drawn, and nothing is waited for.
        tokio::time::sleep(Duration::from_micros(chance.random_range(0..40_000))).await;
        service.kill().await?;
        service = world.process("one").await?;
    }
    Ok(service)
}

fn assert_nothing_open_and_nothing_twice(world: &World) -> anyhow::Result<()> {
    let audit = world.audit()?;
    assert_eq!((audit.authorizations.open, audit.rate_limited), (0, 0), "{audit:?}");
    assert_eq!((audit.certificates, audit.duplicate_certificates), (SITES, 0), "{audit:?}");
    Ok(())
}

#[tokio::test]
async fn killed_again_and_again_it_finishes_at_once_where_challenges_are_still_answered() -> anyhow::Result<()>
{
    let sites = pairs("killed", SITES as usize);
    let settings = Settings { permits: 8, roles: &["api", "worker"], ..Settings::default() };
    let world = World::start(Plan { settings, ..Plan::new(sites.clone()) }).await?;
    let responder = world.responder_alone("responder").await?;
    let service = world.process("one").await?;
    world.import_by("one", &service, csv(&sites)).await?;
    let service = kill_again_and_again(&world, service, 20_261_121).await?;
    world.wait_until_done(WITHIN).await?;
    let unfinished: Vec<_> =
        world.orders().await?.into_iter().filter(|order| order.stage != "issued").collect();
    assert!(unfinished.is_empty(), "{unfinished:?}");
    assert_nothing_open_and_nothing_twice(&world)?;
    assert!(service.terminate(WITHIN).await?.success());
    responder.stop().await?;
    world.stop().await
}

/// Killed alone, it cannot answer the CA meanwhile: such names fail, rest, and are issued after that.
#[tokio::test]
async fn killed_again_and_again_it_finishes_alone_as_well() -> anyhow::Result<()> {
    let sites = pairs("alone", SITES as usize);
    let settings = Settings { permits: 8, ..Settings::default() };
    let world = World::start(Plan { settings, ..Plan::new(sites.clone()) }).await?;
    let service = world.process("one").await?;
    world.import_by("one", &service, csv(&sites)).await?;
    let service = kill_again_and_again(&world, service, 20_261_122).await?;
    world.wait_until_done(WITHIN).await?;
    assert_eq!(world.audit()?.authorizations.open, 0);
    world
        .wait_until("everything is issued", WITHIN, async || {
            world.end_rests().await?;
            Ok(world.summary().await?.certificates_issued == SITES)
        })
        .await?;
    assert_nothing_open_and_nothing_twice(&world)?;
    assert!(service.terminate(WITHIN).await?.success());
    world.stop().await
}

#[tokio::test]
async fn asked_to_stop_it_drains_and_leaves_nothing_in_its_hands() -> anyhow::Result<()> {
    let sites = pairs("drained", SITES as usize);
    let settings = Settings { permits: 8, roles: &["api", "worker"], ..Settings::default() };
    let world = World::start(Plan { settings, ..Plan::new(sites.clone()) }).await?;
    let responder = world.responder_alone("responder").await?;
    let service = world.process("one").await?;
    world.import_by("one", &service, csv(&sites)).await?;
    world
        .wait_until("orders are under way", WITHIN, async || {
            Ok(world.summary().await?.certificates_issued > 0)
        })
        .await?;
    let drain = Duration::from_secs(world.settings.drain_seconds.into());
    assert!(service.terminate(drain).await?.success());
    let orders = world.orders().await?;
    assert!(orders.iter().any(|order| order.stage != "issued"), "it was stopped in the middle");
    assert!(orders.iter().all(|order| order.lease_holder.is_none()), "{orders:?}");

    let service = world.process("one").await?;
    world.wait_until_done(WITHIN).await?;
    assert_nothing_open_and_nothing_twice(&world)?;
    assert!(service.terminate(WITHIN).await?.success());
    responder.stop().await?;
    world.stop().await
}
