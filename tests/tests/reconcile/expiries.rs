//! What is open past its deadline, and what expired before it was settled.

use issuance::time::Clock;
use lockkeeper::reconcile::{Reconciler, Settle};

use crate::world::{HOUR, enter, fail, issued, pending_at_the_ca, row, settle, spoil};

#[tokio::test]
async fn what_expired_unsettled_is_told_once_over_all_replicas() -> anyhow::Result<()> {
    let (world, parts) = issued("expired").await?;
    let now = world.clock.now();
    // Nobody has ended it yet, and the engine has.
    enter(&world, "https://ca.invalid/z/1", "pending", now.before(HOUR * 3), now.before(HOUR)).await?;
    enter(&world, "https://ca.invalid/z/2", "expired", now.before(HOUR), now.before(HOUR)).await?;
    let (one, two) = (Settle::new(parts.clone()), Settle::new(parts));
    let (first, second) = tokio::join!(one.pass(now), two.pass(now));
    let (first, second) = (first?, second?);
    assert_eq!(
        first.count("expired_unsettled") + second.count("expired_unsettled"),
        2,
        "{first:?} {second:?}"
    );
    for settle in [&one, &two] {
        assert_eq!(settle.pass(now).await?.count("expired_unsettled"), 0);
    }
    world.stop().await
}

#[tokio::test]
async fn what_is_open_past_its_deadline_is_settled_now() -> anyhow::Result<()> {
    let (world, parts) = issued("overdue").await?;
    let now = world.clock.now();
    let url = pending_at_the_ca(&parts).await?;
    enter(&world, &url, "pending", now.before(HOUR * 3), now.after(HOUR)).await?;
    fail(&world).await?;
    spoil(&world, "update orders set due_at = $1", now.after(HOUR * 5)).await?;
    let reconciler = Settle::new(parts);
    let pass = reconciler.pass(now).await?;
    assert_eq!((pass.count("overdue"), pass.count("hastened")), (1, 1), "{pass:?}");
    let again = reconciler.pass(now).await?;
    assert_eq!((again.count("overdue"), again.count("hastened")), (1, 0), "told again, and left alone");
    assert!(row(&world, &url).await?.is_open);
    settle(world).await
}

/// It keeps its own pace: looked at too early, it would be given up too early.
#[tokio::test]
async fn an_order_that_goes_on_is_not_hastened() -> anyhow::Result<()> {
    let (world, parts) = issued("goes-on").await?;
    let now = world.clock.now();
    enter(&world, "https://ca.invalid/z/1", "pending", now.before(HOUR * 3), now.after(HOUR)).await?;
    let presented = "update orders set stage = 'presented', ended_at = null, key_sealed = null, csr_der = null, due_at = $1";
    spoil(&world, presented, now.after(HOUR)).await?;
    let pass = Settle::new(parts).pass(now).await?;
    assert_eq!((pass.count("overdue"), pass.count("hastened")), (1, 0), "{pass:?}");
    world.stop().await
}
