//! What is left of everything that the CA counts, by our own books.

use issuance::demand::{self, HORIZONS};
use issuance::gcra::Bucket;
use issuance::ids::AccountId;
use issuance::limit::{Limit, LimitName, LimitScope};
use issuance::mirror::{BucketKey, Meter};
use issuance::profile::CaProfile;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::pauses::{self, PausedView};
use super::summary::count;
use super::{Store, StoreError, meters, sql_instant};

/// Buckets shown of each limit: the emptiest ones. The rest are counted.
const BUCKETS_SHOWN: i64 = 10;

/// The headroom of one account at its CA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Headroom {
    pub account_id: AccountId,
    pub ca: String,
    /// The CA refuses the account; orders wait until the operator acts.
    pub stopped_reason: Option<String>,
    /// No new order before this, whatever the buckets say.
    pub held_until: Option<Timestamp>,
    /// Until then one order at a time goes where no new order is left, to find out whether the CA grants more.
    #[serde(default)]
    pub seeks_more_until: Option<Timestamp>,
    pub pending_authorizations: PendingBudget,
    pub limits: Vec<LimitHeadroom>,
    pub hostnames_in_backoff: u64,
    /// Until a person opens the CA's link.
    pub paused_names: Vec<PausedView>,
}

/// The account's budget of authorizations that are pending at the CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PendingBudget {
    pub max: u64,
    /// Kept free for the recovery of orders whose answer was lost.
    pub recovery_reserve: u64,
    /// By orders in flight, for authorizations not yet known.
    pub reserved: u64,
    /// By authorizations of which the CA has not confirmed an end, those in the orphan inbox among them.
    pub held: u64,
    /// Of those, the ones neither submitted nor deactivated.
    pub open: u64,
    /// For new orders.
    pub remaining: u64,
}

/// One limit and its emptiest buckets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LimitHeadroom {
    pub name: LimitName,
    pub scope: LimitScope,
    pub burst: u32,
    pub refill_count: u32,
    pub refill_period_seconds: u64,
    /// The numbers are not the CA profile's: an override holds.
    pub overridden: bool,
    /// Buckets that are not full; every other bucket of this limit holds `burst`.
    pub buckets_touched: u64,
    pub bands: Bands,
    /// What the emptiest bucket has left, as a share of its burst; 1 where all are full.
    pub worst_ratio: f64,
    /// Tokens that orders in flight will take when the CA answers new-order, or when it issues.
    pub reserved: u64,
    /// Orders that want a token of the account's bucket; `null` where each bucket has a demand of its own.
    pub demand: Option<Demand>,
    /// When the account's bucket has nothing left for somebody who wants it.
    pub exhausted_at: Option<Timestamp>,
    pub buckets: Vec<BucketHeadroom>,
}

/// Of the buckets that are not full, how many have how much left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Bands {
    /// A tenth or less.
    pub empty: u64,
    /// More, up to a half.
    pub low: u64,
    /// More than a half.
    pub high: u64,
}

/// Orders queued that the CA will count, by when they want to be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Demand {
    pub within_1h: u64,
    pub within_24h: u64,
    pub within_7d: u64,
}

/// One bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BucketHeadroom {
    /// Whom it counts.
    pub key: String,
    pub remaining: u32,
    /// Now, if a token is there.
    pub next_token_at: Timestamp,
    pub full_at: Timestamp,
}

/// `None` where there is no such account.
pub async fn read(
    store: &Store,
    now: Timestamp,
    account: AccountId,
    profile: &CaProfile,
) -> Result<Option<Headroom>, StoreError> {
    let found = sqlx::query!(
        r#"select
               ca, stopped_reason, greatest(held_until, paused_until) as held_until, seeks_more_until,
               pending_authorizations_max, recovery_reserve,
               (select coalesce(sum(reserved_authorizations), 0) from orders
                   where account_id = $1 and reserved_authorizations > 0 and hold_until > $2) as "reserved!",
               (select count(*) from authorizations where account_id = $1 and final_at is null)
                   + (select coalesce(sum(units), 0) from orphans
                       where account_id = $1 and resolved_at is null) as "held!",
               (select count(*) from authorizations where account_id = $1 and settled_at is null) as "open!",
               (select count(*) from hostname_backoffs
                   where account_id = $1 and blocked_until > $2) as "in_backoff!"
           from accounts where account_id = $1"#,
        account.0,
        sql_instant(now),
    )
    .fetch_optional(store.pool())
    .await
    .map_err(StoreError::of("headroom.account"))?;
    let Some(row) = found else { return Ok(None) };

    let max = count(row.pending_authorizations_max.into());
    let recovery_reserve = count(row.recovery_reserve.into());
    let (reserved, held) = (count(row.reserved), count(row.held));
    Ok(Some(Headroom {
        account_id: account,
        stopped_reason: row.stopped_reason,
        held_until: row.held_until.map(Timestamp::from).filter(|until| *until > now),
        seeks_more_until: row.seeks_more_until.map(Timestamp::from).filter(|until| *until > now),
        pending_authorizations: PendingBudget {
            max,
            recovery_reserve,
            reserved,
            held,
            open: count(row.open),
            remaining: max.saturating_sub(recovery_reserve).saturating_sub(reserved + held),
        },
        limits: limits(store, now, account, &row.ca, profile).await?,
        hostnames_in_backoff: count(row.in_backoff),
        ca: row.ca,
        paused_names: pauses::list(store, account).await?,
    }))
}

