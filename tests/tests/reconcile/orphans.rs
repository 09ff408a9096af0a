//! The orphan inbox: what a worker learns when its order is no longer its own.

use std::sync::Arc;
use std::time::Duration;

use issuance::time::Clock;
use lockkeeper::acme::Transport;
use lockkeeper::reconcile::{Orphans, Reconciler};
use lockkeeper_tests::held_transport::HeldTransport;
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{CaChoice, Plan, World, csv, pairs};
use rehearsal::rules::CaRules;

use crate::world::{HOUR, WITHIN, budget, ledger, orphans, resolutions, spoil, until};

/// Requests are given up two seconds into it.
const SHORT_LEASE_SECONDS: u32 = 12;

/// The test's own passes are the only ones: a service's would take what the test wants to see.
fn alone() -> Settings {
    Settings { reconcile_seconds: Some(3_600), ..Settings::default() }
}

/// Its sender gives up, and the answer comes before anybody has asked again.
#[tokio::test]
async fn the_order_of_a_late_answer_is_adopted() -> anyhow::Result<()> {
    let sites = pairs("late", 1);
    let settings = Settings { lease_seconds: SHORT_LEASE_SECONDS, ..alone() };
    let world = World::start(Plan { settings, ..Plan::new(sites.clone()) }).await?;
    let transport = HeldTransport::new()?;
    let app = world.service_through("one", Some(Arc::clone(&transport) as Arc<dyn Transport>)).await?;
    world.import_into("one", &app, csv(&sites)).await?;
    transport.executed(WITHIN).await?;
    let parts = world.reconcile_parts().await?;
    until("the sender has given up", async || {
        let orders = world.orders().await?;
        Ok(orders[0].stage == "admitted" && orders[0].lease_holder.is_none())
    })
    .await?;
    // Nobody asks again meanwhile.
    spoil(&world, "update orders set due_at = $1", world.clock.now().after(HOUR)).await?;
    assert_eq!(orphans(&world).await?, 0);
    transport.release();
    until("the answer is in the inbox", async || Ok(orphans(&world).await? == 3)).await?;
    let held = budget(&world, &parts).await?;
    assert_eq!((held.reserved, held.held), (2, 2), "unknown counts as used");

    // Two replicas find it at the same moment.
    let (one, two) = (Orphans::new(parts.clone()), Orphans::new(parts.clone()));
    tokio::try_join!(one.pass(world.clock.now()), two.pass(world.clock.now()))?;
    // Whoever is slower may find that the order has gone on already.
    let resolved = resolutions(&world).await?;
    assert!(
        resolved.len() == 3 && resolved.iter().all(|one| matches!(one.as_deref(), Some("adopted" | "ended"))),
        "{resolved:?}"
    );
    world.wait_until_done(WITHIN).await?;
    assert!(one.pass(world.clock.now()).await?.is_empty(), "once is enough");

    let orders = world.orders().await?;
    assert_eq!(orders.iter().map(|order| (&*order.stage, order.asks)).collect::<Vec<_>>(), [("issued", 1)]);
    let audit = world.audit()?;
    assert_eq!((audit.orders, audit.certificates, audit.authorizations.open), (1, 1, 0), "{audit:?}");
    let held = budget(&world, &parts).await?;
    assert_eq!((held.reserved, held.held), (0, 0), "{held:?}");
    app.stop().await?;
    world.stop().await
}

/// Another replica takes the order over, and has another one made, since this CA does not hand out pending ones.
#[tokio::test]
async fn what_an_overtaken_worker_learns_is_settled_beside_its_order() -> anyhow::Result<()> {
    let sites = pairs("overtaken", 1);
    let ca = CaChoice::Rehearsal(CaRules { order_reuse: false, ..CaRules::default() });
    let world = World::start(Plan { ca, settings: alone(), ..Plan::new(sites.clone()) }).await?;
    let transport = HeldTransport::new()?;
    let overtaken = world.service_through("one", Some(Arc::clone(&transport) as Arc<dyn Transport>)).await?;
    world.import_into("one", &overtaken, csv(&sites)).await?;
    transport.executed(WITHIN).await?;
    let parts = world.reconcile_parts().await?;
    world.clock.leap(Duration::from_secs(u64::from(world.settings.lease_seconds) + 1));
    let app = world.service("two").await?;
    world
        .wait_until("somebody else has the certificate", WITHIN, async || {
            Ok(world.summary().await?.certificates_issued == 1)
        })
        .await?;
    assert_eq!(world.audit()?.authorizations.open, 2, "of the order nobody knows");
    let held = budget(&world, &parts).await?;
    assert_eq!((held.reserved, held.held), (2, 0), "what the lost request may have made");

    transport.release();
    until("what was learnt is in the inbox", async || Ok(orphans(&world).await? == 3)).await?;
    // The operator does not want to wait for the deadline.
    let wish = "update orphans set settle_requested_at = $1 where kind = 'order'";
    spoil(&world, wish, world.clock.now()).await?;
    let (one, two) = (Orphans::new(parts.clone()), Orphans::new(parts.clone()));
    tokio::try_join!(one.pass(world.clock.now()), two.pass(world.clock.now()))?;
    assert_eq!(resolutions(&world).await?, vec![Some("entered".to_owned()); 3]);
    assert!(one.pass(world.clock.now()).await?.is_empty(), "once is enough");
    let recovered = ledger(&world).await?.into_iter().filter(|row| row.origin == "recovered").count();
    assert_eq!(recovered, 2);
    let at_once: i64 = sqlx::query_scalar(
        "select count(*) from authorizations
         where origin = 'recovered' and settle_at = (select max(settle_requested_at) from orphans)",
    )
    .fetch_one(world.store.pool())
    .await?;
    assert_eq!(at_once, 2, "settled now, and not by the deadline");

    app.wake.notify_one();
    world.wait_until_done(WITHIN).await?;
    let audit = world.audit()?;
    assert_eq!((audit.orders, audit.certificates, audit.authorizations.open), (2, 1, 0), "{audit:?}");
    let held = budget(&world, &parts).await?;
    assert_eq!((held.reserved, held.held), (0, 0), "{held:?}");
    overtaken.stop().await?;
    app.stop().await?;
    world.stop().await
}

