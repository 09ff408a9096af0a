//! What the CA's answers teach the mirror, written in the transaction of the step that heard them.
//!
//! Each is written so that writing it twice changes nothing the second time: an instant only ever moves on, and what is
//! a difference (a token given back, a failure counted) is done with the flag in a row that says it is still to be done.

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
    /// The CA has taken no token for the order's latest new-order.
    pub unspent: bool,
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

    pub(super) async fn write(
        &self,
        connection: &mut PgConnection,
        account: AccountId,
        order: OrderId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.unspent {
            hold_less(connection, order).await?;
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

/// Of an order that stays in doubt for an earlier new-order, the latest one's token is held no longer. Where nothing is in
/// doubt any more, the step itself lets go of it.
async fn hold_less(connection: &mut PgConnection, order: OrderId) -> Result<(), StoreError> {
    sqlx::query!(
        "with unspent as (
             update orders set charged = false where order_id = $1 and charged and stage = 'admitted'
             returning order_id
         ),
         less as (
             update limit_reservations set tokens = tokens - 1
             from unspent
             where limit_reservations.order_id = unspent.order_id
                 and limit_name = 'new_orders_per_account' and tokens > 1
             returning limit_reservations.order_id
         )
         delete from limit_reservations
         using unspent
         where limit_reservations.order_id = unspent.order_id
             and limit_name = 'new_orders_per_account' and tokens = 1",
        order.0
    )
    .execute(connection)
    .await
    .map(drop)
    .map_err(StoreError::of("lessons.hold_less"))
}

/// Nobody needs to seek further: how much the CA grants the account is known.
async fn found_out(connection: &mut PgConnection, account: AccountId) -> Result<(), StoreError> {
    sqlx::query!(
        "update accounts set seeks_more_until = null where account_id = $1 and seeks_more_until is not null",
        account.0
    )
    .execute(connection)
    .await
    .map(drop)
    .map_err(StoreError::of("lessons.found_out"))
}

impl LimitTold {
    async fn write(
        &self,
        connection: &mut PgConnection,
        account: AccountId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let corrected = self.correct(connection, account, now).await?;
        // By other numbers the bucket was kept in other tokens: what was counted so far means nothing any more.
        sqlx::query!(
            "insert into buckets (ca, limit_name, key, full_at, promised_until)
             select ca, $2, $3, $4, $5 from accounts where account_id = $1
             on conflict (ca, limit_name, key) do update
             set full_at = case when $6 then excluded.full_at else greatest(buckets.full_at, excluded.full_at) end,
                 promised_until = greatest(buckets.promised_until, excluded.promised_until)",
            account.0,
            self.bucket.limit.as_str(),
            &*self.bucket.key,
            sql_instant(self.full_at),
            sql_instant(self.until),
            corrected
        )
        .execute(&mut *connection)
        .await
        .map_err(StoreError::of("lessons.bucket"))?;
        if self.bucket.limit == LimitName::NewOrdersPerAccount {
            found_out(connection, account).await?;
        }
        Ok(())
    }

    /// True if the numbers are news.
    async fn correct(
        &self,
        connection: &mut PgConnection,
        account: AccountId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(numbers) = &self.correction else { return Ok(false) };
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
            self.bucket.limit.as_str(),
            numbers.account.map(|of| of.0),
            numbers.key.as_deref(),
            i32::try_from(numbers.burst).unwrap_or(i32::MAX),
            i32::try_from(numbers.count).unwrap_or(i32::MAX),
            i64::try_from(numbers.period_seconds).unwrap_or(i64::MAX),
            sql_instant(now)
        )
        .execute(connection)
        .await
        .map(|done| done.rows_affected() > 0)
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
