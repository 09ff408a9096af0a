//! Orders that need somebody to look after them.

use std::time::Duration;

use issuance::time::Clock;
use lockkeeper::reconcile::{Reconciler, Rescue};
use lockkeeper_tests::world::World;

use crate::world::{HOUR, WITHIN, enter, fail, issued, pending_at_the_ca, row, settle, spoil};

#[tokio::test]
async fn an_ended_order_that_rests_too_early_is_due_again() -> anyhow::Result<()> {
    let (world, parts) = issued("resting").await?;
    let now = world.clock.now();
    let url = pending_at_the_ca(&parts).await?;
    enter(&world, &url, "pending", now, now.after(HOUR)).await?;
    fail(&world).await?;
    let (one, two) = (Rescue::new(parts.clone()), Rescue::new(parts));
    let (first, second) = tokio::join!(one.pass(now), two.pass(now));
    assert_eq!(first?.count("unsettled_at_rest") + second?.count("unsettled_at_rest"), 1);
    assert!(row(&world, &url).await?.is_due);
    assert!(one.pass(now).await?.is_empty(), "once is enough");
    settle(world).await
}

#[tokio::test]
async fn what_an_issued_order_left_open_gets_an_order_of_its_own() -> anyhow::Result<()> {
    let (world, parts) = issued("left").await?;
    let now = world.clock.now();
    let url = pending_at_the_ca(&parts).await?;
    enter(&world, &url, "pending", now, now.after(HOUR)).await?;
    let rescue = Rescue::new(parts);
    assert_eq!(rescue.pass(now).await?.count("unsettled_at_rest"), 1);
    let found = row(&world, &url).await?;
    assert_eq!((&*found.stage, found.is_due), ("failed", true));
    assert!(rescue.pass(now).await?.is_empty(), "once is enough");
    // The certificate's latest order is still the one that was issued.
    let (stage, _) = world.fate_of(&["left-0.com", "www.left-0.com"]).await?;
    assert_eq!(stage, "issued");
    settle(world).await
}

/// Nobody drives its passes: a worker looks soon after its start.
#[tokio::test]
async fn a_service_looks_for_what_was_left_by_itself() -> anyhow::Result<()> {
    let (world, parts) = issued("itself").await?;
    let now = world.clock.now();
    let url = pending_at_the_ca(&parts).await?;
    enter(&world, &url, "pending", now, now.after(HOUR)).await?;
    let app = world.service("two").await?;
    world.wait_until("it is settled", WITHIN, async || Ok(!row(&world, &url).await?.is_open)).await?;
    app.stop().await?;
    settle(world).await
}

#[tokio::test]
async fn an_order_that_kills_its_workers_rests() -> anyhow::Result<()> {
    let (world, parts) = issued("poison").await?;
    let now = world.clock.now();
    fail(&world).await?;
    lapse(&world, 6, now).await?;
    let rescue = Rescue::new(parts);
    let pass = rescue.pass(now).await?;
    assert_eq!((pass.count("lapsed_lease"), pass.count("poison")), (1, 1), "{pass:?}");
    let orders = world.orders().await?;
    let rest = orders[0].due_at.expect("it is due later").unix_timestamp() - now.unix_seconds();
    assert_eq!(rest, 600, "{orders:?}");
    assert!(rescue.pass(now).await?.is_empty(), "once is enough");
    // One that lost a worker or two is nobody's business but the engine's.
    lapse(&world, 2, now).await?;
    assert_eq!(rescue.pass(now).await?.count("poison"), 0);
    world.stop().await
}

#[tokio::test]
async fn an_order_that_cannot_be_read_is_told_once() -> anyhow::Result<()> {
    let (world, parts) = issued("unreadable").await?;
    let now = world.clock.now();
    fail(&world).await?;
    spoil(&world, "update orders set fault_class = 'nonsense' where $1 is not null", now).await?;
    let rescue = Rescue::new(parts);
    // Whoever claims it finds that it cannot be read, so a lease on it means nothing.
    lapse(&world, 6, now.after(HOUR)).await?;
    assert_eq!(rescue.pass(now).await?.count("unreadable"), 1);
    lapse(&world, 6, now.after(HOUR)).await?;
    let again = rescue.pass(now).await?;
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(world.orders().await?[0].lease_holder, None, "it rests all the same");
    world.stop().await
}

/// Leases ran out so many times, the last of them then.
async fn lapse(world: &World, times: u32, at: issuance::time::Timestamp) -> anyhow::Result<()> {
    let statement = format!(
        "update orders set due_at = $1, lease_expires_at = $1, lease_holder = gen_random_uuid(), rescues = {times}"
    );
    spoil(world, &statement, at.before(Duration::from_secs(1))).await
}
