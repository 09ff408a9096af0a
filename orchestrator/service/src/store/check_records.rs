//! How often each check was right, and what it is worth therefore.

use issuance::check::Check;
use issuance::ids::AccountId;
use issuance::precision::{Alarms, Standing};
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::summary::count;
use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// One check at one CA. What it said is counted where the CA was asked afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckRecordView {
    pub check: Check,
    /// `blocks`, or `advice`: it is told, and keeps nobody back.
    pub standing: Standing,
    /// `null`: never changed.
    pub standing_since: Option<Timestamp>,
    /// `evidence` or `operator`.
    pub standing_by: Option<String>,
    /// It said *ready*, and the CA *valid*.
    pub ready_valid: u64,
    /// It said *ready*, and the CA *invalid*: for something that it does not see.
    pub ready_invalid: u64,
    /// It said *not ready*, and the CA *valid*: false alarms.
    pub not_ready_valid: u64,
    /// It said *not ready*, and the CA *invalid*.
    pub not_ready_invalid: u64,
    /// False alarms since its standing last changed, and those that were none: what evidence decides from.
    pub since_valid: u64,
    pub since_invalid: u64,
}

impl CheckRecordView {
    fn unknown(check: Check) -> Self {
        Self {
            check,
            standing: Standing::Blocks,
            standing_since: None,
            standing_by: None,
            ready_valid: 0,
            ready_invalid: 0,
            not_ready_valid: 0,
            not_ready_invalid: 0,
            since_valid: 0,
            since_invalid: 0,
        }
    }

    pub fn alarms(&self) -> Alarms {
        let clamped = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        Alarms { wrong: clamped(self.since_valid), right: clamped(self.since_invalid) }
    }
}

/// Who has changed a standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangedBy {
    Evidence,
    Operator,
}

/// All checks at the account's CA.
pub async fn list(store: &Store, account: AccountId) -> Result<Vec<CheckRecordView>, StoreError> {
    let mut conn = store.pool().acquire().await.map_err(StoreError::of("check_records.connection"))?;
    read(&mut conn, account).await
}

/// The same, as this work sees it.
pub async fn list_in(work: &mut Work, account: AccountId) -> Result<Vec<CheckRecordView>, StoreError> {
    read(work.conn(), account).await
}

pub(super) async fn read(
    conn: &mut PgConnection,
    account: AccountId,
) -> Result<Vec<CheckRecordView>, StoreError> {
    let rows = sqlx::query!(
        "select check_name, standing, standing_since, standing_by, ready_valid, ready_invalid, not_ready_valid,
             not_ready_invalid, since_valid, since_invalid
         from check_records where ca = (select ca from accounts where account_id = $1)",
        account.0
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("check_records.list"))?;
    let known: Vec<_> = rows
        .into_iter()
        .filter_map(|row| {
            Some(CheckRecordView {
                check: Check::parse(&row.check_name)?,
                standing: Standing::parse(&row.standing)?,
                standing_since: row.standing_since.map(Timestamp::from),
                standing_by: row.standing_by,
                ready_valid: count(row.ready_valid),
                ready_invalid: count(row.ready_invalid),
                not_ready_valid: count(row.not_ready_valid),
                not_ready_invalid: count(row.not_ready_invalid),
                since_valid: count(row.since_valid),
                since_invalid: count(row.since_invalid),
            })
        })
        .collect();
    let of_check = |check: &Check| {
        let found = known.iter().find(|one| one.check == *check);
        found.cloned().unwrap_or_else(|| CheckRecordView::unknown(*check))
    };
    Ok(Check::ALL.iter().map(of_check).collect())
}

/// Counts up to `limit` verdicts of the CA, each once. Returns how many.
pub async fn measure(store: &Store, account: AccountId, limit: u16) -> Result<u64, StoreError> {
    sqlx::query_file_scalar!("queries/checks_measure.sql", account.0, i64::from(limit))
        .fetch_one(store.pool())
        .await
        .map(count)
        .map_err(StoreError::of("check_records.measure"))
}

/// Gives a check another standing, and begins to count anew. False if it has that standing already. Who wants it is the
/// work's author: the operator, or a part of the service that goes by evidence.
pub async fn change_standing(
    work: &mut Work,
    account: AccountId,
    check: Check,
    standing: Standing,
    by: ChangedBy,
) -> Result<bool, StoreError> {
    let now = work.at();
    let by = match by {
        ChangedBy::Evidence => "evidence",
        ChangedBy::Operator => "operator",
    };
    sqlx::query!(
        "insert into check_records as kept (ca, check_name, standing, standing_since, standing_by)
         select ca, $2, $3, $4, $5 from accounts where account_id = $1
         on conflict (ca, check_name) do update
         set standing = excluded.standing,
             standing_since = excluded.standing_since,
             standing_by = excluded.standing_by,
             since_valid = 0,
             since_invalid = 0
         where kept.standing <> excluded.standing",
        account.0,
        check.as_str(),
        standing.as_str(),
        sql_instant(now),
        by
    )
    .execute(work.conn())
    .await
    .map(|done| done.rows_affected() > 0)
    .map_err(StoreError::of("check_records.change_standing"))
}
