//! Imports as work: who holds one, and what comes next for it.
//!
//! ```text
//! receiving ─▶ checking ─▶ preview ─▶ running ─▶ completed ─▶ rolling_back ─▶ rolled_back
//!     │            └─────────────────────▲ │
//!     ▼ breaks off                         └─▶ cancelled ──▲   (also from checking and preview)
//! discarded ─▶ gone
//! ```
//!
//! `due_at` says when there is something to do: while somebody works on it, the instant at which his lease ends. So an
//! import whose worker has died is due like any other. Whoever changes the status from outside raises the epoch, and the
//! worker learns at his next batch that it is no longer his.

use std::time::Duration;

use issuance::fairness::Lane;
use issuance::ids::{AccountId, ImportId, TenantId};
use issuance::time::Timestamp;
use serde_json::json;
use sqlx::PgConnection;

use super::{commit, count, rollback};
use crate::mishaps::reach_write;
use crate::store::events::{self, Actor, Event};
use crate::store::leases::Replica;
use crate::store::mint::Mint;
use crate::store::{Store, StoreError, sql_instant};
use crate::telemetry::traces::Traceparent;

/// How long an import may be held without a word. A batch takes a fraction of a second.
pub const LEASE: Duration = Duration::from_mins(2);
/// How long a preview waits for its commit.
pub const PREVIEW_STANDS: Duration = Duration::from_hours(7 * 24);
/// How long the rows of an import are kept once it has ended.
pub const ROWS_STAY: Duration = Duration::from_hours(30 * 24);
/// Lines of the file in one transaction.
pub(super) const BATCH_LINES: i64 = 2_000;
/// Rows removed in one transaction.
const REMOVED_AT_ONCE: i64 = 10_000;
/// Batches in a row that may come to nothing before an import has failed.
const FAILURES_MAX: i32 = 5;

/// An import that somebody works on.
#[derive(Debug, Clone)]
pub struct Job {
    pub id: ImportId,
    epoch: i64,
    pub status: String,
    pub(super) tenant: Option<TenantId>,
    pub(super) account: Option<AccountId>,
    pub(super) lane: Lane,
    commits: bool,
    compared: bool,
    pub(super) line_done: i64,
    pub(super) line_last: i64,
    line_committed: i64,
    /// The span of the request that sent it.
    pub(super) origin: Option<Traceparent>,
}

impl Job {
    /// Where the present status ends.
    fn last(&self) -> i64 {
        if self.status == "rolling_back" { self.line_committed } else { self.line_last }
    }
}

/// What one transaction has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// Rows that were worked on.
    pub rows: u64,
    /// Orders that were made due.
    pub orders: u64,
    pub next: Next,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// There is more to do.
    On,
    /// It rests, or waits for somebody.
    Rest,
    /// It is somebody else's, or gone.
    Lost,
}

/// What a batch found of its rows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) created: u64,
    pub(super) changed: u64,
    pub(super) unchanged: u64,
    pub(super) repeated: u64,
    pub(super) refused: u64,
    /// Were refused before, and are judged anew.
    pub(super) reopened: u64,
    pub(super) orders: u64,
    pub(super) hastened: u64,
    pub(super) removed: u64,
    pub(super) left: u64,
}

impl Tally {
    fn rows(&self) -> u64 {
        self.created + self.changed + self.unchanged + self.repeated + self.refused + self.removed + self.left
    }
}

/// The import that has been due longest, if any is.
pub async fn claim(store: &Store, replica: Replica, now: Timestamp) -> Result<Option<Job>, StoreError> {
    let row = sqlx::query!(
        "update imports
         set lease_epoch = lease_epoch + 1, due_at = $2, lease_holder = $3
         where import_id = (
             select import_id from imports where due_at <= $1 order by due_at limit 1 for update skip locked
         )
         returning import_id, lease_epoch, status, tenant_id, account_id, lane, commits, compared, line_done, line_last,
             line_committed, traceparent",
        sql_instant(now),
        sql_instant(now.after(LEASE)),
        replica.0,
    )
    .fetch_optional(store.pool())
    .await
    .map_err(StoreError::of("imports.claim"))?;
    Ok(row.map(|row| Job {
        id: ImportId(row.import_id),
        epoch: row.lease_epoch,
        status: row.status,
        tenant: row.tenant_id.map(TenantId),
        account: row.account_id.map(AccountId),
        lane: Lane::from_number(row.lane).unwrap_or(Lane::Bulk),
        commits: row.commits,
        compared: row.compared,
        line_done: row.line_done,
        line_last: row.line_last,
        line_committed: row.line_committed,
        origin: row.traceparent.and_then(|origin| origin.parse().ok()),
    }))
}

/// How imports stand, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Received, checked, committed or rolled back.
    pub moving: i64,
    /// For how long the one that is due the longest has waited for somebody.
    pub oldest_due: Duration,
}

