//! What the CA's answers teach the mirror, written in the transaction of the step that heard them.
//!
//! Each is written so that writing it twice changes nothing the second time: an instant only ever moves on, and what is
//! a difference (a token given back, a failure counted) is done with the flag in a row that says it is still to be done.

use std::time::Duration;

use issuance::gcra::Bucket;
use issuance::identifier::Hostname;
use issuance::ids::{AccountId, OrderId};
use issuance::limit::LimitName;
use issuance::mirror::{BucketKey, LimitOverride, Rules};
use issuance::profile::CaProfile;
use issuance::time::Timestamp;
use sqlx::PgConnection;

use super::mint::Mint;
use super::{Store, StoreError, meters, sql_instant, sql_micros};

/// What one answer has taught about one account's mirror.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lessons {
    /// The token of the order's latest new-order is there at the CA: how long one takes to come back.
    pub unspent: Option<Duration>,
    pub limits: Vec<LimitTold>,
    pub failures: Vec<Failure>,
    pub paused: Vec<PausedName>,
}

/// What the CA has said of one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitTold {
    pub bucket: BucketKey,
    pub full_at: Timestamp,
    /// The token of this instant is promised to the order that was refused.
    pub until: Timestamp,
    /// Other numbers than were known.
    pub correction: Option<LimitOverride>,
}

/// A failure that the CA counts against a hostname.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The authorization's URL: each is counted once.
    pub authorization: Box<str>,
    pub hostname: Hostname,
    pub counted: Vec<(LimitName, Bucket)>,
}

/// A name that the CA has paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PausedName {
    pub hostname: Hostname,
    pub unpause_url: Option<Box<str>>,
}

impl Lessons {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The gate writes the account's own bucket as it has read it, under the lock on the account's row: whoever moves
    /// that bucket takes the lock first, or the gate would undo it.
    pub(super) fn moves_the_accounts_bucket(&self) -> bool {
        self.unspent.is_some() || !self.limits.is_empty()
    }

    pub(super) async fn write(
        &self,
        connection: &mut PgConnection,
        account: AccountId,
        order: OrderId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // First what is given back: what the CA says of the bucket is said with it.
        if let Some(refill) = self.unspent {
            give_back(connection, order, refill).await?;
        }
        for told in &self.limits {
            told.write(connection, account, now).await?;
        }
        for failure in &self.failures {
            failure.write(connection, order, now).await?;
        }
        for paused in &self.paused {
            paused.write(connection, account, now).await?;
        }
        Ok(())
    }
}

/// One order at a time: whoever moves a bucket that the gate writes waits for the gate.
pub(super) async fn lock(connection: &mut PgConnection, accounts: &[AccountId]) -> Result<(), StoreError> {
    let accounts: Vec<_> = accounts.iter().map(|account| account.0).collect();
    sqlx::query!(
        "select account_id from accounts where account_id = any($1) order by account_id for no key update",
        &accounts
    )
    .fetch_all(connection)
    .await
    .map(drop)
    .map_err(StoreError::of("lessons.lock"))
}

/// Gives the token of the latest new-order back, if it was taken and not given back.
async fn give_back(
    connection: &mut PgConnection,
    order: OrderId,
    refill: Duration,
) -> Result<(), StoreError> {
    sqlx::query!(
        "with unspent as (
             update orders set charged = false where order_id = $1 and charged returning account_id
         )
         update buckets
         set full_at = greatest(full_at - $2::bigint * interval '1 microsecond', told_full_at)
         from unspent join accounts using (account_id)
         where buckets.ca = accounts.ca and limit_name = 'new_orders_per_account'
             and key = unspent.account_id::text",
        order.0,
        sql_micros(refill)
    )
    .execute(connection)
    .await
    .map(drop)
    .map_err(StoreError::of("lessons.give_back"))
}

