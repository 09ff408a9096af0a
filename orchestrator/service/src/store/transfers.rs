//! Hostnames that go from one tenant to another: by proof that the one who asks has DNS of the name, or because the
//! operator says so.
//!
//! What the one who asks is told of the other is nothing: neither who has the name nor what for.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use issuance::identifier::Hostname;
use issuance::ids::{CertificateId, TenantId};
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Uuid;
use utoipa::ToSchema;

use super::events::Event;
use super::quotas::{Allowances, Excess, Taken};
use super::viewer::Viewer;
use super::work::Work;
use super::{Store, StoreError, relinquishments, sql_instant};

/// What the record of a name begins with.
const RECORD_LABEL: &str = "_lockkeeper-transfer";
const VALUE_PREFIX: &str = "lockkeeper-transfer=";
const RANDOM_BYTES: usize = 32;
/// Long enough for a hoster's slow DNS form; a value that stands for longer is a gift to whoever finds it.
pub const GOOD_FOR: Duration = Duration::from_hours(7 * 24);

/// A request for a name that somebody else has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransferView {
    pub hostname: String,
    pub tenant_id: TenantId,
    /// The slug of the tenant that asks.
    pub tenant: String,
    /// `waiting`, `moved` (the name is the tenant's), `expired`, `withdrawn`, or `needless` (it had become free).
    pub status: String,
    /// What is to be published, at all name servers of the name.
    pub record: TransferRecord,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// When its name servers are asked next. `null`: it is over.
    pub next_look_at: Option<Timestamp>,
    pub looked_at: Option<Timestamp>,
    /// What is missing, by the last look.
    pub detail: Option<String>,
}

/// One record of DNS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransferRecord {
    pub r#type: String,
    pub name: String,
    pub value: String,
}

/// What became of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// There is a record to publish. The same one as before where it had been asked for already.
    Waits(Box<TransferView>),
    /// Nobody has the name: it can be wished for.
    Free,
    /// The tenant has it.
    Own,
    /// It may have no more.
    TooMuch(Excess),
}

/// One whose name servers are to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueTransfer {
    pub id: Uuid,
    pub hostname: String,
    pub record_name: String,
    pub value: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// What follows from a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    Shown,
    /// What is missing, and when it is looked at again.
    Missing {
        detail: String,
        next_at: Timestamp,
    },
}

/// What a name took with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub from: TenantId,
    pub to: TenantId,
    /// Certificates of the former owner that are wished for without it from now on.
    pub narrowed: Vec<CertificateId>,
    /// Those that had no other name: served until they expire, and not renewed.
    pub given_up: Vec<CertificateId>,
}

/// Where the record of a name is looked for.
pub fn record_name(hostname: &str) -> String {
    format!("{RECORD_LABEL}.{hostname}")
}

/// Asks for a name on behalf of the viewer's tenant, or of `tenant` where the operator asks.
pub async fn ask(work: &mut Work, tenant: TenantId, hostname: &Hostname) -> Result<Asked, StoreError> {
    let name = hostname.validation_target();
    let owner = sqlx::query_scalar!("select tenant_id from hostnames where hostname = $1", name)
        .fetch_optional(work.conn())
        .await
        .map_err(StoreError::of("transfers.owner"))?;
    match owner {
        None => return Ok(Asked::Free),
        Some(owner) if owner == tenant.0 => return Ok(Asked::Own),
        Some(_) => {}
    }
    let at = work.at();
    let mut allowances = Allowances::read(work.conn(), [tenant.0], at).await?;
    if let Err(excess) = allowances.take(tenant.0, Taken { hostnames: 1, certificates: 0 }) {
        return Ok(Asked::TooMuch(excess));
    }
    let random: [u8; RANDOM_BYTES] = rand::random();
    let value = format!("{VALUE_PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let id = work.mint().uuid();
    // One that has expired, and that nobody has looked at since, makes room.
    sqlx::query!(
        "update hostname_transfers set ended_at = $3, outcome = 'expired', look_at = null
         where tenant_id = $1 and hostname = $2 and ended_at is null and expires_at <= $3",
        tenant.0,
        name,
        sql_instant(at)
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("transfers.expire"))?;
    sqlx::query!(
        "insert into hostname_transfers (transfer_id, hostname, tenant_id, value, created_at, expires_at, look_at)
         values ($1, $2, $3, $4, $5, $6, $5)
         on conflict (tenant_id, hostname) where ended_at is null do update set look_at = excluded.look_at",
        id,
        name,
        tenant.0,
        value,
        sql_instant(at),
        sql_instant(at.after(GOOD_FOR))
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("transfers.ask"))?;
    let view = latest(work.conn(), Viewer::Tenant(tenant), name).await?;
    view.map(|view| Asked::Waits(Box::new(view))).ok_or_else(|| StoreError::Inconsistent {
        table: "hostname_transfers",
        what: format!("the request for {name} is gone"),
    })
}

/// The viewer's latest request for a name.
pub async fn find(
    store: &Store,
    viewer: Viewer,
    hostname: &Hostname,
) -> Result<Option<TransferView>, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    latest(&mut conn, viewer, hostname.validation_target()).await
}

