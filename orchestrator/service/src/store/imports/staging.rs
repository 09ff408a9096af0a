//! What arrives: the rows of a file, written away batch by batch while the rest of it is still on its way.
//!
//! A file that breaks off leaves an import that is still receiving; when its deadline has passed it is discarded.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use issuance::fairness::Lane;
use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::{AccountId, ImportId};
use issuance::time::Timestamp;

use super::{DNS_01, count};
use crate::mishaps::reach_write;
use crate::store::hostnames::ancestors;
use crate::store::mint::Mint;
use crate::store::viewer::Viewer;
use crate::store::work::Work;
use crate::store::{Store, StoreError, sql_instant};
use crate::telemetry::traces;

/// A file of which nothing has come for this long has broken off.
pub const UPLOAD_STANDS: Duration = Duration::from_mins(2);

/// An import that is to be received.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    pub viewer: Viewer,
    pub account: AccountId,
    pub lane: Lane,
    /// `csv` or `ndjson`.
    pub source: &'static str,
    /// Whether it is committed without being asked for.
    pub commits: bool,
}

/// A good row, as it is kept.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    pub line: u64,
    pub tenant: &'a str,
    pub external_id: &'a str,
    pub names: &'a Identifiers,
    pub challenge: &'static str,
    pub labels: &'a BTreeMap<String, String>,
    pub tenant_column: u32,
    pub external_id_column: u32,
    pub name_columns: &'a [u32],
}

/// One thing that is wrong with a row.
#[derive(Debug, Clone, Copy)]
pub struct Fault<'a> {
    pub column: u32,
    pub field: Option<&'static str>,
    pub code: &'static str,
    pub detail: &'a str,
}

/// Rows on their way to the database, in the text form of COPY.
#[derive(Debug)]
pub struct Batch {
    import: String,
    items: Vec<u8>,
    faults: Vec<u8>,
    rows: u32,
    refused: u32,
    scratch: String,
}

impl Batch {
    pub fn new(import: ImportId) -> Self {
        Self {
            import: import.0.to_string(),
            items: Vec::new(),
            faults: Vec::new(),
            rows: 0,
            refused: 0,
            scratch: String::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub fn rows(&self) -> u32 {
        self.rows
    }

    pub fn refused_rows(&self) -> u32 {
        self.refused
    }

    pub fn push(&mut self, item: &Item<'_>) {
        self.rows += 1;
        let Self { import, items, scratch, .. } = self;
        let _ = write!(items, "{import}\t{}\t{}\t", item.line, item.tenant);
        escape(items, item.external_id);
        items.push(b'\t');
        array(items, item.names.iter().map(Hostname::as_str));
        let _ = write!(items, "\t{}\t", item.challenge);
        scratch.clear();
        if item.labels.is_empty() {
            scratch.push_str("{}");
        } else {
            scratch.push_str(&serde_json::to_string(item.labels).expect("a map of texts serializes"));
        }
        escape(items, scratch);
        items.push(b'\t');
        let above = (item.challenge == DNS_01).then_some(item.names).into_iter().flatten();
        array(items, above.flat_map(ancestors));
        let _ = write!(items, "\t{{{},{}", item.tenant_column, item.external_id_column);
        for column in item.name_columns {
            let _ = write!(items, ",{column}");
        }
        items.extend_from_slice(b"}\t\\N\n");
    }

    /// A row with what is wrong with it.
    pub fn refuse(&mut self, line: u64, found: &[Fault<'_>]) {
        self.rows += 1;
        self.refused += 1;
        let Self { import, items, faults, scratch, .. } = self;
        let _ = writeln!(items, "{import}\t{line}\t\t\t{{}}\t\t{{}}\t{{}}\t{{}}\trefused");
        for (nr, fault) in (1_i16..).zip(found) {
            scratch.clear();
            let _ = write!(scratch, "{import}\t{line}\t{nr}\t{}\t", fault.column);
            faults.extend_from_slice(scratch.as_bytes());
            faults.extend_from_slice(fault.field.unwrap_or("\\N").as_bytes());
            let _ = write!(faults, "\t{}\t", fault.code);
            escape(faults, fault.detail);
            faults.push(b'\n');
        }
    }

    /// Ready for the next rows.
    pub fn clear(&mut self) {
        self.items.clear();
        self.faults.clear();
        (self.rows, self.refused) = (0, 0);
    }
}

/// As COPY's text format wants it (PostgreSQL, COPY, "Text Format").
fn escape(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            // Postgres has no such character in a text.
            0 => {}
            byte => out.push(byte),
        }
    }
}

/// Hostnames need no quotes: letters, digits, hyphens, dots and a star.
fn array(out: &mut Vec<u8>, names: impl Iterator<Item = impl AsRef<str>>) {
    out.push(b'{');
    for (nr, name) in names.enumerate() {
        if nr > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name.as_ref().as_bytes());
    }
    out.push(b'}');
}

