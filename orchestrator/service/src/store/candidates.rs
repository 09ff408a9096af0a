//! The few among very many that can stand as a list asks: found without looking at the others.
//!
//! What a fleet's certificates and names are like follows from many rows, and most are well. So whoever lists those that are
//! not would read a million rows to fill a page. But each of them has an order that goes on, is parked or came to nothing, or a
//! row that says that it rests, is paused or was revoked, and those are few and have indexes. Their certificates and
//! names are candidates: only they are looked at.

use issuance::fault::FailureClass;
use issuance::identifier::Hostname;
use issuance::ids::AccountId;
use issuance::time::Timestamp;
use sqlx::types::Uuid;
use sqlx::{Connection as _, PgConnection, Postgres, Transaction};

use super::certificates::{CertificateFilter, CertificateStatus};
use super::explanations::HostnameStatus;
use super::hostnames_view::HostnameFilter;
use super::{StoreError, sql_instant};

/// Rows from which candidates are taken. Where there are more, so many stand so that walking along all of them finds a page
/// soon.
const READ_MAX: i64 = 50_000;
/// Candidates that are looked at by one statement.
const CHUNK: usize = 500;
/// Candidates that are read at a time.
const BATCH: usize = 4 * CHUNK;

/// Which rows are looked at.
#[derive(Debug)]
pub(super) enum Part<'a, K> {
    After(Option<&'a K>),
    Among(&'a [K]),
}

/// A list that is read by its candidates, where there are few.
pub(super) trait Listed {
    /// What the list is ordered by.
    type Key: Clone;
    type Row;

    /// The next candidates after one; fewer than [`BATCH`] are the last ones. `None`: all are to be walked along.
    async fn candidates(
        &self,
        conn: &mut PgConnection,
        after: Option<&Self::Key>,
    ) -> Result<Option<Vec<Self::Key>>, StoreError>;

    /// Those of a part that are as is asked for, in order, up to `rows`.
    async fn select(
        &self,
        conn: &mut PgConnection,
        part: Part<'_, Self::Key>,
        rows: i64,
    ) -> Result<Vec<Self::Row>, StoreError>;
}

/// The first `rows` after one.
pub(super) async fn list<L: Listed>(
    listed: &L,
    conn: &mut PgConnection,
    after: Option<L::Key>,
    rows: i64,
) -> Result<Vec<L::Row>, StoreError> {
    let wanted = usize::try_from(rows).unwrap_or(usize::MAX);
    let (mut after, mut found) = (after, Vec::new());
    while found.len() < wanted {
        let Some(keys) = listed.candidates(conn, after.as_ref()).await? else {
            found.extend(listed.select(conn, Part::After(after.as_ref()), rows).await?);
            break;
        };
        for chunk in keys.chunks(CHUNK) {
            if found.len() < wanted {
                found.extend(listed.select(conn, Part::Among(chunk), rows).await?);
            }
        }
        if keys.len() < BATCH {
            break;
        }
        after = keys.last().cloned();
    }
    found.truncate(wanted);
    Ok(found)
}

/// Where they are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sources {
    under_way: bool,
    parked: bool,
    ended: bool,
    expired: bool,
    revoked: bool,
    paused: bool,
}

impl Sources {
    /// `None`: so can most, or none can be told from the others.
    fn of_hostnames(filter: &HostnameFilter) -> Option<Self> {
        use HostnameStatus as Status;
        let none = Self::default();
        match filter.status {
            Some(Status::Active | Status::Unused) => None,
            // With these, certificates that have expired are found as well.
            Some(Status::Issuing | Status::RateLimited) => Some(Self { under_way: true, ..none }),
            Some(Status::Failed) => Some(Self { ended: true, ..none }),
            Some(Status::NotReady | Status::Resting | Status::Suspended | Status::PausedAtCa) => {
                Some(Self { parked: true, ..none })
            }
            None => filter.failure_class.map(|_| Self { parked: true, ended: true, ..none }),
        }
    }

