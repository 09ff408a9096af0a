//! Deaths with a record at the provider.

use std::sync::Arc;

use lockkeeper::acme::Transport;
use lockkeeper::mishaps::{Act, Moment, Point};
use lockkeeper_tests::fate::{Mishap, Plan, PlannedFate};
use lockkeeper_tests::name_server::ZoneText;
use lockkeeper_tests::scripted_transport::ScriptedTransport;

use crate::scene::{HEADER, Scene, WITHIN, challenge_names};

fn wire() -> anyhow::Result<Arc<dyn Transport>> {
    Ok(ScriptedTransport::trusting(None, |_| lockkeeper_tests::scripted_transport::Fate::Pass)?)
}

/// A worker publishes the records of the order that is due, and dies before it submits anything.
async fn publish_and_die(scene: &Scene) -> anyhow::Result<()> {
    check_and_die(scene, 1).await
}

/// The step that publishes, and looks from the second time on, is the last of a worker at its `nth` time.
async fn check_and_die(scene: &Scene, nth: u64) -> anyhow::Result<()> {
    let point = Point { moment: Moment::After, act: Act::Step, what: "check_served" };
    let plan = Plan { point, nth, mishap: Mishap::Crash };
    let fate = PlannedFate::new(Some(plan), None, &scene.world.database_url);
    let victim = scene.world.replica("victim", wire()?, fate).await?;
    tokio::time::timeout(WITHIN, victim.gone()).await??;
    Ok(())
}

/// What the first look has shown is in the rows: whoever comes next makes the second one, and no third.
#[tokio::test]
async fn a_look_that_a_dead_worker_has_made_counts() -> anyhow::Result<()> {
    let scene = Scene::start(&[ZoneText::new("seen-shop.com")], &["seen-shop.com"]).await?;
    let front = scene.world.front("front").await?;
    let row = "t1,s1,seen-shop.com *.seen-shop.com,dns-01,\n";
    scene.world.import_into("front", &front, format!("{HEADER}{row}")).await?;
    check_and_die(&scene, 2).await?;
    let seen =
        "select min(visible_at) from dns_records where server_set = 'seen-shop.com' having count(*) = 2";
    let seen = async || -> anyhow::Result<Option<sqlx::types::time::OffsetDateTime>> {
        let rows = sqlx::query_scalar::<_, Option<sqlx::types::time::OffsetDateTime>>(seen);
        Ok(rows.fetch_optional(scene.world.store.pool()).await?.flatten())
    };
    let first = seen().await?.expect("both were seen");
    assert_eq!(scene.world.audit()?.authorizations.submitted, 0, "one look never suffices");

    scene.world.clock.leap(std::time::Duration::from_secs(scene.world.settings.lease_seconds.into()));
    // The successor dies of its own first look, which is the second one of the order.
    check_and_die(&scene, 1).await?;
    assert_eq!(seen().await?, Some(first), "nothing has interrupted it");
    let fate = PlannedFate::new(None, None, &scene.world.database_url);
    scene.world.clock.leap(std::time::Duration::from_secs(scene.world.settings.lease_seconds.into()));
    let successor = scene.world.replica("successor", wire()?, fate).await?;
    scene.world.wait_until_done(WITHIN).await?;
    scene.assert_issued(1).await?;
    successor.stop().await?;
    front.stop().await?;
    scene.stop().await
}

/// Published, and dead before anything is submitted: whoever comes next finds the row, goes on, and cleans up.
#[tokio::test]
async fn killed_between_publishing_and_submitting_it_goes_on_and_leaves_nothing() -> anyhow::Result<()> {
    let scene = Scene::start(&[ZoneText::new("dead-shop.com")], &["dead-shop.com"]).await?;
    let names = challenge_names(&["dead-shop.com"]);
    let front = scene.world.front("front").await?;
    let row = "t1,s1,dead-shop.com *.dead-shop.com,dns-01,\n";
    scene.world.import_into("front", &front, format!("{HEADER}{row}")).await?;

    publish_and_die(&scene).await?;
    assert_eq!(scene.bind.texts(&names[0]).await?.len(), 2, "it was published");
    assert_eq!(scene.rows().await?, 2);
    assert_eq!(scene.world.audit()?.authorizations.submitted, 0);

    let fate = PlannedFate::new(None, None, &scene.world.database_url);
    let successor = scene.world.replica("successor", wire()?, fate).await?;
    let issued = async || Ok(scene.world.summary().await?.certificates_issued == 1);
    scene.world.clock.leap(std::time::Duration::from_secs(scene.world.settings.lease_seconds.into()));
    scene.world.wait_until("the certificate", WITHIN, issued).await?;
    scene.world.wait_until_done(WITHIN).await?;
    scene.assert_issued(1).await?;
    scene.wait_until_clean(&names).await?;
    successor.stop().await?;
    front.stop().await?;
    scene.stop().await
}

/// Its worker dies, and the order is ended by nobody's fault but its age: the record goes all the same.
#[tokio::test]
async fn what_a_dead_worker_has_published_is_removed_though_nobody_goes_on_with_the_order()
-> anyhow::Result<()> {
    let scene = Scene::start(&[ZoneText::new("left-shop.com")], &["left-shop.com"]).await?;
    let names = challenge_names(&["left-shop.com"]);
    let front = scene.world.front("front").await?;
    scene.world.import_into("front", &front, format!("{HEADER}t1,s1,left-shop.com,dns-01,\n")).await?;
    publish_and_die(&scene).await?;
    assert_eq!(scene.bind.texts(&names[0]).await?.len(), 1, "it was published");

    // Past every deadline of the order and its authorization.
    scene.world.clock.leap(std::time::Duration::from_hours(24 * 30));
    let fate = PlannedFate::new(None, None, &scene.world.database_url);
    let successor = scene.world.replica("successor", wire()?, fate).await?;
    let ended = async || {
        let orders = scene.world.orders().await?;
        Ok(orders.first().is_some_and(|order| order.stage == "failed"))
    };
    scene.world.wait_until("the order has ended", WITHIN, ended).await?;
    let old_is_gone = async || {
        let rows: i64 = sqlx::query_scalar(
            "select count(*) from dns_records where order_id = (select min(order_id::text)::uuid from orders)",
        )
        .fetch_one(scene.world.store.pool())
        .await?;
        Ok(rows == 0)
    };
    scene.world.wait_until("its record is gone", WITHIN, old_is_gone).await?;
    successor.stop().await?;
    front.stop().await?;
    scene.stop().await
}
