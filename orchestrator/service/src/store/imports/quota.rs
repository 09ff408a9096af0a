//! Rows that are beyond what their tenant may have: each is refused by itself, before its names are claimed.

use std::collections::{BTreeMap, HashSet};

use issuance::time::Timestamp;
use sqlx::PgConnection;
use sqlx::types::Uuid;

use super::count;
use super::job::Job;
use crate::store::StoreError;
use crate::store::quotas::{Allowances, Excess, Taken};

/// Refuses the rows of a batch that quotas do not allow, and returns how many they are. `tenants` are held. Where none of
/// them has a quota, and none is suspended, no row is read.
pub(super) async fn refuse(
    conn: &mut PgConnection,
    now: Timestamp,
    job: &Job,
    lines: (i64, i64),
    tenants: impl IntoIterator<Item = Uuid>,
) -> Result<u64, StoreError> {
    let mut allowances = Allowances::read(conn, tenants, now).await?;
    let bounded = allowances.bounded();
    if bounded.is_empty() {
        return Ok(0);
    }
    let given = Given::default();
    let (refused, _) = judge(conn, job, lines, &bounded, &mut allowances, given).await?;
    write(conn, job, &refused).await
}

/// The same for a preview, where what the rows before take is in no other table than those of the import.
pub(super) async fn foresee(
    conn: &mut PgConnection,
    now: Timestamp,
    job: &Job,
    lines: (i64, i64),
    tenants: impl IntoIterator<Item = Uuid>,
) -> Result<u64, StoreError> {
    let mut allowances = Allowances::read(conn, tenants, now).await?;
    let bounded = allowances.bounded();
    if bounded.is_empty() {
        return Ok(0);
    }
    let before = sqlx::query!(
        "select tenant_id, hostnames, certificates from import_takings where import_id = $1 and tenant_id = any($2)",
        job.id.0,
        &bounded
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(StoreError::of("imports.takings"))?;
    for row in before {
        let taken = Taken { hostnames: number(row.hostnames), certificates: number(row.certificates) };
        allowances.note(row.tenant_id, taken);
    }
    let given = Given { foreseen: true, ..Given::default() };
    let (refused, given) = judge(conn, job, lines, &bounded, &mut allowances, given).await?;
    given.keep(conn, job).await?;
    write(conn, job, &refused).await
}

/// Rows that an earlier judgement has refused for a quota are judged anew: it may have been raised since. Returns how many.
pub(super) async fn reopen(conn: &mut PgConnection, job: &Job, lines: (i64, i64)) -> Result<u64, StoreError> {
    let reopened = sqlx::query!(
        "with withdrawn as (
             delete from import_faults
             where import_id = $1 and line > $2 and line <= $3 and code in ('tenant_quota_exceeded', 'tenant_suspended')
             returning line
         )
         update import_items set verdict = null
         from withdrawn
         where import_items.import_id = $1 and import_items.line = withdrawn.line and import_items.verdict = 'refused'",
        job.id.0,
        lines.0,
        lines.1
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("imports.reopen"))?;
    Ok(reopened.rows_affected())
}

/// Rows that are refused, column by column.
#[derive(Debug, Default)]
struct Refused {
    lines: Vec<i64>,
    columns: Vec<i32>,
    codes: Vec<String>,
    details: Vec<String>,
}

/// What rows take of their tenants' quotas.
#[derive(Debug, Default)]
struct Given {
    foreseen: bool,
    names: HashSet<String>,
    of: BTreeMap<Uuid, (i64, i64)>,
}

async fn judge(
    conn: &mut PgConnection,
    job: &Job,
    lines: (i64, i64),
    bounded: &[Uuid],
    allowances: &mut Allowances,
    mut given: Given,
) -> Result<(Refused, Given), StoreError> {
    let rows = sqlx::query_file!(
        "queries/imports_quota_rows.sql",
        job.id.0,
        lines.0,
        lines.1,
        bounded,
        given.foreseen
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("imports.quota_rows"))?;
    let mut refused = Refused::default();
    for row in rows {
        // A name is claimed once, with the first row that has it.
        let fresh: Vec<String> = row.fresh.into_iter().filter(|name| !given.names.contains(name)).collect();
        let taken = Taken { hostnames: fresh.len() as u64, certificates: u64::from(!row.same_names) };
        match allowances.take(row.tenant_id, taken) {
            Ok(()) => {
                let of = given.of.entry(row.tenant_id).or_default();
                of.0 += i64::from(count(taken.hostnames));
                of.1 += i64::from(count(taken.certificates));
                given.names.extend(fresh);
            }
            Err(excess) => {
                let code = match excess {
                    Excess::Suspended => "tenant_suspended",
                    Excess::Hostnames { .. } | Excess::NewCertificates { .. } => "tenant_quota_exceeded",
                };
                refused.lines.push(row.line);
                refused.columns.push(row.at_column);
                refused.codes.push(code.to_owned());
                refused.details.push(excess.to_string());
            }
        }
    }
    Ok((refused, given))
}

impl Given {
    /// For the batches that follow.
    async fn keep(self, conn: &mut PgConnection, job: &Job) -> Result<(), StoreError> {
        let names: Vec<String> = self.names.into_iter().collect();
        let tenants: Vec<Uuid> = self.of.keys().copied().collect();
        let (hostnames, certificates): (Vec<i64>, Vec<i64>) = self.of.into_values().unzip();
        sqlx::query!(
            "with names as (
                 insert into import_names (import_id, hostname)
                 select $1, hostname from unnest($2::text[]) as hostname
                 on conflict (import_id, hostname) do nothing
             )
             insert into import_takings as kept (import_id, tenant_id, hostnames, certificates)
             select $1, tenant_id, hostnames, certificates
             from unnest($3::uuid[], $4::bigint[], $5::bigint[]) as taken (tenant_id, hostnames, certificates)
             on conflict (import_id, tenant_id) do update
             set hostnames = kept.hostnames + excluded.hostnames, certificates = kept.certificates + excluded.certificates",
            job.id.0,
            &names,
            &tenants,
            &hostnames,
            &certificates
        )
        .execute(conn)
        .await
        .map(drop)
        .map_err(StoreError::of("imports.keep_takings"))
    }
}

async fn write(conn: &mut PgConnection, job: &Job, refused: &Refused) -> Result<u64, StoreError> {
    let Refused { lines, columns, codes, details } = refused;
    if lines.is_empty() {
        return Ok(0);
    }
    sqlx::query_file!("queries/imports_refuse_quota.sql", job.id.0, lines, columns, codes, details)
        .execute(conn)
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::of("imports.refuse_quota"))
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
