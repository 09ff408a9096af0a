//! Rows become certificates: a batch of lines in one transaction, in statements over all of its rows.

use std::collections::BTreeSet;

use issuance::time::Timestamp;
use sqlx::types::Uuid;
use sqlx::{Connection as _, PgConnection};

use super::job::{Job, Tally};
use super::quota;
use crate::store::mint::Mint;
use crate::store::wishes::{self, Terms};
use crate::store::{StoreError, quotas, sql_instant, tenants};

/// Behind the number of a line.
const TWO_ROWS: &str = " already and says something else there: remove one of the two rows";
const TWO_NAMES: &str = " already: remove one of them";
/// Behind a name.
pub(super) const NOT_THEIRS: &str =
    " belongs to another tenant: it must be released there first, or asked for with a proof";

/// Holds the rows of the file against each other. The one statement of an import that sees all of them; it writes only
/// those that stand twice.
pub(super) async fn compare(conn: &mut PgConnection, job: &Job) -> Result<Tally, StoreError> {
    // Sorted in memory: on the disk it would take several times as long.
    sqlx::query!("select set_config('work_mem', '64MB', true) as set")
        .fetch_one(&mut *conn)
        .await
        .map_err(StoreError::of("imports.compare"))?;
    let verdicts = sqlx::query_file_scalar!("queries/imports_compare_wishes.sql", job.id.0, TWO_ROWS)
        .fetch_all(&mut *conn)
        .await
        .map_err(StoreError::of("imports.compare_wishes"))?;
    let repeated = verdicts.iter().filter(|verdict| *verdict == "repeated").count() as u64;
    let named_twice = sqlx::query_file!("queries/imports_compare_names.sql", job.id.0, TWO_NAMES)
        .execute(conn)
        .await
        .map_err(StoreError::of("imports.compare_names"))?;
    let refused = verdicts.len() as u64 - repeated + named_twice.rows_affected();
    Ok(Tally { repeated, refused, ..Tally::default() })
}

