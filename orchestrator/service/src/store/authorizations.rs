//! The ledger as its keepers see it: what is open, and for how long.

use std::time::Duration;

use issuance::ids::{AccountId, OrderId};
use issuance::time::Timestamp;
use sqlx::types::Uuid;

use super::summary::count;
use super::{Store, StoreError, sql_instant};

/// An order that is due at the deadline of its authorizations may take this long to be claimed and to settle them.
const SLACK: Duration = Duration::from_mins(2);

/// An open authorization past its deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    pub url: String,
    pub order: OrderId,
    pub opened_at: Timestamp,
}

/// An authorization that expired before it was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsettledExpiry {
    pub url: String,
    pub order: OrderId,
}

/// What is open on one account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenLedger {
    pub open: u64,
    pub overdue: u64,
    pub oldest_opened_at: Option<Timestamp>,
    pub orphans: u64,
    pub oldest_orphan_learnt_at: Option<Timestamp>,
}

impl Store {
    /// Open authorizations past their deadlines, oldest first.
    pub async fn overdue_authorizations(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<Overdue>, StoreError> {
        let rows = sqlx::query!(
            "select url, order_id, opened_at
             from authorizations
             where account_id = $1 and settled_at is null and settle_at <= $2
             order by settle_at
             limit $3",
            account.0,
            sql_instant(now.before(SLACK)),
            i64::from(limit)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("authorizations.overdue"))?;
        let overdue = rows.into_iter().map(|row| Overdue {
            url: row.url,
            order: OrderId(row.order_id),
            opened_at: row.opened_at.into(),
        });
        Ok(overdue.collect())
    }

    /// Makes those of the orders due that have ended, that wait, and that nobody works on: an order that goes on
    /// keeps its own pace. Returns how many there were.
    pub async fn hasten_settling(&self, orders: &[OrderId], now: Timestamp) -> Result<u64, StoreError> {
        let orders: Vec<Uuid> = orders.iter().map(|order| order.0).collect();
        sqlx::query!(
            "update orders
             set due_at = $2
             where order_id = any($1) and stage in ('failed', 'cancelled') and lease_expires_at is null
                 and (due_at is null or due_at > $2)",
            &orders,
            sql_instant(now)
        )
        .execute(self.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::of("authorizations.hasten"))
    }

    /// Takes note of those that expired before `expired_before` and were neither submitted nor ended until then.
    /// Each is told to one caller, once.
    pub async fn notice_unsettled_expiries(
        &self,
        account: AccountId,
        expired_before: Timestamp,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<UnsettledExpiry>, StoreError> {
        let rows = sqlx::query_file!(
            "queries/authorizations_expired_unsettled.sql",
            account.0,
            sql_instant(expired_before),
            sql_instant(now),
            i64::from(limit)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("authorizations.expired_unsettled"))?;
        let expiries =
            rows.into_iter().map(|row| UnsettledExpiry { url: row.url, order: OrderId(row.order_id) });
        Ok(expiries.collect())
    }

    pub async fn open_ledger(&self, account: AccountId, now: Timestamp) -> Result<OpenLedger, StoreError> {
        let open = sqlx::query!(
            r#"select count(*) as "open!", count(*) filter (where settle_at <= $2) as "overdue!",
                   min(opened_at) as oldest
               from authorizations
               where account_id = $1 and settled_at is null"#,
            account.0,
            sql_instant(now.before(SLACK))
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("authorizations.open"))?;
        let orphans = sqlx::query!(
            r#"select count(*) as "orphans!", min(learnt_at) as oldest
               from orphans where account_id = $1 and resolved_at is null"#,
            account.0
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("authorizations.orphans"))?;
        Ok(OpenLedger {
            open: count(open.open),
            overdue: count(open.overdue),
            oldest_opened_at: open.oldest.map(Timestamp::from),
            orphans: count(orphans.orphans),
            oldest_orphan_learnt_at: orphans.oldest.map(Timestamp::from),
        })
    }
}