pub async fn standing(store: &Store, now: Timestamp) -> Result<Standing, StoreError> {
    let row = sqlx::query!(
        r#"select count(*) filter (
                 where status in ('receiving', 'checking', 'running', 'rolling_back')
             ) as "moving!",
             min(due_at) filter (where due_at <= $1) as oldest_due_at
         from imports
         where due_at is not null"#,
        sql_instant(now),
    )
    .fetch_one(store.pool())
    .await
    .map_err(StoreError::of("imports.standing"))?;
    let oldest_due = row.oldest_due_at.map_or(Duration::ZERO, |at| Timestamp::from(at).until(now));
    Ok(Standing { moving: row.moving, oldest_due })
}

/// What this replica held when it died is due at once. Returns how many.
pub async fn take_up_own(store: &Store, replica: Replica, now: Timestamp) -> Result<u64, StoreError> {
    let taken = sqlx::query!(
        "update imports set due_at = $2, lease_holder = null, lease_epoch = lease_epoch + 1
         where lease_holder = $1 and due_at > $2",
        replica.0,
        sql_instant(now),
    )
    .execute(store.pool())
    .await
    .map_err(StoreError::of("imports.take_up_own"))?;
    Ok(taken.rows_affected())
}

/// Others go first, then this one again.
pub async fn give_back(store: &Store, now: Timestamp, job: &Job) -> Result<(), StoreError> {
    sqlx::query!(
        "update imports set due_at = $3, lease_holder = null where import_id = $1 and lease_epoch = $2",
        job.id.0,
        job.epoch,
        sql_instant(now),
    )
    .execute(store.pool())
    .await
    .map_err(StoreError::of("imports.give_back"))?;
    Ok(())
}

/// A batch came to nothing, for a reason that does not pass by itself: it is tried again, ever later, and then given up.
/// Returns whether it was given up.
pub async fn stumble(store: &Store, now: Timestamp, job: &Job) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"update imports
         set failures = failures + 1,
             lease_holder = null,
             status = case when failures + 1 < $4 then status else 'failed' end,
             fault = case when failures + 1 < $4 then null
                 else 'a fault of the service: its log tells more under the id of the import' end,
             ended_at = case when failures + 1 < $4 then ended_at else $3 end,
             due_at = case when failures + 1 < $4 then $3 + (5 << failures) * interval '1 second' else $5 end
         where import_id = $1 and lease_epoch = $2
         returning failures as "failures!""#,
        job.id.0,
        job.epoch,
        sql_instant(now),
        FAILURES_MAX,
        sql_instant(now.after(ROWS_STAY)),
    )
    .fetch_optional(store.pool())
    .await
    .map_err(StoreError::of("imports.stumble"))?;
    Ok(row.is_some_and(|row| row.failures >= FAILURES_MAX))
}

/// One transaction of the work, of bounded size.
pub async fn advance(store: &Store, now: Timestamp, job: &mut Job) -> Result<Advance, StoreError> {
    let mut tx = store.begin("imports.advance").await?;
    if !hold(&mut tx, job).await? {
        return Ok(Advance { rows: 0, orders: 0, next: Next::Lost });
    }
    let mint = Mint::at(now);
    let last = job.last();
    let until = last.min(job.line_done + BATCH_LINES);
    let lines = (job.line_done, until);
    let (tally, done) = match job.status.as_str() {
        "checking" if !job.compared => {
            let tally = commit::compare(&mut tx, job).await?;
            job.compared = true;
            (tally, false)
        }
        // What is committed at once need not be told before.
        "checking" if job.commits => (Tally::default(), true),
        "checking" => {
            let tally = commit::foresee(&mut tx, now, job, lines).await?;
            job.line_done = until;
            (tally, until == last)
        }
        "running" => {
            let tally = commit::commit(&mut tx, now, &mint, job, lines).await?;
            job.line_done = until;
            (tally, until == last)
        }
        "rolling_back" => {
            let tally = rollback::take_back(&mut tx, job, lines).await?;
            job.line_done = until;
            (tally, until == last)
        }
        "receiving" | "preview" => (Tally::default(), true),
        _ => (Tally::default(), remove_rows(&mut tx, job).await?),
    };
    add(&mut tx, now, job, &tally).await?;
    let next = if done { end_of(&mut tx, now, &mint, job).await? } else { Next::On };
    reach_write!(Before, "import_batch", "imports.advance.commit");
    tx.commit().await.map_err(StoreError::of("imports.advance.commit"))?;
    reach_write!(After, "import_batch", "imports.advance.commit");
    Ok(Advance { rows: tally.rows(), orders: tally.orders + tally.hastened, next })
}

/// Whether the lease still stands; it does, then, until the transaction ends.
async fn hold(conn: &mut PgConnection, job: &Job) -> Result<bool, StoreError> {
    let held = sqlx::query_scalar!(
        "select import_id from imports where import_id = $1 and lease_epoch = $2 and status = $3 for no key update",
        job.id.0,
        job.epoch,
        job.status,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::of("imports.hold"))?;
    Ok(held.is_some())
}