/// Tells what would become of the rows, and makes nothing.
pub(super) async fn foresee(
    conn: &mut PgConnection,
    now: Timestamp,
    job: &Job,
    lines: (i64, i64),
) -> Result<Tally, StoreError> {
    go_by_index(conn).await?;
    let foreign = foreign(conn, job, lines).await?;
    let mut refused = refuse(conn, job, &foreign).await?;
    let tenants = sqlx::query_scalar!(
        "select tenant_id from tenants where slug = any($1) and deleted_at is null",
        &slugs(conn, job, lines).await?
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(StoreError::of("imports.tenants"))?;
    refused += quota::foresee(conn, now, job, lines, tenants).await?;
    let judged = judge(conn, job, lines, &[]).await?;
    Ok(Tally { refused, ..tally_of(&judged) })
}

/// Makes certificates be as the rows wish, with an order for each set of names that is new.
pub(super) async fn commit(
    conn: &mut PgConnection,
    now: Timestamp,
    mint: &Mint,
    job: &Job,
    lines: (i64, i64),
) -> Result<Tally, StoreError> {
    let Some(account) = job.account else {
        return Err(StoreError::Inconsistent {
            table: "imports",
            what: format!("{} has no account", job.id),
        });
    };
    go_by_index(conn).await?;
    let reopened = quota::reopen(conn, job, lines).await?;
    let slugs = slugs(conn, job, lines).await?;
    let slugs: BTreeSet<&str> = slugs.iter().map(String::as_str).collect();
    if job.tenant.is_none() {
        tenants::ensure(conn, now, mint, &slugs).await?;
    }
    let held = tenants::hold(conn, &slugs).await?;
    let foreign = foreign(conn, job, lines).await?;
    let mut refused = refuse(conn, job, &foreign).await?;
    refused += quota::refuse(conn, now, job, lines, held.values().copied()).await?;
    refused += claim(conn, now, job, lines).await?;

    let ids: Vec<Uuid> = (lines.0..lines.1).map(|_| mint.uuid()).collect();
    let judged = judge(conn, job, lines, &ids).await?;
    let tally = tally_of(&judged);
    if tally.created > 0 {
        sqlx::query_file!(
            "queries/imports_create_certificates.sql",
            job.id.0,
            lines.0,
            lines.1,
            account.0,
            sql_instant(now)
        )
        .execute(&mut *conn)
        .await
        .map_err(StoreError::of("imports.create_certificates"))?;
    }
    if tally.changed > 0 {
        sqlx::query_file!(
            "queries/imports_change_certificates.sql",
            job.id.0,
            lines.0,
            lines.1,
            sql_instant(now)
        )
        .execute(&mut *conn)
        .await
        .map_err(StoreError::of("imports.change_certificates"))?;
    }
    let known = |row: &Judged| row.certificate_id.zip(row.tenant_id);
    let to_order: Vec<(Uuid, Uuid)> = judged.iter().filter(|row| !row.same_names).filter_map(known).collect();
    let ordered: Vec<Uuid> =
        judged.iter().filter(|row| row.same_names).filter_map(|row| row.certificate_id).collect();
    let terms = Terms { account, import: job.id.0, lane: job.lane, origin: job.origin };
    quotas::record_begun(conn, now, to_order.iter().map(|(_, tenant)| *tenant)).await?;
    wishes::order(conn, now, mint, terms, &to_order).await?;
    let hastened = wishes::hasten(conn, job.lane, &ordered).await?;
    Ok(Tally { refused, reopened, orders: to_order.len() as u64, hastened, ..tally })
}

/// A batch is small beside the tables it touches, and rows that came a moment ago are in no statistics: whatever the planner
/// takes them for, it must not read tables as a whole, nor all rows of a tenant because they lie on a few pages. So it
/// counts rows alone.
pub(super) async fn go_by_index(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query(
        "select set_config(name, value, true)
         from (values ('enable_seqscan', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'),
             ('random_page_cost', '0'), ('seq_page_cost', '0')) as plan (name, value)",
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("imports.plan"))?;
    Ok(())
}

async fn slugs(conn: &mut PgConnection, job: &Job, lines: (i64, i64)) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar!(
        "select distinct tenant from import_items
         where import_id = $1 and line > $2 and line <= $3
             and (verdict is null or verdict in ('created', 'changed', 'unchanged'))",
        job.id.0,
        lines.0,
        lines.1,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("imports.slugs"))
}

/// A name that its row's tenant may not have.
#[derive(Debug)]
struct Foreign {
    line: i64,
    at_column: i32,
    name: String,
}

async fn foreign(conn: &mut PgConnection, job: &Job, lines: (i64, i64)) -> Result<Vec<Foreign>, StoreError> {
    sqlx::query_file_as!(Foreign, "queries/imports_foreign_names.sql", job.id.0, lines.0, lines.1)
        .fetch_all(conn)
        .await
        .map_err(StoreError::of("imports.foreign_names"))
}

async fn refuse(conn: &mut PgConnection, job: &Job, foreign: &[Foreign]) -> Result<u64, StoreError> {
    if foreign.is_empty() {
        return Ok(0);
    }
    let lines: Vec<i64> = foreign.iter().map(|row| row.line).collect();
    let columns: Vec<i32> = foreign.iter().map(|row| row.at_column).collect();
    let names: Vec<String> = foreign.iter().map(|row| row.name.clone()).collect();
    let refused =
        sqlx::query_file!("queries/imports_refuse.sql", job.id.0, &lines, &columns, &names, NOT_THEIRS)
            .execute(conn)
            .await
            .map_err(StoreError::of("imports.refuse"))?;
    Ok(refused.rows_affected())
}

/// Claims the names of all rows that nobody else owns. A row that loses a race for one of its names is refused, and then
/// must not keep the others: so all are claimed anew without it. Returns how many rows were refused.
async fn claim(
    conn: &mut PgConnection,
    now: Timestamp,
    job: &Job,
    lines: (i64, i64),
) -> Result<u64, StoreError> {
    let mut refused = 0;
    loop {
        let mut attempt = conn.begin().await.map_err(StoreError::of("imports.claim"))?;
        sqlx::query_file!(
            "queries/imports_claim_hostnames.sql",
            job.id.0,
            lines.0,
            lines.1,
            sql_instant(now)
        )
        .execute(&mut *attempt)
        .await
        .map_err(StoreError::of("imports.claim_hostnames"))?;
        // A statement of its own: only a new snapshot sees what somebody else has committed meanwhile.
        let lost = foreign(&mut attempt, job, lines).await?;
        if lost.is_empty() {
            attempt.commit().await.map_err(StoreError::of("imports.claim"))?;
            return Ok(refused);
        }
        attempt.rollback().await.map_err(StoreError::of("imports.claim"))?;
        refused += refuse(conn, job, &lost).await?;
    }
}

/// A row and what becomes of it.
#[derive(Debug)]
struct Judged {
    tenant_id: Option<Uuid>,
    certificate_id: Option<Uuid>,
    verdict: String,
    same_names: bool,
}

async fn judge(
    conn: &mut PgConnection,
    job: &Job,
    lines: (i64, i64),
    ids: &[Uuid],
) -> Result<Vec<Judged>, StoreError> {
    sqlx::query_file_as!(Judged, "queries/imports_judge.sql", job.id.0, lines.0, lines.1, ids)
        .fetch_all(conn)
        .await
        .map_err(StoreError::of("imports.judge"))
}

fn tally_of(judged: &[Judged]) -> Tally {
    let count = |verdict: &str| judged.iter().filter(|row| row.verdict == verdict).count() as u64;
    Tally {
        created: count("created"),
        changed: count("changed"),
        unchanged: count("unchanged"),
        ..Tally::default()
    }
}