    fn of_certificates(filter: &CertificateFilter) -> Option<Self> {
        use CertificateStatus as Status;
        let none = Self::default();
        match filter.status {
            Some(Status::Active) => None,
            Some(Status::Pending | Status::Issuing) => Some(Self { under_way: true, ..none }),
            // Or only a part of it was issued, and the whole is parked.
            Some(Status::Attention) => Some(Self { parked: true, ended: true, expired: true, ..none }),
            Some(Status::Failed) => Some(Self { ended: true, ..none }),
            Some(Status::Parked) => Some(Self { parked: true, ..none }),
            Some(Status::Paused) => Some(Self { paused: true, ..none }),
            Some(Status::Revoked) => Some(Self { revoked: true, ..none }),
            None => filter.failure_class.map(|_| Self { parked: true, ended: true, ..none }),
        }
    }
}

/// The next names after one that can stand as is asked for, as [`Listed::candidates`] has them.
pub(super) async fn hostnames(
    conn: &mut PgConnection,
    account: AccountId,
    now: Timestamp,
    filter: &HostnameFilter,
    beyond: Option<&str>,
    after: Option<&str>,
) -> Result<Option<Vec<String>>, StoreError> {
    let Some(sources) = Sources::of_hostnames(filter) else { return Ok(None) };
    // With a status, what is wrong may be told by another row than the one that is found.
    let class = filter.failure_class.filter(|_| filter.status.is_none());
    let mut tx = by_index(conn).await?;
    let rows = sqlx::query_file!(
        "queries/hostnames_candidates.sql",
        account.0,
        sql_instant(now),
        sources.under_way,
        sources.parked,
        sources.ended,
        class.map(FailureClass::as_str),
        after,
        filter.prefix.as_deref(),
        beyond,
        READ_MAX,
        BATCH as i64
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(StoreError::of("candidates.hostnames"))?;
    tx.rollback().await.map_err(StoreError::of("candidates.hostnames"))?;
    let are_many = rows.first().is_some_and(|row| row.read >= READ_MAX);
    Ok((!are_many).then(|| rows.into_iter().map(|row| row.hostname).collect()))
}

/// The same of certificates.
pub(super) async fn certificates(
    conn: &mut PgConnection,
    now: Timestamp,
    filter: &CertificateFilter,
    after: Option<Uuid>,
) -> Result<Option<Vec<Uuid>>, StoreError> {
    let Some(sources) = Sources::of_certificates(filter) else { return Ok(None) };
    let class = filter.failure_class.filter(|_| filter.status.is_none());
    let mut tx = by_index(conn).await?;
    let rows = sqlx::query_file!(
        "queries/certificates_candidates.sql",
        sources.under_way,
        sources.parked,
        sources.ended,
        sources.expired,
        sql_instant(now),
        sources.revoked,
        sources.paused,
        class.map(FailureClass::as_str),
        after,
        BATCH as i64,
        READ_MAX
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(StoreError::of("candidates.certificates"))?;
    tx.rollback().await.map_err(StoreError::of("candidates.certificates"))?;
    let are_many = rows.first().is_some_and(|row| row.read >= READ_MAX);
    Ok((!are_many).then(|| rows.into_iter().map(|row| row.certificate_id).collect()))
}

/// The certificates that are wished for a name, after one.
pub(super) async fn named(
    conn: &mut PgConnection,
    hostname: &Hostname,
    after: Option<Uuid>,
) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!(
        r#"select named as "certificate_id!" from certificates_named(array[$1::text]) as named
           where $2::uuid is null or named > $2
           order by named"#,
        hostname.as_str(),
        after
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("candidates.named"))
}

/// Rows that came a moment ago are in no statistics, and no table is read as a whole for a few of them.
async fn by_index(conn: &mut PgConnection) -> Result<Transaction<'_, Postgres>, StoreError> {
    let mut tx = conn.begin().await.map_err(StoreError::of("candidates.begin"))?;
    sqlx::query("select set_config('enable_seqscan', 'off', true)")
        .execute(&mut *tx)
        .await
        .map_err(StoreError::of("candidates.plan"))?;
    Ok(tx)
}