/// Whether there was one to withdraw.
pub async fn withdraw(work: &mut Work, hostname: &Hostname) -> Result<Option<TransferView>, StoreError> {
    let (at, viewer) = (sql_instant(work.at()), work.viewer());
    let name = hostname.validation_target();
    let ended = sqlx::query!(
        "update hostname_transfers set ended_at = $3, outcome = 'withdrawn', look_at = null
         where ($1::uuid is null or tenant_id = $1) and hostname = $2 and ended_at is null",
        viewer.tenant_id(),
        name,
        at
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("transfers.withdraw"))?;
    if ended.rows_affected() == 0 { Ok(None) } else { latest(work.conn(), viewer, name).await }
}

async fn latest(
    conn: &mut PgConnection,
    viewer: Viewer,
    name: &str,
) -> Result<Option<TransferView>, StoreError> {
    let row = sqlx::query!(
        "select hostname, tenant_id, slug, value, hostname_transfers.created_at, expires_at, look_at, looked_at, detail,
             outcome
         from hostname_transfers join tenants using (tenant_id)
         where hostname = $2 and ($1::uuid is null or tenant_id = $1)
         order by ended_at desc nulls first
         limit 1",
        viewer.tenant_id(),
        name
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::of("transfers.find"))?;
    Ok(row.map(|row| TransferView {
        tenant_id: TenantId(row.tenant_id),
        tenant: row.slug,
        status: row.outcome.unwrap_or_else(|| "waiting".to_owned()),
        record: TransferRecord {
            r#type: "TXT".to_owned(),
            name: record_name(&row.hostname),
            value: row.value,
        },
        hostname: row.hostname,
        created_at: row.created_at.into(),
        expires_at: row.expires_at.into(),
        next_look_at: row.look_at.map(Timestamp::from),
        looked_at: row.looked_at.map(Timestamp::from),
        detail: row.detail,
    }))
}

impl Store {
    /// Those that are to be looked at by now, up to `limit`; whoever takes them has until `until`.
    pub async fn claim_transfers(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u16,
    ) -> Result<Vec<DueTransfer>, StoreError> {
        let rows = sqlx::query!(
            "with due as (
                 select transfer_id from hostname_transfers
                 where look_at <= $1
                 order by look_at
                 limit $3
                 for update skip locked
             )
             update hostname_transfers set look_at = $2
             from due
             where hostname_transfers.transfer_id = due.transfer_id
             returning hostname_transfers.transfer_id, hostname, value, created_at, expires_at",
            sql_instant(now),
            sql_instant(until),
            i64::from(limit)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("transfers.claim"))?;
        let due = rows.into_iter().map(|row| DueTransfer {
            id: row.transfer_id,
            record_name: record_name(&row.hostname),
            hostname: row.hostname,
            value: row.value,
            created_at: row.created_at.into(),
            expires_at: row.expires_at.into(),
        });
        Ok(due.collect())
    }
}

