//! Imports as tenants and the operator see them.

use std::collections::BTreeMap;

use issuance::fairness::Lane;
use issuance::ids::{CertificateId, ImportId, TenantId};
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::types::Uuid;
use utoipa::ToSchema;

use super::job::ROWS_STAY;
use crate::store::page::{Listing, Page};
use crate::store::viewer::Viewer;
use crate::store::work::Work;
use crate::store::{Store, StoreError};

/// Everything an import can be, for those who filter by it.
pub const STATUSES: [&str; 9] = [
    "receiving",
    "checking",
    "preview",
    "running",
    "completed",
    "cancelled",
    "failed",
    "rolling_back",
    "rolled_back",
];

/// Everything that can become of a row.
pub const VERDICTS: [&str; 5] = ["created", "changed", "unchanged", "repeated", "refused"];

/// One import and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportView {
    pub id: ImportId,
    /// Whose key it came with; `None`: the operator's.
    pub tenant_id: Option<TenantId>,
    pub tenant: Option<String>,
    /// `csv` or `ndjson`.
    pub source: String,
    pub lane: String,
    /// `preview` or `commit`.
    pub mode: String,
    /// One of [`STATUSES`].
    pub status: String,
    /// How much of the present status is done, from 0 to 1.
    pub progress: f64,
    /// Of the file as it was sent, in hexadecimal digits.
    pub sha256: Option<String>,
    pub bytes: i64,
    pub rows_total: i32,
    /// In a preview: what would be created, changed, left as it is.
    pub rows_created: i32,
    pub rows_changed: i32,
    pub rows_unchanged: i32,
    /// Rows that say again what an earlier one says.
    pub rows_repeated: i32,
    pub rows_refused: i32,
    pub orders_created: i32,
    pub orders_hastened: i32,
    /// By a rollback: taken back, and left with a reason each.
    pub rows_removed: i32,
    pub rows_left: i32,
    /// Why it has failed.
    pub fault: Option<String>,
    pub created_at: Timestamp,
    /// The whole file was there.
    pub received_at: Option<Timestamp>,
    pub committed_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Until when its rows can be looked at, and it can be rolled back; `None` where it keeps none.
    pub rows_kept_until: Option<Timestamp>,
}

/// One row of the file and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemView {
    /// From 1; of a CSV, the header is line 1.
    pub line: i64,
    /// One of [`VERDICTS`]; `None`: not judged so far.
    pub verdict: Option<String>,
    /// Empty, like the fields after it, where the row could not be read.
    pub tenant: String,
    pub external_id: String,
    pub names: Vec<String>,
    pub challenge: String,
    pub labels: BTreeMap<String, String>,
    pub certificate_id: Option<CertificateId>,
    /// What a rollback did: `removed`, or why not.
    pub rollback: Option<String>,
    pub errors: Vec<ItemFault>,
}

/// One thing that is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemFault {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<i64>,
    /// The character it begins at, from 1.
    pub column: i32,
    /// The column of the header.
    pub field: Option<String>,
    pub code: String,
    /// What is wrong and what to write instead.
    pub detail: String,
}

/// Which imports; a field that is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportFilter {
    pub status: Option<&'static str>,
}

pub async fn list(
    store: &Store,
    viewer: Viewer,
    filter: &ImportFilter,
    page: &Page,
) -> Result<Listing<ImportView>, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    let found = select(&mut *conn, viewer, None, filter, page.after(), page.rows_to_read()).await?;
    Ok(page.listing(found, |import| import.id.0))
}

/// `None` where it does not exist, or not for this viewer.
pub async fn find(store: &Store, viewer: Viewer, id: ImportId) -> Result<Option<ImportView>, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    let found = select(&mut *conn, viewer, Some(id), &ImportFilter::default(), None, 1).await?;
    Ok(found.into_iter().next())
}

async fn select(
    store: impl sqlx::PgExecutor<'_>,
    viewer: Viewer,
    id: Option<ImportId>,
    filter: &ImportFilter,
    after: Option<Uuid>,
    rows: i64,
) -> Result<Vec<ImportView>, StoreError> {
    let found = sqlx::query_file!(
        "queries/imports_list.sql",
        viewer.tenant_id(),
        after,
        rows,
        id.map(|id| id.0),
        filter.status,
    )
    .fetch_all(store)
    .await
    .map_err(StoreError::of("imports.list"))?;
    let views = found.into_iter().map(|row| {
        let resting = ["completed", "cancelled", "failed", "rolled_back"].contains(&row.status.as_str());
        let progress = match (resting || row.status == "preview", row.line_end) {
            (true, _) | (_, 0) => f64::from(u8::from(resting || row.status == "preview")),
            (false, end) => row.line_done as f64 / end as f64,
        };
        let kept_until = match row.status.as_str() {
            _ if row.line_last == 0 => None,
            "preview" => row.due_at.map(|at| Timestamp::from(at).after(ROWS_STAY)),
            _ if resting => row.due_at.map(Timestamp::from),
            _ => None,
        };
        ImportView {
            id: ImportId(row.import_id),
            tenant_id: row.tenant_id.map(TenantId),
            tenant: row.tenant,
            source: row.source,
            lane: Lane::from_number(row.lane).unwrap_or(Lane::Bulk).as_str().to_owned(),
            mode: if row.commits { "commit" } else { "preview" }.to_owned(),
            status: row.status,
            progress,
            sha256: row.sha256.map(|digest| digest.iter().map(|byte| format!("{byte:02x}")).collect()),
            bytes: row.bytes,
            rows_total: row.rows_total,
            rows_created: row.rows_created,
            rows_changed: row.rows_changed,
            rows_unchanged: row.rows_unchanged,
            rows_repeated: row.rows_repeated,
            rows_refused: row.rows_refused,
            orders_created: row.orders_created,
            orders_hastened: row.orders_hastened,
            rows_removed: row.rows_removed,
            rows_left: row.rows_left,
            fault: row.fault,
            created_at: row.created_at.into(),
            received_at: row.received_at.map(Timestamp::from),
            committed_at: row.committed_at.map(Timestamp::from),
            ended_at: row.ended_at.map(Timestamp::from),
            rows_kept_until: kept_until,
        }
    });
    Ok(views.collect())
}