async fn add(conn: &mut PgConnection, now: Timestamp, job: &Job, tally: &Tally) -> Result<(), StoreError> {
    sqlx::query!(
        "update imports
         set rows_created = rows_created + $2, rows_changed = rows_changed + $3, rows_unchanged = rows_unchanged + $4,
             rows_repeated = rows_repeated + $5, rows_refused = rows_refused + $6 - $14, orders_created = orders_created + $7,
             orders_hastened = orders_hastened + $8, rows_removed = rows_removed + $9, rows_left = rows_left + $10,
             line_done = $11, line_committed = case when status = 'running' then $11 else line_committed end, compared = $12, failures = 0, due_at = $13
         where import_id = $1",
        job.id.0,
        count(tally.created),
        count(tally.changed),
        count(tally.unchanged),
        count(tally.repeated),
        count(tally.refused),
        count(tally.orders),
        count(tally.hastened),
        count(tally.removed),
        count(tally.left),
        job.line_done,
        job.compared,
        sql_instant(now.after(LEASE)),
        count(tally.reopened),
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("imports.add"))?;
    Ok(())
}

/// The status has been worked off: what it becomes, and who is told.
async fn end_of(
    conn: &mut PgConnection,
    now: Timestamp,
    mint: &Mint,
    job: &mut Job,
) -> Result<Next, StoreError> {
    let (status, due, told, next) = match job.status.as_str() {
        "receiving" => ("discarded", Some(now), None, Next::On),
        "discarded" => {
            sqlx::query!("delete from imports where import_id = $1", job.id.0)
                .execute(conn)
                .await
                .map_err(StoreError::of("imports.remove"))?;
            return Ok(Next::Lost);
        }
        "checking" if job.commits => ("running", Some(now.after(LEASE)), None, Next::On),
        "checking" => ("preview", Some(now.after(PREVIEW_STANDS)), Some("import.previewed"), Next::Rest),
        "preview" => ("cancelled", Some(now.after(ROWS_STAY)), Some("import.cancelled"), Next::Rest),
        "running" => ("completed", Some(now.after(ROWS_STAY)), Some("import.completed"), Next::Rest),
        "rolling_back" => ("rolled_back", Some(now.after(ROWS_STAY)), Some("import.rolled_back"), Next::Rest),
        // Its rows are gone.
        _ => ("", None, None, Next::Rest),
    };
    let row = sqlx::query!(
        r#"update imports
         set status = coalesce(nullif($2, ''), status), due_at = $3, line_done = 0,
             lease_holder = case when $4 then lease_holder end,
             committed_at = case when $2 = 'running' then $5 else committed_at end,
             ended_at = case when $2 in ('completed', 'cancelled', 'rolled_back') then $5 else ended_at end
         where import_id = $1
         returning status, rows_total, rows_created, rows_changed, rows_unchanged, rows_repeated, rows_refused,
             orders_created, rows_removed, rows_left"#,
        job.id.0,
        status,
        due.map(sql_instant),
        next == Next::On,
        sql_instant(now),
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(StoreError::of("imports.end"))?;
    if let Some(kind) = told {
        let event = Event {
            kind,
            tenant: job.tenant,
            certificate: None,
            subject: job.id.to_string(),
            data: json!({
                "status": row.status,
                "rows_total": row.rows_total,
                "rows_created": row.rows_created,
                "rows_changed": row.rows_changed,
                "rows_unchanged": row.rows_unchanged,
                "rows_repeated": row.rows_repeated,
                "rows_refused": row.rows_refused,
                "orders_created": row.orders_created,
                "rows_removed": row.rows_removed,
                "rows_left": row.rows_left,
            }),
        };
        events::append(conn, mint, now, &Actor::service("imports"), &[event]).await?;
    }
    (job.status, job.line_done) = (row.status, 0);
    Ok(next)
}

/// Some of the rows. True when there are none left.
async fn remove_rows(conn: &mut PgConnection, job: &Job) -> Result<bool, StoreError> {
    let mut removed = 0;
    removed += sqlx::query!(
        "delete from import_items where import_id = $1 and line in (
             select line from import_items where import_id = $1 order by line limit $2
         )",
        job.id.0,
        REMOVED_AT_ONCE
    )
    .execute(&mut *conn)
    .await
    .map_err(StoreError::of("imports.remove_items"))?
    .rows_affected();
    removed += sqlx::query!(
        "delete from import_faults where import_id = $1 and (line, nr) in (
             select line, nr from import_faults where import_id = $1 order by line, nr limit $2
         )",
        job.id.0,
        REMOVED_AT_ONCE
    )
    .execute(&mut *conn)
    .await
    .map_err(StoreError::of("imports.remove_faults"))?
    .rows_affected();
    removed += sqlx::query!(
        "delete from import_names where import_id = $1 and hostname in (
             select hostname from import_names where import_id = $1 limit $2
         )",
        job.id.0,
        REMOVED_AT_ONCE
    )
    .execute(&mut *conn)
    .await
    .map_err(StoreError::of("imports.remove_names"))?
    .rows_affected();
    removed += sqlx::query!("delete from import_takings where import_id = $1", job.id.0)
        .execute(conn)
        .await
        .map_err(StoreError::of("imports.remove_takings"))?
        .rows_affected();
    Ok(removed == 0)
}
