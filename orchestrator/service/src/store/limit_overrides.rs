//! Overrides: where the CA counts otherwise than its profile says.
//!
//! Entered by the operator when the CA has granted one, or learnt from what the CA said with a 429. The gate reads
//! them in its own transaction, so one that is entered holds for the next order, on every replica.

use std::time::Duration;

use issuance::ids::{AccountId, LimitOverrideId};
use issuance::limit::LimitName;
use issuance::mirror::LimitOverride;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::summary::count;
use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// How long before its end an override is told of.
const TOLD_AHEAD: Duration = Duration::from_hours(7 * 24);

/// One override.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OverrideView {
    pub id: LimitOverrideId,
    /// The CA it holds at.
    pub ca: String,
    pub limit: LimitName,
    /// `null`: every account.
    pub account_id: Option<AccountId>,
    /// Whom the one bucket counts for which it holds; `null`: all of them.
    pub key: Option<String>,
    pub burst: u32,
    pub count: u32,
    pub period_seconds: u64,
    /// `operator`, or `learnt` from an answer of the CA.
    pub origin: String,
    pub note: String,
    pub created_at: Timestamp,
    /// `null`: until it is taken back.
    pub expires_at: Option<Timestamp>,
    /// It no longer counts.
    pub expired: bool,
}

/// What the operator enters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOverride {
    pub numbers: LimitOverride,
    pub note: String,
    pub expires_at: Option<Timestamp>,
}

/// All of one CA's, oldest first.
pub async fn list(
    store: &Store,
    now: Timestamp,
    account: AccountId,
) -> Result<Vec<OverrideView>, StoreError> {
    read(&mut *store.connection().await?, now, account).await
}

async fn read(
    conn: &mut PgConnection,
    now: Timestamp,
    account: AccountId,
) -> Result<Vec<OverrideView>, StoreError> {
    let rows = sqlx::query!(
        "select override_id, ca, limit_name, account_id, key, burst, count, period_seconds, origin, note, created_at,
             expires_at
         from limit_overrides
         where ca = (select ca from accounts where accounts.account_id = $1)
         order by override_id",
        account.0
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("limit_overrides.list"))?;
    let views = rows.into_iter().filter_map(|row| {
        let expires_at = row.expires_at.map(Timestamp::from);
        Some(OverrideView {
            id: LimitOverrideId(row.override_id),
            ca: row.ca,
            limit: LimitName::parse(&row.limit_name)?,
            account_id: row.account_id.map(AccountId),
            key: row.key,
            burst: u32::try_from(row.burst).ok()?,
            count: u32::try_from(row.count).ok()?,
            period_seconds: count(row.period_seconds),
            origin: row.origin,
            note: row.note,
            created_at: row.created_at.into(),
            expires_at,
            expired: expires_at.is_some_and(|at| at <= now),
        })
    });
    Ok(views.collect())
}

/// Those that end within a week.
pub async fn ending(
    store: &Store,
    now: Timestamp,
    account: AccountId,
) -> Result<Vec<OverrideView>, StoreError> {
    let until = now.after(TOLD_AHEAD);
    let all = list(store, now, account).await?;
    Ok(all.into_iter().filter(|one| !one.expired && one.expires_at.is_some_and(|at| at <= until)).collect())
}

/// What a change has made of an override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub before: Option<OverrideView>,
    pub after: OverrideView,
}

/// Enters one. What stood for the same limit, account and key before is replaced: two numbers cannot both hold. `None`
/// where there is no such account.
pub async fn enter(
    work: &mut Work,
    account: AccountId,
    new: &NewOverride,
) -> Result<Option<Change>, StoreError> {
    let now = work.at();
    let before = read(work.conn(), now, account).await?;
    let Some(id) = insert(work, account, new).await? else { return Ok(None) };
    let after = read(work.conn(), now, account).await?.into_iter().find(|one| one.id == id);
    Ok(after.map(|after| Change { before: before.into_iter().find(|one| one.id == id), after }))
}

async fn insert(
    work: &mut Work,
    account: AccountId,
    new: &NewOverride,
) -> Result<Option<LimitOverrideId>, StoreError> {
    let (id, now, numbers) = (work.mint().uuid(), work.at(), &new.numbers);
    sqlx::query_scalar!(
        "insert into limit_overrides
             (override_id, ca, limit_name, account_id, key, burst, count, period_seconds, origin, note, created_at,
              expires_at)
         select $1, ca, $3, $4, $5, $6, $7, $8, 'operator', $9, $10, $11 from accounts where accounts.account_id = $2
         on conflict (ca, limit_name, account_id, key) do update
         set burst = excluded.burst,
             count = excluded.count,
             period_seconds = excluded.period_seconds,
             origin = excluded.origin,
             note = excluded.note,
             created_at = excluded.created_at,
             expires_at = excluded.expires_at
         returning override_id",
        id,
        account.0,
        numbers.limit.as_str(),
        numbers.account.map(|account| account.0),
        numbers.key.as_deref(),
        i32::try_from(numbers.burst).unwrap_or(i32::MAX),
        i32::try_from(numbers.count).unwrap_or(i32::MAX),
        i64::try_from(numbers.period_seconds).unwrap_or(i64::MAX),
        new.note,
        sql_instant(now),
        new.expires_at.map(sql_instant)
    )
    .fetch_optional(work.conn())
    .await
    .map(|id| id.map(LimitOverrideId))
    .map_err(StoreError::of("limit_overrides.enter"))
}

/// Takes one back, and answers what it was. `None` if there is none of that id at the account's CA.
pub async fn take_back(
    work: &mut Work,
    account: AccountId,
    id: LimitOverrideId,
) -> Result<Option<OverrideView>, StoreError> {
    let now = work.at();
    let found = read(work.conn(), now, account).await?.into_iter().find(|one| one.id == id);
    if found.is_some() {
        sqlx::query!("delete from limit_overrides where override_id = $1", id.0)
            .execute(work.conn())
            .await
            .map_err(StoreError::of("limit_overrides.take_back"))?;
    }
    Ok(found)
}

/// Lets one order at a time go where the account's bucket of new orders is empty, until `until` or until the CA says no;
/// `None`: no longer. Answers until when that was so before.
pub async fn seek(
    work: &mut Work,
    account: AccountId,
    until: Option<Timestamp>,
) -> Result<Option<Timestamp>, StoreError> {
    let before = sqlx::query_scalar!(
        "select seeks_more_until from accounts where account_id = $1 for no key update",
        account.0
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("limit_overrides.sought"))?;
    seek_more(work.conn(), account, until).await?;
    Ok(before.flatten().map(Timestamp::from))
}

/// Like [`seek`], at nobody's request.
pub async fn seek_unasked(
    store: &Store,
    account: AccountId,
    until: Option<Timestamp>,
) -> Result<(), StoreError> {
    seek_more(&mut *store.connection().await?, account, until).await
}

async fn seek_more(
    conn: &mut PgConnection,
    account: AccountId,
    until: Option<Timestamp>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update accounts set seeks_more_until = $2 where account_id = $1",
        account.0,
        until.map(sql_instant)
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(StoreError::of("limit_overrides.seek_more"))
}
