//! What nobody's step tells: a limit that runs low, a certificate whose end is near, an authorization that is stuck. Found by
//! reconcilers, on every replica; each is told once.

use std::time::Duration;

use issuance::event::Headroom;
use issuance::ids::{AccountId, OrderId};
use issuance::time::Timestamp;
use serde_json::Value;
use sqlx::types::Uuid;

use super::{Store, StoreError, sql_instant};

/// A certificate that is not renewed is told of when so much of its life is left, and again on the last day, and when it is
/// over. A renewal that waits as it should is no news.
const EXPIRING_SHARE: f64 = 0.2;
const LAST_DAY: Duration = Duration::from_hours(24);
/// Rows told of by one pass, of each kind; what is left over comes next time.
const ROWS_MAX: i64 = 500;

/// How much is left of one limit.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitLeft {
    /// One of the CA's limits, or `pending_authorizations`.
    pub name: &'static str,
    /// Of one.
    pub left: f64,
    /// For whoever is told.
    pub data: Value,
}

impl Store {
    /// Tells that the CA wants so many certificates replaced at once that a campaign is in order: those of `versions`. Once a day
    /// and account; whether it was told now.
    pub async fn tell_incident(
        &self,
        account: AccountId,
        versions: &[OrderId],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let versions: Vec<Uuid> = versions.iter().map(|version| version.0).collect();
        let told =
            sqlx::query_file!("queries/announcements_incident.sql", sql_instant(now), account.0, &versions)
                .execute(self.pool())
                .await
                .map_err(StoreError::of("announcements.incident"))?;
        Ok(told.rows_affected() > 0)
    }

    /// Tells of limits that have come to another stage than was told last. Returns how many.
    pub async fn tell_headroom(
        &self,
        account: AccountId,
        limits: &[LimitLeft],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let what = "announcements.headroom";
        let rows =
            sqlx::query!("select limit_name, told_as from headroom_told where account_id = $1", account.0)
                .fetch_all(self.pool())
                .await
                .map_err(StoreError::of(what))?;
        let mut told = 0;
        for limit in limits {
            let before = rows.iter().find(|row| row.limit_name == limit.name);
            let before = before.and_then(|row| Headroom::parse(&row.told_as)).unwrap_or(Headroom::Ample);
            let after = before.then(limit.left);
            if after == before {
                continue;
            }
            // Of replicas that find it together one tells: the others find another stage than they have read.
            let written = sqlx::query_file!(
                "queries/announcements_headroom.sql",
                account.0,
                limit.name,
                before.as_str(),
                after.as_str(),
                after.kind(),
                limit.data,
                sql_instant(now)
            )
            .execute(self.pool())
            .await
            .map_err(StoreError::of(what))?;
            told += written.rows_affected();
        }
        Ok(told)
    }

    /// Tells of certificates that are not renewed and come to their ends. Returns how many.
    pub async fn tell_expiring(&self, account: AccountId, now: Timestamp) -> Result<u64, StoreError> {
        sqlx::query_file!(
            "queries/announcements_expiring.sql",
            account.0,
            sql_instant(now),
            EXPIRING_SHARE,
            sql_instant(now.after(LAST_DAY)),
            ROWS_MAX
        )
        .execute(self.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::of("announcements.expiring"))
    }

    /// Tells of authorizations whose deadlines were before `overdue_before` and that are still open. Returns how many.
    pub async fn tell_stuck(
        &self,
        account: AccountId,
        overdue_before: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        sqlx::query_file!(
            "queries/announcements_stuck.sql",
            account.0,
            sql_instant(overdue_before),
            sql_instant(now),
            ROWS_MAX
        )
        .execute(self.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::of("announcements.stuck"))
    }
}
