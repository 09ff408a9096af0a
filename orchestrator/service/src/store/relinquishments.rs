//! Names that are given up. A CA remembers for weeks that an account has proven a name: whoever got the name meanwhile
//! could have it certified without a challenge. So a name stays its owner's until the CA was told to forget
//! (deactivation of a valid authorization, RFC 8555 §7.5.2, which is free).

use std::time::Duration;

use issuance::identifier::Hostname;
use issuance::ids::{AccountId, TenantId};
use issuance::time::Timestamp;
use sqlx::PgConnection;

use super::{Store, StoreError, sql_instant};

/// No CA lets one live for longer; and what is older is not asked about.
const VALID_FOR_MAX: Duration = Duration::from_hours(24 * 120);

/// A proof that the CA is to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRelinquishment {
    pub url: String,
    pub hostname: String,
    pub attempts: u32,
}

/// Wants the CA to forget that `account` has proven the name. Returns how many proofs there are.
pub(super) async fn wish(
    conn: &mut PgConnection,
    account: AccountId,
    tenant: TenantId,
    hostname: &Hostname,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let written = sqlx::query!(
        "insert into relinquishments (url, account_id, tenant_id, hostname, requested_at, attempt_at)
         select distinct url, $1::uuid, $2::uuid, $3, $4::timestamptz, $4::timestamptz
         from authorizations
         where account_id = $1 and identifier = $3 and status = 'valid' and opened_at > $5
         on conflict (account_id, url) do nothing",
        account.0,
        tenant.0,
        hostname.validation_target(),
        sql_instant(now),
        sql_instant(now.before(VALID_FOR_MAX))
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("relinquishments.wish"))?;
    Ok(written.rows_affected())
}

/// Wants every CA to forget what `tenant` has proven of a name that another one has from now on, and what it may still prove
/// by orders that are under way.
pub(super) async fn wish_for_all(
    conn: &mut PgConnection,
    tenant: TenantId,
    hostname: &str,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let written = sqlx::query!(
        "insert into relinquishments (url, account_id, tenant_id, hostname, requested_at, attempt_at)
         select distinct proof.url, accounts.account_id, $1::uuid, $2, $3::timestamptz, $3::timestamptz
         from accounts
         cross join lateral (
             select url from authorizations
             where account_id = accounts.account_id and identifier = $2 and tenant_id = $1 and status = 'valid'
                 and opened_at > $4
             union all
             select url from authorizations
             where account_id = accounts.account_id and identifier = $2 and tenant_id = $1 and final_at is null
         ) as proof
         on conflict (account_id, url) do nothing",
        tenant.0,
        hostname,
        sql_instant(now),
        sql_instant(now.before(VALID_FOR_MAX))
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("relinquishments.wish_for_all"))?;
    Ok(written.rows_affected())
}

impl Store {
    /// Takes up to `limit` that are due by now: of none of them an order is under way, which would be spoilt. Nobody else gets
    /// them before `again_in` is over.
    pub async fn due_relinquishments(
        &self,
        account: AccountId,
        now: Timestamp,
        again_in: Duration,
        limit: u16,
    ) -> Result<Vec<DueRelinquishment>, StoreError> {
        let rows = sqlx::query!(
            "with due as (
                 select account_id, url from relinquishments
                 where account_id = $1 and attempt_at <= $2
                     and not exists (
                         select from authorizations join orders using (order_id)
                         where authorizations.url = relinquishments.url and authorizations.account_id = $1
                             and (authorizations.final_at is null or orders.ended_at is null)
                     )
                 order by attempt_at
                 limit $4
                 for update skip locked
             )
             update relinquishments
             set attempt_at = $3, attempts = attempts + 1
             from due
             where relinquishments.account_id = due.account_id and relinquishments.url = due.url
             returning relinquishments.url, relinquishments.hostname, relinquishments.attempts",
            account.0,
            sql_instant(now),
            sql_instant(now.after(again_in)),
            i64::from(limit)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("relinquishments.due"))?;
        let due = rows.into_iter().map(|row| DueRelinquishment {
            url: row.url,
            hostname: row.hostname,
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
        });
        Ok(due.collect())
    }

    /// The CA remembers it no more.
    pub async fn relinquished(&self, account: AccountId, url: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "with forgotten as (
                 update authorizations set status = 'deactivated' where url = $2 and account_id = $1 and status = 'valid'
             )
             delete from relinquishments where account_id = $1 and url = $2",
            account.0,
            url
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("relinquishments.done"))
    }

    /// It is tried again then.
    pub async fn relinquish_again(
        &self,
        account: AccountId,
        url: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update relinquishments set attempt_at = $3 where account_id = $1 and url = $2",
            account.0,
            url,
            sql_instant(at)
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("relinquishments.again"))
    }

    /// Lets up to `limit` names go whose owners have given them up: no order for them is under way, and the CA remembers
    /// nothing. What orders under way have proven meanwhile is to be forgotten first. Returns the names that are free.
    pub async fn release_hostnames(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<String>, StoreError> {
        let mut conn = self.connection().await?;
        release(&mut conn, account, None, now, limit).await
    }
}

/// The same, of one tenant or of all.
pub(super) async fn release(
    conn: &mut PgConnection,
    account: AccountId,
    tenant: Option<TenantId>,
    now: Timestamp,
    limit: u16,
) -> Result<Vec<String>, StoreError> {
    sqlx::query_file_scalar!(
        "queries/hostnames_release.sql",
        account.0,
        sql_instant(now),
        sql_instant(now.before(VALID_FOR_MAX)),
        i64::from(limit),
        tenant.map(|tenant| tenant.0)
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("relinquishments.release"))
}
