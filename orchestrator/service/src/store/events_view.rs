//! Events as they are read: the audit and what has come about, listed or followed.
//!
//! Whoever follows goes by a [`Place`]: below the oldest transaction that is still open everything is told, so what is
//! committed late is never passed over.

use issuance::ids::{ApiKeyId, CertificateId, EventId, OrderId, TenantId};
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::types::Uuid;
use utoipa::ToSchema;

use super::mint::Mint;
use super::page::{Listing, Page};
use super::viewer::Viewer;
use super::{Store, StoreError};

/// One thing that has happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    pub id: EventId,
    /// What of what, as in `certificate.issued`. More kinds come with later releases.
    pub kind: String,
    pub at: Timestamp,
    /// `null`: it concerns no tenant.
    pub tenant_id: Option<TenantId>,
    pub certificate_id: Option<CertificateId>,
    pub order_id: Option<OrderId>,
    /// The object it is about: an id, a hostname, a limit.
    pub subject: String,
    pub actor: ActorView,
    /// Leads to the log.
    pub request_id: Option<String>,
    /// What there is to say; of a change, what was before and after.
    pub data: Value,
}

/// Who has done it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActorView {
    /// `key`, `user`, `service`; to a tenant also `operator`, of whom it is told no more.
    pub kind: String,
    pub name: String,
    pub key_id: Option<ApiKeyId>,
    /// From where the request came.
    pub address: Option<String>,
}

/// Which events; what is `None` or empty does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Kinds, or all of a subject as in `certificate.*`.
    pub kinds: Vec<String>,
    pub subject: Option<String>,
    /// A tenant's slug.
    pub tenant: Option<String>,
    pub certificate: Option<CertificateId>,
    pub since: Option<Timestamp>,
}

/// How far somebody has come who follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    xid: String,
    seq: i64,
    /// In a cluster that was restored from elsewhere, up to where events count as told.
    above: i64,
}

/// What has come since.
#[derive(Debug, Clone, PartialEq)]
pub struct Followed {
    pub events: Vec<EventView>,
    pub place: Place,
    /// There is more, at once.
    pub more: bool,
}

struct Row {
    event_id: Uuid,
    kind: String,
    at: Timestamp,
    tenant_id: Option<Uuid>,
    certificate_id: Option<Uuid>,
    order_id: Option<Uuid>,
    subject: String,
    actor_kind: String,
    actor_id: Option<Uuid>,
    actor_name: String,
    actor_tenant_id: Option<Uuid>,
    address: Option<String>,
    request_id: Option<String>,
    data: Value,
}

macro_rules! row {
    ($row:ident) => {
        Row {
            event_id: $row.event_id,
            kind: $row.kind,
            at: $row.happened_at.into(),
            tenant_id: $row.tenant_id,
            certificate_id: $row.certificate_id,
            order_id: $row.order_id,
            subject: $row.subject,
            actor_kind: $row.actor_kind,
            actor_id: $row.actor_id,
            actor_name: $row.actor_name,
            actor_tenant_id: $row.actor_tenant_id,
            address: $row.address,
            request_id: $row.request_id,
            data: $row.data,
        }
    };
}

impl Row {
    /// A tenant is told of its own people by name; of the provider's, that it was they.
    fn seen_by(self, viewer: Viewer) -> EventView {
        let own = match viewer {
            Viewer::Operator => true,
            Viewer::Tenant(tenant) => self.actor_kind == "service" || self.actor_tenant_id == Some(tenant.0),
        };
        let actor = if own {
            ActorView {
                key_id: self.actor_id.filter(|_| self.actor_kind == "key").map(ApiKeyId),
                kind: self.actor_kind,
                name: self.actor_name,
                address: self.address,
            }
        } else {
            ActorView {
                kind: "operator".to_owned(),
                name: "operator".to_owned(),
                key_id: None,
                address: None,
            }
        };
        EventView {
            id: EventId(self.event_id),
            kind: self.kind,
            at: self.at,
            tenant_id: self.tenant_id.map(TenantId),
            certificate_id: self.certificate_id.map(CertificateId),
            order_id: self.order_id.map(OrderId),
            subject: self.subject,
            actor,
            request_id: self.request_id.filter(|_| own),
            data: self.data,
        }
    }
}

/// The latest first.
pub async fn list(
    store: &Store,
    viewer: Viewer,
    filter: &EventFilter,
    page: &Page,
) -> Result<Listing<EventView>, StoreError> {
    let mut own = store.list_as(viewer).await?;
    let of_all = viewer.tenant_id().is_none() && filter.tenant.is_none();
    if of_all && !filter.kinds.is_empty() && filter.subject.is_none() && filter.certificate.is_none() {
        let rows = sqlx::query_file!(
            "queries/events_of_kinds.sql",
            page.after(),
            page.rows_to_read(),
            &filter.kinds,
            filter.since.map(Mint::floor)
        )
        .fetch_all(&mut *own)
        .await
        .map_err(StoreError::of("events_view.of_kinds"))?;
        let views = rows.into_iter().map(|row| row!(row).seen_by(viewer)).collect();
        return Ok(page.listing(views, |event: &EventView| event.id.0));
    }
    let rows = sqlx::query_file!(
        "queries/events_list.sql",
        viewer.tenant_id(),
        page.after(),
        page.rows_to_read(),
        &filter.kinds,
        filter.subject,
        filter.tenant,
        filter.certificate.map(|certificate| certificate.0),
        filter.since.map(Mint::floor)
    )
    .fetch_all(&mut *own)
    .await
    .map_err(StoreError::of("events_view.list"))?;
    let views = rows.into_iter().map(|row| row!(row).seen_by(viewer)).collect();
    Ok(page.listing(views, |event: &EventView| event.id.0))
}