/// An import with no rows so far.
pub async fn open(store: &Store, now: Timestamp, opening: &Opening) -> Result<ImportId, StoreError> {
    let id = Mint::at(now).uuid();
    sqlx::query!(
        "insert into imports
             (import_id, tenant_id, account_id, source, lane, status, commits, due_at, created_at,
              rows_total, rows_created, rows_changed, rows_unchanged, rows_refused, traceparent)
         values ($1, $2, $3, $4, $5, 'receiving', $6, $7, $8, 0, 0, 0, 0, 0, $9)",
        id,
        opening.viewer.tenant_id(),
        opening.account.0,
        opening.source,
        opening.lane.number(),
        opening.commits,
        sql_instant(now.after(UPLOAD_STANDS)),
        sql_instant(now),
        traces::current().map(|origin| origin.to_string()) as Option<String>,
    )
    .execute(store.pool())
    .await
    .map_err(StoreError::of("imports.open"))?;
    Ok(ImportId(id))
}

/// Writes rows away, and moves the deadline of the file. False where it was given up in the meantime.
pub async fn stage(
    store: &Store,
    now: Timestamp,
    import: ImportId,
    batch: &Batch,
) -> Result<bool, StoreError> {
    let mut tx = store.begin("imports.stage").await?;
    let held = sqlx::query!(
        "update imports
         set rows_total = rows_total + $2, rows_refused = rows_refused + $3, due_at = $4
         where import_id = $1 and status = 'receiving'",
        import.0,
        count(batch.rows.into()),
        count(batch.refused.into()),
        sql_instant(now.after(UPLOAD_STANDS)),
    )
    .execute(&mut *tx)
    .await
    .map_err(StoreError::of("imports.stage"))?;
    if held.rows_affected() == 0 {
        return Ok(false);
    }
    for (statement, rows) in [
        (
            "copy import_items
                 (import_id, line, tenant, external_id, names, challenge, labels, above, columns, verdict) from stdin",
            &batch.items,
        ),
        ("copy import_faults (import_id, line, nr, at_column, field, code, detail) from stdin", &batch.faults),
    ] {
        if rows.is_empty() {
            continue;
        }
        let mut copy = tx.copy_in_raw(statement).await.map_err(StoreError::of("imports.copy"))?;
        copy.send(rows.as_slice()).await.map_err(StoreError::of("imports.copy"))?;
        copy.finish().await.map_err(StoreError::of("imports.copy"))?;
    }
    reach_write!(Before, "import_stage", "imports.stage.commit");
    tx.commit().await.map_err(StoreError::of("imports.stage.commit"))?;
    Ok(true)
}

/// What has arrived as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    /// Of what was sent, as it was sent.
    pub sha256: [u8; 32],
    pub bytes: u64,
    /// The last line of the file.
    pub lines: u64,
}

/// The file is there: its rows are compared next. False where it was given up in the meantime.
pub async fn conclude(work: &mut Work, import: ImportId, received: &Received) -> Result<bool, StoreError> {
    let at = sql_instant(work.at());
    let concluded = sqlx::query!(
        "update imports
         set status = 'checking', sha256 = $2, bytes = $3, line_last = $4, received_at = $5, due_at = $5
         where import_id = $1 and status = 'receiving'",
        import.0,
        &received.sha256,
        i64::try_from(received.bytes).unwrap_or(i64::MAX),
        i64::try_from(received.lines).unwrap_or(i64::MAX),
        at,
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("imports.conclude"))?;
    Ok(concluded.rows_affected() == 1)
}

/// Nothing of it counts: what has been written away is removed.
pub async fn discard(store: &Store, now: Timestamp, import: ImportId) -> Result<(), StoreError> {
    sqlx::query!(
        "update imports set status = 'discarded', lease_epoch = lease_epoch + 1, due_at = $2
         where import_id = $1 and status = 'receiving'",
        import.0,
        sql_instant(now),
    )
    .execute(store.pool())
    .await
    .map_err(StoreError::of("imports.discard"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_ends_its_field() {
        let mut out = Vec::new();
        escape(&mut out, "a\tb\\c\nd\re\0=\u{fc}");
        assert_eq!(out, "a\\tb\\\\c\\nd\\re=\u{fc}".as_bytes());
    }
}