async fn limits(
    store: &Store,
    now: Timestamp,
    account: AccountId,
    ca: &str,
    profile: &CaProfile,
) -> Result<Vec<LimitHeadroom>, StoreError> {
    let mut conn = store.pool().acquire().await.map_err(StoreError::of("headroom.connect"))?;
    let rules = meters::rules(&mut conn, ca, account, profile, now).await?;
    // A limit's own rule; buckets with an override of their own are measured by it where they are shown.
    let limits: Vec<(Limit, Bucket, bool)> = profile
        .limits
        .iter()
        .filter_map(|told| {
            let any = BucketKey { limit: told.name, key: account.0.to_string().into() };
            let limit = rules.limit(&any)?;
            Some((limit, limit.bucket()?, limit != *told))
        })
        .collect();
    let names: Vec<String> = limits.iter().map(|(limit, ..)| limit.name.as_str().to_owned()).collect();
    let bursts: Vec<f64> = limits.iter().map(|(limit, ..)| limit.burst.into()).collect();
    let refills: Vec<f64> = limits.iter().map(|(_, bucket, _)| bucket.refill().as_secs_f64() * 1e6).collect();
    let account_key = account.0.to_string();
    let bands = sqlx::query_file!(
        "queries/headroom_bands.sql",
        ca,
        sql_instant(now),
        account_key,
        &names,
        &bursts,
        &refills
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(StoreError::of("headroom.bands"))?;
    let rows = sqlx::query_file!(
        "queries/headroom_buckets.sql",
        ca,
        sql_instant(now),
        account_key,
        BUCKETS_SHOWN,
        &names
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(StoreError::of("headroom.buckets"))?;
    let [hour, day, week] = HORIZONS.map(|within| sql_instant(now.after(within)));
    let wanted = sqlx::query_file!("queries/headroom_demand.sql", account.0, hour, day, week)
        .fetch_one(&mut *conn)
        .await
        .map_err(StoreError::of("headroom.demand"))?;
    let wanted = [count(wanted.hour), count(wanted.day), count(wanted.week)];
    let headroom = |(limit, bucket, overridden): (Limit, Bucket, bool)| {
        let band = bands.iter().find(|band| band.limit_name == limit.name.as_str());
        let mine = || rows.iter().filter(|row| row.limit_name == limit.name.as_str());
        let is_the_accounts = limit.name.scope() == LimitScope::Account;
        let reserved = band.map_or(0, |band| count(band.reserved));
        // Of one bucket alone it is known whose the tokens are that are reserved.
        let spoken_for = |full_at: Timestamp, bucket: Bucket| {
            let reserved = if is_the_accounts { u32::try_from(reserved).unwrap_or(u32::MAX) } else { 0 };
            Meter { full_at, reserved, ..Meter::full(bucket, now) }.spoken_for(now)
        };
        let full_at = spoken_for(mine().next().map_or(now, |row| Timestamp::from(row.full_at)), bucket);
        LimitHeadroom {
            name: limit.name,
            scope: limit.name.scope(),
            burst: limit.burst,
            refill_count: limit.count,
            refill_period_seconds: limit.period_seconds,
            overridden,
            buckets_touched: band.map_or(0, |band| count(band.touched)),
            bands: Bands {
                empty: band.map_or(0, |band| count(band.empty)),
                low: band.map_or(0, |band| count(band.low)),
                high: band.map_or(0, |band| count(band.high)),
            },
            worst_ratio: band.map_or(1.0, |band| band.worst),
            reserved,
            demand: is_the_accounts.then_some(Demand {
                within_1h: wanted[0],
                within_24h: wanted[1],
                within_7d: wanted[2],
            }),
            exhausted_at: demand::exhausted_at(&bucket, full_at, wanted, now).filter(|_| is_the_accounts),
            buckets: mine()
                .map(|row| {
                    let key = BucketKey { limit: limit.name, key: row.key.as_str().into() };
                    let bucket = rules.bucket(&key).unwrap_or(bucket);
                    let full_at = spoken_for(row.full_at.into(), bucket);
                    BucketHeadroom {
                        key: row.key.clone(),
                        remaining: bucket.remaining(full_at, now),
                        next_token_at: bucket.next_token_at(full_at, now),
                        full_at,
                    }
                })
                .collect(),
        }
    };
    Ok(limits.into_iter().map(headroom).collect())
}
