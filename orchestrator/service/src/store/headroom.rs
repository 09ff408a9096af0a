//! What is left of everything that the CA counts, by our own books.

use std::collections::BTreeMap;

use issuance::ids::AccountId;
use issuance::limit::{Limit, LimitName};
use issuance::profile::CaProfile;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::summary::count;
use super::{Store, StoreError, sql_instant};

/// Buckets shown of each limit: the emptiest ones. The rest are counted.
const BUCKETS_SHOWN: i64 = 10;

/// The headroom of one account at its CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headroom {
    pub account_id: AccountId,
    pub ca: String,
    /// The CA refuses the account; orders wait until the operator acts.
    pub stopped_reason: Option<String>,
    /// No new order before this, whatever the buckets say.
    pub held_until: Option<Timestamp>,
    pub pending_authorizations: PendingBudget,
    pub limits: Vec<LimitHeadroom>,
    pub orders_by_stage: BTreeMap<String, u64>,
    pub hostnames_in_backoff: u64,
}

/// The account's budget of authorizations that are pending at the CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitHeadroom {
    pub name: LimitName,
    pub burst: u32,
    pub refill_count: u32,
    pub refill_period_seconds: u64,
    /// Buckets that are not full; every other bucket of this limit holds `burst`.
    pub buckets_touched: u64,
    pub buckets: Vec<BucketHeadroom>,
}

/// One bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
               ca, stopped_reason, held_until, pending_authorizations_max, recovery_reserve,
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
        ca: row.ca,
        stopped_reason: row.stopped_reason,
        held_until: row.held_until.map(Timestamp::from).filter(|until| *until > now),
        pending_authorizations: PendingBudget {
            max,
            recovery_reserve,
            reserved,
            held,
            open: count(row.open),
            remaining: max.saturating_sub(recovery_reserve).saturating_sub(reserved + held),
        },
        limits: limits(store, now, account, profile).await?,
        orders_by_stage: orders_by_stage(store, account).await?,
        hostnames_in_backoff: count(row.in_backoff),
    }))
}

async fn limits(
    store: &Store,
    now: Timestamp,
    account: AccountId,
    profile: &CaProfile,
) -> Result<Vec<LimitHeadroom>, StoreError> {
    let rows = sqlx::query_file!("queries/headroom_buckets.sql", account.0, sql_instant(now), BUCKETS_SHOWN)
        .fetch_all(store.pool())
        .await
        .map_err(StoreError::of("headroom.buckets"))?;
    let headroom = |limit: &Limit| {
        let bucket = limit.bucket()?;
        let mine = || rows.iter().filter(|row| row.limit_name == limit.name.as_str());
        Some(LimitHeadroom {
            name: limit.name,
            burst: limit.burst,
            refill_count: limit.count,
            refill_period_seconds: limit.period_seconds,
            buckets_touched: mine().next().map_or(0, |row| count(row.touched)),
            buckets: mine()
                .map(|row| {
                    let full_at = Timestamp::from(row.full_at);
                    BucketHeadroom {
                        key: row.key.clone(),
                        remaining: bucket.remaining(full_at, now),
                        next_token_at: bucket.next_token_at(full_at, now),
                        full_at,
                    }
                })
                .collect(),
        })
    };
    Ok(profile.limits.iter().filter_map(headroom).collect())
}

async fn orders_by_stage(store: &Store, account: AccountId) -> Result<BTreeMap<String, u64>, StoreError> {
    let rows = sqlx::query!(
        r#"select stage, count(*) as "orders!" from orders where account_id = $1 group by stage"#,
        account.0,
    )
    .fetch_all(store.pool())
    .await
    .map_err(StoreError::of("headroom.orders"))?;
    Ok(rows.into_iter().map(|row| (row.stage, count(row.orders))).collect())
}
