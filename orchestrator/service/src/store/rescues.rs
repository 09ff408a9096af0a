//! Orders that need somebody to look after them: their leases ran out, too often perhaps, or they rest although
//! something of theirs is not settled.

use issuance::ids::{AccountId, OrderId};
use issuance::time::Timestamp;

use super::order_row::OrderRow;
use super::summary::count;
use super::{Store, StoreError, sql_instant, strays};

/// An order whose leases ran out too often in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poison {
    pub order: OrderId,
    pub rescues: u32,
    pub epoch: i64,
    /// A worker holds it at this moment.
    pub is_held: bool,
}

impl Store {
    /// How many orders on their way at the CA are due because a lease on them ran out.
    pub async fn lapsed_leases(&self, account: AccountId, now: Timestamp) -> Result<u64, StoreError> {
        sqlx::query_scalar!(
            r#"select count(*) as "lapsed!" from orders
               where account_id = $1 and queue = 2 and due_at <= $2 and lease_expires_at <= $2"#,
            account.0,
            sql_instant(now)
        )
        .fetch_one(self.pool())
        .await
        .map(count)
        .map_err(StoreError::of("rescues.lapsed"))
    }

    /// Orders whose leases ran out more than `rescues_max` times in a row.
    pub async fn poison_orders(
        &self,
        account: AccountId,
        rescues_max: u32,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<Poison>, StoreError> {
        let rows = sqlx::query!(
            r#"select order_id, rescues, lease_epoch, coalesce(lease_expires_at > $3, false) as "is_held!"
               from orders
               where account_id = $1 and rescues > 0 and rescues > $2 and lease_expires_at is not null
               order by order_id
               limit $4"#,
            account.0,
            i32::try_from(rescues_max).unwrap_or(i32::MAX),
            sql_instant(now),
            i64::from(limit)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("rescues.poison"))?;
        let poison = rows.into_iter().map(|row| Poison {
            order: OrderId(row.order_id),
            rescues: u32::try_from(row.rescues).unwrap_or(0),
            epoch: row.lease_epoch,
            is_held: row.is_held,
        });
        Ok(poison.collect())
    }

    /// Why an order's row makes no sense; `None` if it does, or is not there.
    pub async fn look_at_order(&self, order: OrderId) -> Result<Option<StoreError>, StoreError> {
        let row = sqlx::query_file_as!(OrderRow, "queries/orders_look_at.sql", order.0)
            .fetch_optional(self.pool())
            .await
            .map_err(StoreError::of("rescues.look_at"))?;
        let Some(row) = row else { return Ok(None) };
        let mut ledger = self.ledger_of(vec![order.0]).await?;
        Ok(row.order(ledger.remove(&order.0).unwrap_or_default()).err())
    }

    /// Takes the lease off an order that was seen with that epoch, and lets it rest. False if it has moved since.
    pub async fn rest_poison(&self, poison: &Poison, until: Timestamp) -> Result<bool, StoreError> {
        sqlx::query!(
            "update orders
             set lease_epoch = lease_epoch + 1, lease_expires_at = null, lease_holder = null, rescues = 0, due_at = $3,
                 in_line = false
             where order_id = $1 and lease_epoch = $2 and lease_expires_at is not null",
            poison.order.0,
            poison.epoch,
            sql_instant(until)
        )
        .execute(self.pool())
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(StoreError::of("rescues.rest"))
    }

    /// Orders at rest that have something at the CA which has not ended. Those that can settle it are due again; what
    /// an issued one has, which rests for good, goes to an order of its own. Returns the orders that are due now.
    pub async fn wake_unsettled(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<OrderId>, StoreError> {
        let mut tx = self.begin("rescues.wake").await?;
        let resting = sqlx::query!(
            // From what is open to its order, each by its key: nobody knows how few are both, and there are millions of orders.
            "select resting.order_id, resting.stage
             from (
                 select distinct order_id from authorizations where account_id = $1 and final_at is null
                 order by order_id
             ) as open
             cross join lateral (
                 select order_id, stage from orders
                 where orders.order_id = open.order_id and due_at is null
                 offset 0
                 for update skip locked
             ) as resting
             limit $2",
            account.0,
            i64::from(limit)
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(StoreError::of("rescues.resting"))?;
        let mut woken = Vec::with_capacity(resting.len());
        for row in resting {
            let order = OrderId(row.order_id);
            if row.stage == "issued" {
                let stray = strays::insert(&mut tx, order, None, now).await?;
                strays::move_unsettled(&mut tx, order, stray).await?;
                woken.push(stray);
            } else {
                sqlx::query!("update orders set due_at = $2 where order_id = $1", order.0, sql_instant(now))
                    .execute(&mut *tx)
                    .await
                    .map_err(StoreError::of("rescues.wake_one"))?;
                woken.push(order);
            }
        }
        tx.commit().await.map_err(StoreError::of("rescues.wake"))?;
        Ok(woken)
    }
}
