//! The service is killed or stopped, or an answer does not come in time: c0, c9, c15, f2.

use std::time::Duration;

use lockkeeper_tests::proxy::{Manners, Progress};
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{CaChoice, Plan, QUICK_PEBBLE, Truth, World, csv, pairs};

use crate::table;

const WITHIN: Duration = Duration::from_mins(1);
const ORDERS: usize = 10;
/// All of them valid, none pending.
const ALL_VALID: Truth =
    Truth { created: 2 * ORDERS, pending: 0, valid: 2 * ORDERS, invalid: 0, deactivated: 0 };

enum End {
    Kill,
    Terminate,
}

async fn start(scenario: &str, settings: Settings) -> anyhow::Result<World> {
    World::start(Plan { ca: QUICK_PEBBLE, settings, ..Plan::new(pairs(scenario, ORDERS)) }).await
}

/// Ends the service when all orders have come as far as `enough` says, starts it again, and has it finish.
async fn interrupted(
    scenario: &str,
    manners: Manners,
    enough: fn(&Progress) -> bool,
    end: End,
) -> anyhow::Result<Truth> {
    let world = start(scenario, Settings::default()).await?;
    world.proxy()?.behave(manners);
    let service = world.process("one").await?;
    world.import_by("one", &service, csv(&pairs(scenario, ORDERS))).await?;
    world.proxy()?.wait_for(WITHIN, enough).await?;
    match end {
        End::Kill => {
            service.kill().await?;
            let truth = world.truth().await?;
            assert_eq!((truth.created, truth.pending), (2 * ORDERS, 2 * ORDERS), "as bad as can be");
        }
        End::Terminate => assert!(service.terminate(WITHIN).await?.success()),
    }
    assert_eq!(world.summary().await?.certificates_issued, 0, "it ended in the middle");
    world.proxy()?.behave(Manners::default());
    let service = world.process("one").await?;
    world.wait_until_done(WITHIN).await?;
    let truth = world.truth().await?;
    table::print(scenario, &truth);
    let summary = world.summary().await?;
    assert_eq!(summary.certificates_issued, ORDERS as u64, "{summary:?}");
    assert!(service.terminate(WITHIN).await?.success());
    world.stop().await?;
    Ok(truth)
}

#[tokio::test]
async fn c0_killed_while_new_order_is_being_answered() -> anyhow::Result<()> {
    let manners = Manners { new_order_delay: Duration::from_secs(8), ..Manners::default() };
    let truth = interrupted("c0", manners, |progress| progress.orders_made == ORDERS, End::Kill).await?;
    assert_eq!(truth, ALL_VALID);
    Ok(())
}

#[tokio::test]
async fn c9_killed_before_any_challenge_is_accepted() -> anyhow::Result<()> {
    let manners = Manners { challenge_delay: Duration::from_secs(8), ..Manners::default() };
    let truth = interrupted("c9", manners, |progress| progress.orders_answered == ORDERS, End::Kill).await?;
    assert_eq!(truth, ALL_VALID);
    Ok(())
}

#[tokio::test]
async fn c15_stopped_before_any_challenge_is_accepted() -> anyhow::Result<()> {
    let manners = Manners { challenge_delay: Duration::from_secs(2), ..Manners::default() };
    let truth =
        interrupted("c15", manners, |progress| progress.orders_answered == ORDERS, End::Terminate).await?;
    assert_eq!(truth, ALL_VALID);
    Ok(())
}

/// The responder outlives the last challenge: a stop must not spend validations on names that were all right.
#[tokio::test]
async fn stopped_while_the_ca_takes_its_time_no_validation_is_spent() -> anyhow::Result<()> {
    let sites = pairs("patient", ORDERS);
    let ca = CaChoice::ProxiedPebble { validation_sleep_seconds: 3 };
    let world = World::start(Plan { ca, ..Plan::new(sites.clone()) }).await?;
    let service = world.process("one").await?;
    world.import_by("one", &service, csv(&sites)).await?;
    world.proxy()?.wait_for(WITHIN, |progress| progress.challenges_accepted == 2 * ORDERS).await?;
    assert!(service.terminate(WITHIN).await?.success());
    let decided = async || Ok(world.truth().await?.pending == 0);
    world.wait_until("the CA has come to all its verdicts", WITHIN, decided).await?;
    assert_eq!(world.truth().await?, ALL_VALID);
    let service = world.process("one").await?;
    world.wait_until_done(WITHIN).await?;
    assert_eq!(world.summary().await?.certificates_issued, ORDERS as u64);
    assert!(service.terminate(WITHIN).await?.success());
    world.stop().await
}

/// The least lease leaves a request two seconds.
#[tokio::test]
async fn f2_the_answer_to_new_order_comes_after_the_time_out() -> anyhow::Result<()> {
    let world = start("f2", Settings { lease_seconds: 12, ..Settings::default() }).await?;
    world.proxy()?.behave(Manners { new_order_delay: Duration::from_secs(4), ..Manners::default() });
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&pairs("f2", ORDERS))).await?;
    world.wait_until_done(WITHIN).await?;
    let truth = world.truth().await?;
    table::print("f2", &truth);
    assert_eq!(world.proxy()?.progress().orders_answered, 0, "nobody waited for an answer");
    assert_eq!(world.summary().await?.certificates_issued, ORDERS as u64);
    assert_eq!(truth, ALL_VALID);
    app.stop().await?;
    world.stop().await
}
