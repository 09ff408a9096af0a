//! The audit: the ledger says something else than the CA.

use issuance::time::Clock;
use lockkeeper::reconcile::{Audit, Reconciler};

use crate::world::{HOUR, enter, issued, ledger, pending_at_the_ca, row, settle, spoil};

const SAMPLE: u16 = 100;

#[tokio::test]
async fn a_ledger_that_agrees_with_the_ca_is_left_alone() -> anyhow::Result<()> {
    let (world, parts) = issued("agreed").await?;
    let before = ledger(&world).await?;
    let audit = Audit::new(parts, SAMPLE);
    assert!(audit.pass(world.clock.now()).await?.is_empty());
    let asked = world.audit()?.requests["authorization"];
    assert!(audit.pass(world.clock.now()).await?.is_empty());
    assert!(world.audit()?.requests["authorization"] >= asked + 2, "it did look, at both");
    assert_eq!(ledger(&world).await?, before);
    world.stop().await
}

#[tokio::test]
async fn what_has_ended_at_the_ca_ends_in_the_ledger() -> anyhow::Result<()> {
    let (world, parts) = issued("ended").await?;
    let valid = ledger(&world).await?[0].url.clone();
    let statement = format!(
        "update authorizations set status = 'pending', final_at = null where url = '{valid}' and $1 is not null"
    );
    spoil(&world, &statement, world.clock.now()).await?;
    // One row at a time: the audit goes round.
    let audit = Audit::new(parts, 1);
    let mut ended = 0;
    for _ in 0..2 {
        ended += audit.pass(world.clock.now()).await?.count("ended");
    }
    assert_eq!(ended, 1);
    assert_eq!(row(&world, &valid).await?.status, "valid");
    for _ in 0..2 {
        assert!(audit.pass(world.clock.now()).await?.is_empty(), "once is enough");
    }
    world.stop().await
}

/// Under an order that has its certificate and rests for good: another one settles it.
#[tokio::test]
async fn what_is_pending_at_the_ca_is_opened_again_and_settled() -> anyhow::Result<()> {
    let (world, parts) = issued("pending").await?;
    let now = world.clock.now();
    let url = pending_at_the_ca(&parts).await?;
    enter(&world, &url, "deactivated", now.before(HOUR), now.after(HOUR)).await?;
    // Both replicas find it at the same moment.
    let (one, two) = (Audit::new(parts.clone(), SAMPLE), Audit::new(parts, SAMPLE));
    let (first, second) = tokio::join!(one.pass(now), two.pass(now));
    assert_eq!(first?.count("pending") + second?.count("pending"), 1);
    let found = row(&world, &url).await?;
    assert!(found.is_open && found.is_due, "{found:?}");
    assert_eq!((&*found.stage, &*found.origin), ("failed", "recovered"));
    assert_eq!(world.audit()?.authorizations.open, 1);
    assert!(one.pass(world.clock.now()).await?.is_empty(), "whoever is due looks by himself");
    settle(world).await
}

#[tokio::test]
async fn an_end_of_another_kind_is_taken_over() -> anyhow::Result<()> {
    let (world, parts) = issued("differs").await?;
    let url = ledger(&world).await?[0].url.clone();
    parts.account.deactivate(&url).await?;
    let audit = Audit::new(parts, SAMPLE);
    assert_eq!(audit.pass(world.clock.now()).await?.count("differs"), 1);
    assert_eq!(row(&world, &url).await?.status, "deactivated");
    assert!(audit.pass(world.clock.now()).await?.is_empty());
    world.stop().await
}

#[tokio::test]
async fn what_the_ca_has_forgotten_is_over() -> anyhow::Result<()> {
    let (world, parts) = issued("gone").await?;
    let now = world.clock.now();
    let url = format!("{}99999", ledger(&world).await?[0].url);
    enter(&world, &url, "pending", now.before(HOUR), now.after(HOUR)).await?;
    let audit = Audit::new(parts, SAMPLE);
    assert_eq!(audit.pass(now).await?.count("gone"), 1);
    assert_eq!(row(&world, &url).await?.status, "expired");
    assert!(audit.pass(world.clock.now()).await?.is_empty());
    world.stop().await
}

/// Whoever holds an order writes its ledger, and nobody else.
#[tokio::test]
async fn an_order_in_somebodys_hands_is_left_alone() -> anyhow::Result<()> {
    let (world, parts) = issued("held").await?;
    let now = world.clock.now();
    let url = pending_at_the_ca(&parts).await?;
    enter(&world, &url, "deactivated", now.before(HOUR), now.after(HOUR)).await?;
    let held = "update orders set stage = 'failed', fault_class = 'internal', fault_detail = 'spoilt',
                    due_at = $1, lease_expires_at = $1, lease_holder = gen_random_uuid()";
    spoil(&world, held, now.after(HOUR)).await?;
    let audit = Audit::new(parts, SAMPLE);
    assert!(audit.pass(now).await?.is_empty());
    assert_eq!(row(&world, &url).await?.status, "deactivated");
    // The lease runs out, and the order is due: it will look by itself, if at all. Once it rests, the audit does.
    let rests =
        "update orders set due_at = null, lease_expires_at = null, lease_holder = null where $1 is not null";
    spoil(&world, rests, now).await?;
    assert_eq!(audit.pass(now).await?.count("pending"), 1);
    let found = row(&world, &url).await?;
    assert_eq!((&*found.stage, &*found.origin), ("failed", "ours"), "an ended order settles its own");
    settle(world).await
}