/// Writes what a look has said. Where the record is shown, the name moves.
pub async fn follow(
    work: &mut Work,
    due: &DueTransfer,
    looked: &Looked,
) -> Result<Option<Moved>, StoreError> {
    let at = work.at();
    let held = sqlx::query!(
        "select hostname, tenant_id from hostname_transfers
         where transfer_id = $1 and ended_at is null
         for update",
        due.id
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("transfers.hold"))?;
    let Some(held) = held else { return Ok(None) };
    let tenant = TenantId(held.tenant_id);
    let (outcome, detail, next_at, moved) = match looked {
        Looked::Shown => {
            let moved = move_name(work, &held.hostname, tenant).await?;
            let outcome = if moved.is_some() { "moved" } else { "needless" };
            (Some(outcome), None, None, moved)
        }
        Looked::Missing { detail, .. } if at >= due.expires_at => (Some("expired"), Some(detail), None, None),
        Looked::Missing { detail, next_at } => (None, Some(detail), Some(*next_at), None),
    };
    sqlx::query!(
        "update hostname_transfers
         set looked_at = $2, detail = $3, look_at = $4, outcome = $5, 
             ended_at = case when $5::text is not null then $2::timestamptz end
         where transfer_id = $1",
        due.id,
        sql_instant(at),
        detail,
        next_at.map(sql_instant),
        outcome
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("transfers.follow"))?;
    Ok(moved)
}

/// Gives a name to another tenant, with all that hangs on it. `None`: nobody has it, or that tenant does.
///
/// What the former owner has of it stays: its certificate is served until it expires. A wish for other names too goes on
/// without this one, and one for nothing else is given up. Orders for it that have not been to the CA are cancelled; one
/// that is on its way runs to its end, and is not renewed. What CAs remember of its proofs they are told to forget, as soon as
/// no order needs it.
pub async fn move_name(work: &mut Work, hostname: &str, to: TenantId) -> Result<Option<Moved>, StoreError> {
    let at = sql_instant(work.at());
    let owner =
        sqlx::query_scalar!("select tenant_id from hostnames where hostname = $1 for update", hostname)
            .fetch_optional(work.conn())
            .await
            .map_err(StoreError::of("transfers.owner"))?;
    let Some(from) = owner.filter(|owner| *owner != to.0) else { return Ok(None) };
    let wildcard = format!("*.{hostname}");
    sqlx::query!(
        "update hostnames set tenant_id = $2, created_at = $3 where hostname = $1",
        hostname,
        to.0,
        at
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("transfers.move"))?;
    sqlx::query!(
        "update hostname_checks set tenant_id = $2 where hostname in ($1, $3)",
        hostname,
        to.0,
        wildcard
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("transfers.move_checks"))?;
    sqlx::query!("delete from check_overrides where hostname in ($1, $2)", hostname, wildcard)
        .execute(work.conn())
        .await
        .map_err(StoreError::of("transfers.forget_overrides"))?;
    let rows = sqlx::query_file!("queries/transfers_release.sql", from, hostname, wildcard, at)
        .fetch_all(work.conn())
        .await
        .map_err(StoreError::of("transfers.release"))?;
    let now = work.at();
    relinquishments::wish_for_all(work.conn(), TenantId(from), hostname, now).await?;
    let certificates = |given_up: bool| {
        let those = rows.iter().filter(move |row| row.given_up == given_up);
        those.map(|row| CertificateId(row.certificate_id)).collect::<Vec<_>>()
    };
    let moved =
        Moved { from: TenantId(from), to, narrowed: certificates(false), given_up: certificates(true) };
    tell(work, hostname, &moved).await?;
    Ok(Some(moved))
}

/// Each of the two hears its own half: neither who the other is, nor what it has.
async fn tell(work: &mut Work, hostname: &str, moved: &Moved) -> Result<(), StoreError> {
    work.tell(Event {
        kind: "hostname.transferred_away",
        tenant: Some(moved.from),
        certificate: None,
        subject: hostname.to_owned(),
        data: serde_json::json!({
            "before": { "owned": true },
            "after": { "owned": false },
            "narrowed": moved.narrowed,
            "given_up": moved.given_up,
        }),
    })
    .await?;
    for certificate in moved.narrowed.iter().chain(&moved.given_up) {
        work.tell(Event {
            kind: "certificate.name_lost",
            tenant: Some(moved.from),
            certificate: Some(*certificate),
            subject: certificate.to_string(),
            data: serde_json::json!({ "hostname": hostname, "renewed": moved.narrowed.contains(certificate) }),
        })
        .await?;
    }
    work.tell(Event {
        kind: "hostname.transferred",
        tenant: Some(moved.to),
        certificate: None,
        subject: hostname.to_owned(),
        data: serde_json::json!({ "before": { "owned": false }, "after": { "owned": true } }),
    })
    .await
}
