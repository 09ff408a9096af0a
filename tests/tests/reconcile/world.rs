//! A world whose ledger is as it should be, and ways to spoil it.

use std::time::Duration;

use anyhow::bail;
use issuance::identifier::Identifiers;
use issuance::time::{Clock, Timestamp};
use lockkeeper::reconcile::ReconcileParts;
use lockkeeper::store::headroom::{self, PendingBudget};
use lockkeeper_tests::world::{Plan, World, csv, hostname, pairs};
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;
use sqlx::{AssertSqlSafe, Row as _};
use tokio::time::{Instant, sleep};

pub(crate) const WITHIN: Duration = Duration::from_mins(1);
pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// A row of the ledger, with the stage of its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LedgerRow {
    pub(crate) url: String,
    pub(crate) status: String,
    pub(crate) origin: String,
    pub(crate) is_open: bool,
    pub(crate) stage: String,
    pub(crate) is_due: bool,
}

/// One site, issued by a service that is gone; whatever the CA was told is past its quiet period.
pub(crate) async fn issued(stem: &str) -> anyhow::Result<(World, ReconcileParts)> {
    let sites = pairs(stem, 1);
    let world = World::start(Plan::new(sites.clone())).await?;
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&sites)).await?;
    world.wait_until_done(WITHIN).await?;
    app.stop().await?;
    let parts = world.reconcile_parts().await?;
    world.clock.leap(parts.profile.quiet() * 2);
    Ok((world, parts))
}

/// Performs a statement; `$1` is the instant.
pub(crate) async fn spoil(world: &World, statement: &str, at: Timestamp) -> anyhow::Result<()> {
    let done = sqlx::query(AssertSqlSafe(statement.to_owned()))
        .bind(instant(at))
        .execute(world.store.pool())
        .await?;
    anyhow::ensure!(done.rows_affected() > 0, "nothing was spoilt by {statement}");
    Ok(())
}

/// Makes the only order one that failed, and rests.
pub(crate) async fn fail(world: &World) -> anyhow::Result<()> {
    let statement = "update orders set stage = 'failed', fault_class = 'internal', fault_detail = 'spoilt', ended_at = $1";
    spoil(world, statement, world.clock.now()).await
}

/// Has the CA make an authorization that no order of ours knows of, for a name that does not exist.
pub(crate) async fn pending_at_the_ca(parts: &ReconcileParts) -> anyhow::Result<String> {
    let names = Identifiers::new([hostname(&format!("{}.example.com", Uuid::new_v4().simple()))])?;
    let placed = parts.account.new_order(&names, None, None).await?;
    Ok(placed.body.order.authorizations[0].to_string())
}

/// Enters a row under the oldest order, opened at `opened_at` and to be settled within an hour. A `status` other than
/// `pending` was final when it was opened.
pub(crate) async fn enter(
    world: &World,
    url: &str,
    status: &str,
    opened_at: Timestamp,
    expires_at: Timestamp,
) -> anyhow::Result<()> {
    let final_at = (status != "pending").then(|| instant(opened_at));
    sqlx::query(
        "insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, status, origin,
             opened_at, expires_at, final_at, settled_at, settle_at)
         select $1, tenant_id, account_id, order_id, $2, $3, 'ours', $4, $5, $6, $6, $7
         from orders order by accepted_at desc limit 1",
    )
    .bind(Uuid::now_v7())
    .bind(url)
    .bind(status)
    .bind(instant(opened_at))
    .bind(instant(expires_at))
    .bind(final_at)
    .bind(instant(opened_at.after(HOUR)))
    .execute(world.store.pool())
    .await?;
    Ok(())
}

pub(crate) async fn ledger(world: &World) -> anyhow::Result<Vec<LedgerRow>> {
    let rows = sqlx::query(
        "select url, status, origin, settled_at is null, stage, due_at is not null
         from authorizations join orders using (order_id) order by url",
    )
    .fetch_all(world.store.pool())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(LedgerRow {
                url: row.try_get(0)?,
                status: row.try_get(1)?,
                origin: row.try_get(2)?,
                is_open: row.try_get(3)?,
                stage: row.try_get(4)?,
                is_due: row.try_get(5)?,
            })
        })
        .collect()
}

/// That one row.
pub(crate) async fn row(world: &World, url: &str) -> anyhow::Result<LedgerRow> {
    let mut rows = ledger(world).await?;
    rows.retain(|row| row.url == url);
    let [row] = &rows[..] else { bail!("{} rows for {url}", rows.len()) };
    Ok(row.clone())
}

/// How many objects lie in the inbox unresolved.
pub(crate) async fn orphans(world: &World) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("select count(*) from orphans where resolved_at is null")
        .fetch_one(world.store.pool())
        .await?)
}

/// How each object in the inbox was resolved.
pub(crate) async fn resolutions(world: &World) -> anyhow::Result<Vec<Option<String>>> {
    let rows = sqlx::query_scalar("select resolution from orphans order by url");
    Ok(rows.fetch_all(world.store.pool()).await?)
}

pub(crate) async fn budget(world: &World, parts: &ReconcileParts) -> anyhow::Result<PendingBudget> {
    let headroom = headroom::read(&world.store, world.clock.now(), parts.account_id, &parts.profile).await?;
    Ok(headroom.map(|headroom| headroom.pending_authorizations).expect("there is an account"))
}

/// Waits until `reached` holds, and leaves the clock alone.
pub(crate) async fn until(
    what: &str,
    mut reached: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + WITHIN;
    while !reached().await? {
        if Instant::now() > deadline {
            bail!("not within {WITHIN:?}: {what}");
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Has a service settle what is due, and sees that nothing is left: here, and at the CA.
pub(crate) async fn settle(world: World) -> anyhow::Result<()> {
    let app = world.service("settler").await?;
    world.wait_until_done(WITHIN).await?;
    let open: Vec<LedgerRow> =
        ledger(&world).await?.into_iter().filter(|row| row.status == "pending").collect();
    assert!(open.is_empty(), "{open:?}");
    let audit = world.audit()?;
    assert_eq!(audit.authorizations.open, 0, "{audit:?}");
    app.stop().await?;
    world.stop().await
}

fn instant(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(at.unix_micros())
}