/// Rows of an import that this viewer may see, in the order of the lines. `verdict` is one of [`VERDICTS`].
pub async fn items(
    store: &Store,
    id: ImportId,
    verdict: Option<&'static str>,
    page: &Page,
) -> Result<Listing<ItemView>, StoreError> {
    let after = page.after().map_or(0, line_of);
    let found = sqlx::query_file!("queries/imports_items.sql", id.0, after, page.rows_to_read(), verdict)
        .fetch_all(store.pool())
        .await
        .map_err(StoreError::of("imports.items"))?;
    let mut items: Vec<ItemView> = found
        .into_iter()
        .map(|row| ItemView {
            line: row.line,
            verdict: row.verdict,
            tenant: row.tenant,
            external_id: row.external_id,
            names: row.names,
            challenge: row.challenge,
            labels: serde_json::from_value(row.labels).unwrap_or_default(),
            certificate_id: row.certificate_id.map(CertificateId),
            rollback: row.rollback,
            errors: Vec::new(),
        })
        .collect();
    let refused: Vec<i64> = items
        .iter()
        .filter(|item| item.verdict.as_deref() == Some("refused"))
        .map(|item| item.line)
        .collect();
    if !refused.is_empty() {
        let mut faults = faults_of(store, id, &refused).await?;
        for item in &mut items {
            item.errors = faults.remove(&item.line).unwrap_or_default();
        }
    }
    Ok(page.listing(items, |item| key_of(item.line)))
}

/// Pages go by UUIDs; a line is one whose upper half is empty.
fn key_of(line: i64) -> Uuid {
    Uuid::from_u64_pair(0, line.unsigned_abs())
}

fn line_of(key: Uuid) -> i64 {
    i64::try_from(key.as_u64_pair().1).unwrap_or(i64::MAX)
}

async fn faults_of(
    store: &Store,
    id: ImportId,
    lines: &[i64],
) -> Result<BTreeMap<i64, Vec<ItemFault>>, StoreError> {
    let found = sqlx::query!(
        "select line, at_column, field, code, detail from import_faults
         where import_id = $1 and line = any($2)
         order by line, nr",
        id.0,
        lines
    )
    .fetch_all(store.pool())
    .await
    .map_err(StoreError::of("imports.faults_of"))?;
    let mut faults: BTreeMap<i64, Vec<ItemFault>> = BTreeMap::new();
    for row in found {
        let fault = ItemFault {
            line: None,
            column: row.at_column,
            field: row.field,
            code: row.code,
            detail: row.detail,
        };
        faults.entry(row.line).or_default().push(fault);
    }
    Ok(faults)
}

/// How far a download of faults has come.
#[derive(Debug, Clone, Copy, Default)]
pub struct FaultsAfter(i64, i16);

/// The next faults of an import that this viewer may see; none: that was all.
pub async fn faults(
    store: &Store,
    id: ImportId,
    after: &mut FaultsAfter,
    most: u16,
) -> Result<Vec<ItemFault>, StoreError> {
    let found = sqlx::query!(
        "select line, nr, at_column, field, code, detail from import_faults
         where import_id = $1 and (line, nr) > ($2, $3)
         order by line, nr
         limit $4",
        id.0,
        after.0,
        after.1,
        i64::from(most)
    )
    .fetch_all(store.pool())
    .await
    .map_err(StoreError::of("imports.faults"))?;
    if let Some(last) = found.last() {
        *after = FaultsAfter(last.line, last.nr);
    }
    let faults = found.into_iter().map(|row| ItemFault {
        line: Some(row.line),
        column: row.at_column,
        field: row.field,
        code: row.code,
        detail: row.detail,
    });
    Ok(faults.collect())
}

/// The import that a piece of work has in hand.
pub(super) async fn view(work: &mut Work, id: ImportId) -> Result<Box<ImportView>, StoreError> {
    let viewer = work.viewer();
    let found = select(work.conn(), viewer, Some(id), &ImportFilter::default(), None, 1).await?;
    found.into_iter().next().map(Box::new).ok_or_else(|| StoreError::Inconsistent {
        table: "imports",
        what: format!("{id} has gone while it was locked"),
    })
}
