//! What may be wished of an import from outside.

use issuance::ids::ImportId;
use serde_json::{Value, json};

use super::job::ROWS_STAY;
use super::view::{ImportView, view as view_of};
use crate::store::events::Event;
use crate::store::work::Work;
use crate::store::{StoreError, sql_instant};

/// What may be wished of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportWish {
    Commit,
    Cancel,
    RollBack,
}

/// What became of a wish.
#[derive(Debug)]
pub enum Granted {
    /// As it is now. Where it was so already, nothing was done.
    Now(Box<ImportView>),
    /// Its status does not allow it.
    Refused(Box<ImportView>),
    /// It does not exist, or not for this viewer.
    NotFound,
}

impl ImportWish {
    /// Which statuses it can be granted in, and in which it has been.
    fn statuses(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Commit => (&["preview"], &["running", "completed"]),
            Self::Cancel => (&["checking", "preview", "running"], &["cancelled"]),
            Self::RollBack => (&["completed", "cancelled", "failed", "rolled_back"], &["rolling_back"]),
        }
    }

    fn told_as(self) -> (&'static str, &'static str) {
        match self {
            Self::Commit => ("running", "import.committed"),
            Self::Cancel => ("cancelled", "import.cancelled"),
            Self::RollBack => ("rolling_back", "import.rollback_begun"),
        }
    }
}

/// Grants a wish of whoever may see the import, if its status allows it. A worker that has it in hand loses it at its next
/// batch.
pub async fn wish(work: &mut Work, id: ImportId, wish: ImportWish) -> Result<Granted, StoreError> {
    let (viewer, now) = (work.viewer(), work.at());
    let locked = sqlx::query_scalar!(
        "select status from imports
         where import_id = $1 and ($2::uuid is null or tenant_id = $2) and status <> 'discarded'
         for no key update",
        id.0,
        viewer.tenant_id(),
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("imports.wish"))?;
    let Some(before) = locked else { return Ok(Granted::NotFound) };
    let view = view_of(work, id).await?;
    let (from, already) = wish.statuses();
    if already.contains(&before.as_str()) {
        return Ok(Granted::Now(view));
    }
    // What was made in one call has no rows to go by.
    let keeps_rows = view.status == "preview" || view.rows_kept_until.is_some() || wish == ImportWish::Cancel;
    if !from.contains(&before.as_str()) || !keeps_rows {
        return Ok(Granted::Refused(view));
    }
    let (status, kind) = wish.told_as();
    let due = if wish == ImportWish::Cancel { now.after(ROWS_STAY) } else { now };
    sqlx::query!(
        "update imports
         set status = $2, fault = null, lease_epoch = lease_epoch + 1, lease_holder = null, failures = 0, due_at = $3,
             line_done = 0,
             rows_created = case when $2 = 'running' then 0 else rows_created end,
             rows_changed = case when $2 = 'running' then 0 else rows_changed end,
             rows_unchanged = case when $2 = 'running' then 0 else rows_unchanged end,
             rows_left = case when $2 = 'rolling_back' then 0 else rows_left end,
             committed_at = case when $2 = 'running' then $4 else committed_at end,
             ended_at = case when $2 = 'cancelled' then $4 end
         where import_id = $1",
        id.0,
        status,
        sql_instant(due),
        sql_instant(now),
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("imports.wish"))?;
    let view = view_of(work, id).await?;
    work.tell(told(kind, &view, json!({ "before": { "status": before }, "after": { "status": status } })))
        .await?;
    Ok(Granted::Now(view))
}

/// Tells that a file has arrived.
pub async fn tell_created(work: &mut Work, id: ImportId) -> Result<Box<ImportView>, StoreError> {
    let view = view_of(work, id).await?;
    let after = json!({
        "before": null,
        "after": { "mode": view.mode, "source": view.source, "lane": view.lane, "sha256": view.sha256,
            "rows_total": view.rows_total, "rows_refused": view.rows_refused },
    });
    work.tell(told("import.created", &view, after)).await?;
    Ok(view)
}

fn told(kind: &'static str, view: &ImportView, data: Value) -> Event {
    Event { kind, tenant: view.tenant_id, certificate: None, subject: view.id.to_string(), data }
}
