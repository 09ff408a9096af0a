//! What a test reads of the orders, past the API.

use std::time::Duration;

use issuance::time::Timestamp;
use lockkeeper::store::Store;
use sqlx::Row as _;
use time::OffsetDateTime;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderSeen {
    pub names: Vec<String>,
    pub stage: String,
    pub fault_class: Option<String>,
    pub fault_detail: Option<String>,
    pub failures: i32,
    pub asks: i32,
    pub due_at: Option<OffsetDateTime>,
    pub lease_holder: Option<uuid::Uuid>,
}

pub(super) async fn read(store: &Store) -> sqlx::Result<Vec<OrderSeen>> {
    let rows = sqlx::query(
        "select names, stage, fault_class, fault_detail, failures, asks, due_at, lease_holder
         from orders order by accepted_at, order_id",
    )
    .fetch_all(store.pool())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(OrderSeen {
                names: row.try_get(0)?,
                stage: row.try_get(1)?,
                fault_class: row.try_get(2)?,
                fault_detail: row.try_get(3)?,
                failures: row.try_get(4)?,
                asks: row.try_get(5)?,
                due_at: row.try_get(6)?,
                lease_holder: row.try_get(7)?,
            })
        })
        .collect()
}

/// Orders that will move without anybody doing anything, and those in a worker's hands.
pub(crate) async fn moving(store: &Store) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "select count(*) from orders where due_at is not null and (stage <> 'parked' or lease_holder is not null)",
    )
    .fetch_one(store.pool())
    .await
}

/// How long nothing will happen: the time until the first order that is not parked is due. `None` while something
/// is due or in hand, and where nothing is to come. Who stands at a closed gate is due when it opens.
pub(super) async fn idle_for(store: &Store, now: Timestamp) -> sqlx::Result<Option<Duration>> {
    let now = instant(now);
    let row = sqlx::query(
        "select count(*) filter (where lease_holder is not null or (due_at <= $1 and not at_the_gate)),
                least(min(due_at) filter (where stage <> 'parked' and due_at > $1),
                      min(gate_closed_until) filter (where at_the_gate))
         from orders
         join accounts using (account_id)
         cross join lateral (
             select in_line and not exempt and coalesce(gate_closed_until > $1, false)) as stands (at_the_gate)",
    )
    .bind(now)
    .fetch_one(store.pool())
    .await?;
    let (busy, next): (i64, Option<OffsetDateTime>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(next.filter(|_| busy == 0).map(|next| (next - now).unsigned_abs()))
}

/// How long until the last of the parked orders is due.
pub(super) async fn parked_until(store: &Store, now: Timestamp) -> sqlx::Result<Duration> {
    let now = instant(now);
    let last: Option<OffsetDateTime> =
        sqlx::query_scalar("select max(due_at) from orders where stage = 'parked'")
            .fetch_one(store.pool())
            .await?;
    Ok(last.map_or(Duration::ZERO, |last| (last - now).try_into().unwrap_or_default()))
}

/// Orders in a worker's hands, and those that are due and not parked.
pub(crate) async fn in_motion(store: &Store, now: Timestamp) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "select count(*) from orders where lease_holder is not null or (due_at <= $1 and stage <> 'parked')",
    )
    .bind(instant(now))
    .fetch_one(store.pool())
    .await
}

/// As if orders that keep losing their workers had rested enough.
pub(crate) async fn forgive(store: &Store, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query(
        "update orders set due_at = least(due_at, $1) where stage = 'accepted' and lease_holder is null",
    )
    .bind(instant(now))
    .execute(store.pool())
    .await
    .map(drop)
}

/// As if the rests of names and of parked orders had been over for long: for services whose clock cannot leap.
pub(crate) async fn end_rests(store: &Store, now: Timestamp) -> sqlx::Result<()> {
    let now = instant(now);
    for statement in [
        "update hostname_backoffs set blocked_until = least(blocked_until, $1)",
        "update orders set due_at = least(due_at, $1) where stage = 'parked' and lease_holder is null",
    ] {
        sqlx::query(statement).bind(now).execute(store.pool()).await?;
    }
    Ok(())
}

fn instant(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(at.unix_micros())
}
