//! Takes an import back: what it alone has made, as long as nobody has asked a CA for it.
//!
//! What stays is told with its reason. A rollback may be asked for again: what was in a worker's hands is free by then.

use sqlx::types::Uuid;
use sqlx::{Connection as _, PgConnection};

use super::job::{Job, Tally};
use crate::store::StoreError;

/// Postgres: another row refers to it (`foreign_key_violation`).
const STILL_REFERRED_TO: &str = "23503";

/// Takes back what the lines have made.
pub(super) async fn take_back(
    conn: &mut PgConnection,
    job: &Job,
    lines: (i64, i64),
) -> Result<Tally, StoreError> {
    super::commit::go_by_index(conn).await?;
    let looked = sqlx::query_file!("queries/imports_rollback_look.sql", job.id.0, lines.0, lines.1)
        .fetch_all(&mut *conn)
        .await
        .map_err(StoreError::of("imports.rollback_look"))?;
    let mut kept: Vec<(i64, String)> = Vec::new();
    let mut free = Vec::new();
    for row in looked {
        match row.obstacle {
            Some(obstacle) => kept.push((row.line, obstacle)),
            None => free.push((row.line, row.certificate_id)),
        }
    }
    let mut removed = Vec::with_capacity(free.len());
    // All at once; where somebody is in the way, one by one, to find out who.
    if remove(conn, job, lines, &free).await?.is_none() {
        removed.append(&mut free);
    } else {
        for one in free {
            match remove(conn, job, lines, &[one]).await? {
                None => removed.push(one),
                Some(obstacle) => kept.push((one.0, obstacle.to_owned())),
            }
        }
    }
    let tally = Tally { removed: removed.len() as u64, left: kept.len() as u64, ..Tally::default() };
    kept.extend(removed.into_iter().map(|(line, _)| (line, "removed".to_owned())));
    write_down(conn, job, kept).await?;
    Ok(tally)
}

/// Removes the certificates with their orders and names, all or none: none where a worker has one of the orders, or
/// something refers to one of them. Then it tells which of the two.
async fn remove(
    conn: &mut PgConnection,
    job: &Job,
    lines: (i64, i64),
    certificates: &[(i64, Uuid)],
) -> Result<Option<&'static str>, StoreError> {
    if certificates.is_empty() {
        return Ok(None);
    }
    let certificates: Vec<Uuid> = certificates.iter().map(|(_, certificate)| *certificate).collect();
    let mut attempt = conn.begin().await.map_err(StoreError::of("imports.rollback"))?;
    let obstacle = match try_to_remove(&mut attempt, job, lines, &certificates).await {
        Ok(true) => {
            attempt.commit().await.map_err(StoreError::of("imports.rollback"))?;
            return Ok(None);
        }
        Ok(false) => "in_hand",
        Err(StoreError::Query { source: sqlx::Error::Database(error), .. })
            if error.code().as_deref() == Some(STILL_REFERRED_TO) =>
        {
            "in_use"
        }
        Err(error) => return Err(error),
    };
    attempt.rollback().await.map_err(StoreError::of("imports.rollback"))?;
    Ok(Some(obstacle))
}

async fn try_to_remove(
    conn: &mut PgConnection,
    job: &Job,
    lines: (i64, i64),
    certificates: &[Uuid],
) -> Result<bool, StoreError> {
    // Whoever holds one of them is not waited for, and whoever comes later finds nothing.
    let free = sqlx::query_scalar!(
        "select order_id from orders
         where certificate_id = any($1) and queue < 2 and asks = 0 and admitted_at is null and lease_expires_at is null
         for update skip locked",
        certificates
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(StoreError::of("imports.rollback_orders"))?;
    let all = sqlx::query_scalar!(
        r#"select count(*) as "all!" from orders where certificate_id = any($1)"#,
        certificates
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(StoreError::of("imports.rollback_orders"))?;
    if i64::try_from(free.len()).ok() != Some(all) {
        return Ok(false);
    }
    sqlx::query!("delete from orders where order_id = any($1)", &free)
        .execute(&mut *conn)
        .await
        .map_err(StoreError::of("imports.rollback_orders"))?;
    sqlx::query!("delete from certificates where certificate_id = any($1)", certificates)
        .execute(&mut *conn)
        .await
        .map_err(StoreError::of("imports.rollback_certificates"))?;
    sqlx::query_file!("queries/imports_release_hostnames.sql", job.id.0, certificates, lines.0, lines.1)
        .execute(conn)
        .await
        .map_err(StoreError::of("imports.rollback_hostnames"))?;
    Ok(true)
}

async fn write_down(conn: &mut PgConnection, job: &Job, rows: Vec<(i64, String)>) -> Result<(), StoreError> {
    let (lines, words): (Vec<i64>, Vec<String>) = rows.into_iter().unzip();
    sqlx::query!(
        "update import_items set rollback = told.word
         from unnest($2::bigint[], $3::text[]) as told (line, word)
         where import_items.import_id = $1 and import_items.line = told.line",
        job.id.0,
        &lines,
        &words
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("imports.rollback_told"))?;
    Ok(())
}