/// `None` where it does not exist, or not for this viewer.
pub async fn find(store: &Store, viewer: Viewer, id: EventId) -> Result<Option<EventView>, StoreError> {
    let mut own = store.read_as(viewer).await?;
    let row = sqlx::query!(
        r#"select event_id, kind, happened_at, events.tenant_id, certificate_id, order_id, subject, actor_kind, actor_id,
               actor_name, host(address) as address, request_id, data, api_keys.tenant_id as "actor_tenant_id?"
           from events
           left join api_keys on actor_kind = 'key' and api_keys.key_id = actor_id
           where event_id = $2 and ($1::uuid is null or events.tenant_id = $1)"#,
        viewer.tenant_id(),
        id.0
    )
    .fetch_optional(&mut *own)
    .await
    .map_err(StoreError::of("events_view.find"))?;
    Ok(row.map(|row| row!(row).seen_by(viewer)))
}

/// The end of what is told now.
pub async fn end(store: &Store) -> Result<Place, StoreError> {
    let row = sqlx::query!(
        r#"select xid::text as "xid!", seq from events
           where xid < pg_snapshot_xmin(pg_current_snapshot())
           order by xid desc, seq desc limit 1"#
    )
    .fetch_optional(store.pool())
    .await
    .map_err(StoreError::of("events_view.end"))?;
    let (xid, seq) = row.map_or(("0".to_owned(), 0), |row| (row.xid, row.seq));
    Ok(Place { xid, seq, above: 0 })
}

/// Just behind an event that the viewer may see.
pub async fn after(store: &Store, viewer: Viewer, event: EventId) -> Result<Option<Place>, StoreError> {
    let mut own = store.read_as(viewer).await?;
    let row = sqlx::query!(
        r#"select xid::text as "xid!", seq, xid >= pg_snapshot_xmax(pg_current_snapshot()) as "elsewhere!"
           from events
           where event_id = $2 and ($1::uuid is null or tenant_id = $1)"#,
        viewer.tenant_id(),
        event.0
    )
    .fetch_optional(&mut *own)
    .await
    .map_err(StoreError::of("events_view.after"))?;
    Ok(row.map(|row| {
        if row.elsewhere {
            Place { xid: "0".to_owned(), seq: 0, above: row.seq }
        } else {
            Place { xid: row.xid, seq: row.seq, above: 0 }
        }
    }))
}

/// Before everything that was told at that instant or later.
pub async fn since(store: &Store, since: Timestamp) -> Result<Place, StoreError> {
    let first = sqlx::query_scalar!(
        r#"select min(xid::text::numeric)::text from events
           where event_id >= $1 and xid < pg_snapshot_xmin(pg_current_snapshot())"#,
        Mint::floor(since)
    )
    .fetch_one(store.pool())
    .await
    .map_err(StoreError::of("events_view.since"))?;
    match first {
        Some(xid) => Ok(Place { xid, seq: 0, above: 0 }),
        None => end(store).await,
    }
}

/// What has come since `place`, in its order, up to `limit`.
pub async fn follow(
    store: &Store,
    viewer: Viewer,
    filter: &EventFilter,
    place: &Place,
    limit: u16,
) -> Result<Followed, StoreError> {
    // Read before the rows: what lies below it cannot become more.
    let until = end(store).await?;
    if until.xid == place.xid && until.seq == place.seq {
        return Ok(Followed { events: Vec::new(), place: place.clone(), more: false });
    }
    let mut own = store.list_as(viewer).await?;
    let rows = sqlx::query_file!(
        "queries/events_follow.sql",
        viewer.tenant_id(),
        place.xid,
        place.seq,
        until.xid,
        until.seq,
        i64::from(limit),
        &filter.kinds,
        filter.subject,
        filter.tenant,
        filter.certificate.map(|certificate| certificate.0),
        place.above
    )
    .fetch_all(&mut *own)
    .await
    .map_err(StoreError::of("events_view.follow"))?;
    let more = rows.len() == usize::from(limit);
    let place = match rows.last().filter(|_| more) {
        Some(last) => Place { xid: last.xid.clone(), seq: last.seq, above: place.above },
        None => Place { above: place.above, ..until },
    };
    let events = rows.into_iter().map(|row| row!(row).seen_by(viewer));
    let events = events.filter(|event| filter.since.is_none_or(|since| event.at >= since)).collect();
    Ok(Followed { events, place, more })
}