impl LimitTold {
    async fn write(
        &self,
        connection: &mut PgConnection,
        account: AccountId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let limit = self.bucket.limit.as_str();
        sqlx::query!(
            "insert into buckets (ca, limit_name, key, full_at, told_full_at, promised_until)
             select ca, $2, $3, $4, $4, $5 from accounts where account_id = $1
             on conflict (ca, limit_name, key) do update
             set full_at = greatest(buckets.full_at, excluded.full_at),
                 told_full_at = greatest(buckets.told_full_at, excluded.told_full_at),
                 promised_until = greatest(buckets.promised_until, excluded.promised_until)",
            account.0,
            limit,
            &*self.bucket.key,
            sql_instant(self.full_at),
            sql_instant(self.until)
        )
        .execute(&mut *connection)
        .await
        .map_err(StoreError::of("lessons.bucket"))?;
        let Some(numbers) = &self.correction else { return Ok(()) };
        // What the operator has entered may be over at the CA: what it says itself holds.
        sqlx::query!(
            "insert into limit_overrides
                (override_id, ca, limit_name, account_id, key, burst, count, period_seconds, origin, note, created_at)
             select $2, ca, $3, $4, $5, $6, $7, $8, 'learnt', 'the CA said so with a 429', $9
             from accounts where account_id = $1
             on conflict (ca, limit_name, account_id, key) do update
             set burst = excluded.burst,
                 count = excluded.count,
                 period_seconds = excluded.period_seconds,
                 origin = excluded.origin,
                 note = excluded.note,
                 created_at = excluded.created_at,
                 expires_at = null
             where (limit_overrides.burst, limit_overrides.count, limit_overrides.period_seconds)
                    <> (excluded.burst, excluded.count, excluded.period_seconds)
                 or limit_overrides.expires_at <= $9",
            account.0,
            Mint::at(now).uuid(),
            limit,
            numbers.account.map(|of| of.0),
            numbers.key.as_deref(),
            i32::try_from(numbers.burst).unwrap_or(i32::MAX),
            i32::try_from(numbers.count).unwrap_or(i32::MAX),
            i64::try_from(numbers.period_seconds).unwrap_or(i64::MAX),
            sql_instant(now)
        )
        .execute(connection)
        .await
        .map(drop)
        .map_err(StoreError::of("lessons.correct"))
    }
}

impl Failure {
    async fn write(
        &self,
        connection: &mut PgConnection,
        order: OrderId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let limits: Vec<String> = self.counted.iter().map(|(limit, _)| limit.as_str().to_owned()).collect();
        let refills: Vec<i64> = self.counted.iter().map(|(_, bucket)| sql_micros(bucket.refill())).collect();
        let horizons: Vec<i64> =
            self.counted.iter().map(|(_, bucket)| sql_micros(bucket.horizon())).collect();
        // What is empty gets no emptier: the CA refuses to count further.
        sqlx::query!(
            "with counted as (
                 update authorizations set counted = true
                 where url = $1 and order_id = $2 and not counted
                 returning account_id
             ),
             spent as (
                 select ca, limit_name, concat(account_id, '/', $3::text) as key, refill, horizon
                 from counted join accounts using (account_id),
                     unnest($4::text[], $5::bigint[], $6::bigint[]) as spent (limit_name, refill, horizon)
             )
             insert into buckets (ca, limit_name, key, full_at)
             select
                 spent.ca, spent.limit_name, spent.key,
                 greatest(
                     buckets.full_at,
                     least(
                         greatest(buckets.full_at, $7) + refill * interval '1 microsecond',
                         $7 + horizon * interval '1 microsecond'))
             from spent left join buckets using (ca, limit_name, key)
             order by 1, 2, 3
             on conflict (ca, limit_name, key) do update
             set full_at = greatest(buckets.full_at, excluded.full_at)",
            &*self.authorization,
            order.0,
            self.hostname.as_str(),
            &limits,
            &refills,
            &horizons,
            sql_instant(now)
        )
        .execute(connection)
        .await
        .map(drop)
        .map_err(StoreError::of("lessons.failure"))
    }
}

impl PausedName {
    async fn write(
        &self,
        connection: &mut PgConnection,
        account: AccountId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into paused_names (account_id, hostname, unpause_url, learnt_at) values ($1, $2, $3, $4)
             on conflict (account_id, hostname) do update set unpause_url = excluded.unpause_url",
            account.0,
            self.hostname.as_str(),
            self.unpause_url.as_deref(),
            sql_instant(now)
        )
        .execute(connection)
        .await
        .map(drop)
        .map_err(StoreError::of("lessons.pause"))
    }
}

impl Store {
    /// The rules that hold for the account.
    pub async fn rules(
        &self,
        account: AccountId,
        profile: &CaProfile,
        now: Timestamp,
    ) -> Result<Rules, StoreError> {
        let mut connection = self.pool().acquire().await.map_err(StoreError::of("lessons.rules: connect"))?;
        let ca = sqlx::query_scalar!("select ca from accounts where account_id = $1", account.0)
            .fetch_one(&mut *connection)
            .await
            .map_err(StoreError::of("lessons.account"))?;
        meters::rules(&mut connection, &ca, account, profile, now).await
    }

    /// When a bucket is full again by the mirror. `None`: nothing was counted yet.
    pub async fn mirrored(
        &self,
        account: AccountId,
        bucket: &BucketKey,
    ) -> Result<Option<Timestamp>, StoreError> {
        let full_at = sqlx::query_scalar!(
            "select full_at from buckets join accounts using (ca)
             where account_id = $1 and limit_name = $2 and key = $3",
            account.0,
            bucket.limit.as_str(),
            &*bucket.key
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("lessons.mirrored"))?;
        Ok(full_at.map(Timestamp::from))
    }
}