/// A proxy has eaten the body, and left the header that says where the order is.
#[tokio::test]
async fn an_order_of_which_only_the_address_was_understood_is_adopted() -> anyhow::Result<()> {
    let sites = pairs("garbled", 1);
    let world = World::start(Plan { settings: alone(), ..Plan::new(sites.clone()) }).await?;
    let transport = HeldTransport::garbling()?;
    let app = world.service_through("one", Some(transport as Arc<dyn Transport>)).await?;
    world.import_into("one", &app, csv(&sites)).await?;
    until("its address is in the inbox", async || Ok(orphans(&world).await? == 1)).await?;
    let parts = world.reconcile_parts().await?;
    let held = budget(&world, &parts).await?;
    assert_eq!(held.held, 2, "an order that nobody has read may hold as many as it has names: {held:?}");
    until("its sender has let it go", async || Ok(world.orders().await?[0].lease_holder.is_none())).await?;
    Orphans::new(parts).pass(world.clock.now()).await?;
    assert_eq!(resolutions(&world).await?, [Some("adopted".to_owned())]);
    world.wait_until_done(WITHIN).await?;
    let audit = world.audit()?;
    assert_eq!((audit.orders, audit.certificates, audit.authorizations.open), (1, 1, 0), "{audit:?}");
    app.stop().await?;
    world.stop().await
}

/// An overtaken worker, at a CA that hands out the order it has: the other replica got it by asking again.
#[tokio::test]
async fn what_the_ledger_knows_is_no_orphan() -> anyhow::Result<()> {
    let sites = pairs("known", 1);
    let world = World::start(Plan { settings: alone(), ..Plan::new(sites.clone()) }).await?;
    let transport = HeldTransport::new()?;
    let overtaken = world.service_through("one", Some(Arc::clone(&transport) as Arc<dyn Transport>)).await?;
    world.import_into("one", &overtaken, csv(&sites)).await?;
    transport.executed(WITHIN).await?;
    world.clock.leap(Duration::from_secs(u64::from(world.settings.lease_seconds) + 1));
    let app = world.service("two").await?;
    world
        .wait_until("somebody else has the certificate", WITHIN, async || {
            Ok(world.summary().await?.certificates_issued == 1)
        })
        .await?;
    transport.release();
    // Stopping waits for what is still to be written down.
    overtaken.stop().await?;
    assert_eq!(orphans(&world).await?, 0);
    let audit = world.audit()?;
    assert_eq!((audit.orders, audit.certificates, audit.authorizations.open), (1, 1, 0), "{audit:?}");
    app.stop().await?;
    world.stop().await
}

/// Nobody has read the answer, and its sender is asked to stop.
#[tokio::test]
async fn a_service_that_stops_hears_what_is_under_way() -> anyhow::Result<()> {
    let sites = pairs("stopping", 1);
    let settings = Settings { lease_seconds: SHORT_LEASE_SECONDS, ..alone() };
    let world = World::start(Plan { settings, ..Plan::new(sites.clone()) }).await?;
    let transport = HeldTransport::new()?;
    let app = world.service_through("one", Some(Arc::clone(&transport) as Arc<dyn Transport>)).await?;
    world.import_into("one", &app, csv(&sites)).await?;
    transport.executed(WITHIN).await?;
    until("the sender has given up", async || Ok(world.orders().await?[0].lease_holder.is_none())).await?;
    spoil(&world, "update orders set due_at = $1", world.clock.now().after(HOUR)).await?;
    let stopping = tokio::spawn(app.stop());
    transport.release();
    stopping.await??;
    assert_eq!(resolutions(&world).await?.len(), 3, "an order and two authorizations were heard of");
    // Its own reconciler may have been at it before it stopped.
    let parts = world.reconcile_parts().await?;
    Orphans::new(parts).pass(world.clock.now()).await?;
    assert_eq!(resolutions(&world).await?, vec![Some("adopted".to_owned()); 3]);
    crate::world::settle(world).await
}
