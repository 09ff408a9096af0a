//! Rows that are beyond what their tenant may have: each is refused by itself, before its names are claimed.

use std::collections::HashSet;

use issuance::time::Timestamp;
use sqlx::PgConnection;
use sqlx::types::Uuid;

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
    let rows = sqlx::query_file!("queries/imports_quota_rows.sql", job.id.0, lines.0, lines.1, &bounded)
        .fetch_all(&mut *conn)
        .await
        .map_err(StoreError::of("imports.quota_rows"))?;
    // Of the rows before: a name is claimed once, with the first row that has it.
    let mut claimed: HashSet<String> = HashSet::new();
    let (mut refused, mut columns, mut codes, mut details) = (vec![], vec![], vec![], vec![]);
    for row in rows {
        let fresh: Vec<String> = row.fresh.into_iter().filter(|name| !claimed.contains(name)).collect();
        let taken = Taken { hostnames: fresh.len() as u64, certificates: u64::from(!row.same_names) };
        match allowances.take(row.tenant_id, taken) {
            Ok(()) => claimed.extend(fresh),
            Err(excess) => {
                let code = match excess {
                    Excess::Suspended => "tenant_suspended",
                    Excess::Hostnames { .. } | Excess::NewCertificates { .. } => "tenant_quota_exceeded",
                };
                refused.push(row.line);
                columns.push(row.at_column);
                codes.push(code.to_owned());
                details.push(excess.to_string());
            }
        }
    }
    if refused.is_empty() {
        return Ok(0);
    }
    sqlx::query_file!("queries/imports_refuse_quota.sql", job.id.0, &refused, &columns, &codes, &details)
        .execute(conn)
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::of("imports.refuse_quota"))
}
