//! Checks that are skipped for one name.

use issuance::check::Check;
use issuance::identifier::Hostname;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// One check that keeps one name back no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckOverrideView {
    pub hostname: String,
    pub check: Check,
    /// `operator`, or `sample`: drawn, to learn how often the check is wrong.
    pub origin: String,
    pub note: String,
    pub created_at: Timestamp,
    /// `null`: until it is taken back.
    pub expires_at: Option<Timestamp>,
}

/// Whose idea it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Operator,
    Sample,
}

/// Enters one that was drawn. False: nobody owns that name.
pub async fn draw(
    store: &Store,
    hostname: &Hostname,
    check: Check,
    note: &str,
    now: Timestamp,
    expires_at: Option<Timestamp>,
) -> Result<bool, StoreError> {
    let mut conn = store.pool().acquire().await.map_err(StoreError::of("check_overrides.connection"))?;
    write(&mut conn, hostname, check, Origin::Sample, note, now, expires_at).await
}

/// Enters one of the operator's. False: nobody owns that name.
pub async fn enter(
    work: &mut Work,
    hostname: &Hostname,
    check: Check,
    note: &str,
    expires_at: Option<Timestamp>,
) -> Result<bool, StoreError> {
    let now = work.at();
    write(work.conn(), hostname, check, Origin::Operator, note, now, expires_at).await
}

async fn write(
    conn: &mut PgConnection,
    hostname: &Hostname,
    check: Check,
    origin: Origin,
    note: &str,
    now: Timestamp,
    expires_at: Option<Timestamp>,
) -> Result<bool, StoreError> {
    let origin = match origin {
        Origin::Operator => "operator",
        Origin::Sample => "sample",
    };
    // What the operator has entered is not replaced by a draw.
    let written = sqlx::query!(
        "with owned as (select tenant_id from hostnames where hostname = $7)
         insert into check_overrides as kept (hostname, check_name, tenant_id, origin, note, created_at, expires_at)
         select $1, $2, tenant_id, $3, $4, $5, $6 from owned
         on conflict (hostname, check_name) do update
         set origin = excluded.origin,
             note = excluded.note,
             created_at = excluded.created_at,
             expires_at = excluded.expires_at
         where excluded.origin = 'operator' or kept.origin = 'sample'",
        hostname.as_str(),
        check.as_str(),
        origin,
        note,
        sql_instant(now),
        expires_at.map(sql_instant),
        hostname.validation_target()
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("check_overrides.enter"))?;
    Ok(written.rows_affected() > 0)
}

/// Takes one back. False if there is none.
pub async fn take_back(work: &mut Work, hostname: &Hostname, check: Check) -> Result<bool, StoreError> {
    sqlx::query!(
        "delete from check_overrides where hostname = $1 and check_name = $2",
        hostname.as_str(),
        check.as_str()
    )
    .execute(work.conn())
    .await
    .map(|done| done.rows_affected() > 0)
    .map_err(StoreError::of("check_overrides.take_back"))
}

/// The one of a name that this work is about to change.
pub async fn find(
    work: &mut Work,
    hostname: &Hostname,
    check: Check,
) -> Result<Option<CheckOverrideView>, StoreError> {
    let now = work.at();
    let all = of_name(work.conn(), hostname.as_str(), now).await?;
    Ok(all.into_iter().find(|one| one.check == check))
}

/// Those of a name that hold.
pub(super) async fn of_name(
    conn: &mut PgConnection,
    hostname: &str,
    now: Timestamp,
) -> Result<Vec<CheckOverrideView>, StoreError> {
    let rows = sqlx::query!(
        "select hostname, check_name, origin, note, created_at, expires_at from check_overrides
         where hostname = $1 and (expires_at is null or expires_at > $2) order by check_name",
        hostname,
        sql_instant(now)
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("check_overrides.of_name"))?;
    let views = rows.into_iter().filter_map(|row| {
        Some(CheckOverrideView {
            hostname: row.hostname,
            check: Check::parse(&row.check_name)?,
            origin: row.origin,
            note: row.note,
            created_at: row.created_at.into(),
            expires_at: row.expires_at.map(Timestamp::from),
        })
    });
    Ok(views.collect())
}
