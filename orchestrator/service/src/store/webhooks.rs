//! Webhooks: who is told of events. What is told, and how far it has come, is in [`super::webhook_deliveries`].

use std::time::Duration;

use issuance::event::TEST;
use issuance::ids::{DeliveryId, TenantId, WebhookId};
use issuance::time::Timestamp;
use issuance::webhook::{Disabled, ROTATION};
use serde::{Deserialize, Serialize};
use sqlx::types::Uuid;
use utoipa::ToSchema;

use super::mint::Mint;
use super::page::{Listing, Page};
use super::summary::count;
use super::viewer::Viewer;
use super::webhook_deliveries::{first_event_at, kinds};
use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// Of one owner.
pub const WEBHOOKS_MAX: u32 = 50;
/// How far back events can be had again: what has ended is forgotten then.
pub const RECOVERED_MAX: Duration = Duration::from_hours(30 * 24);

/// One webhook, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookView {
    pub id: WebhookId,
    /// `null`: the operator's, told of every tenant's events and of those that are nobody's.
    pub tenant_id: Option<TenantId>,
    pub external_id: Option<String>,
    pub url: String,
    pub description: String,
    /// Kinds of events, or all of a subject as in `certificate.*`. Empty: everything.
    pub kinds: Vec<String>,
    /// `active`, `failing` (its last attempt was), `paused` (by whoever owns it) or `disabled` (by the service).
    pub status: String,
    pub enabled: bool,
    pub disabled_at: Option<Timestamp>,
    /// `gone` (the receiver answered 410) or `failing` (for five days).
    pub disabled_reason: Option<String>,
    /// The same for a person.
    pub disabled_detail: Option<String>,
    pub failing_since: Option<Timestamp>,
    /// Until when the secret before the last rotation signs as well.
    pub previous_secret_until: Option<Timestamp>,
    /// Events on their way to it.
    pub pending: u64,
    /// One up at each change; what `If-Match` names.
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A webhook that is about to be.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    pub id: WebhookId,
    /// `None`: the operator's.
    pub tenant: Option<TenantId>,
    pub external_id: Option<String>,
    pub url: String,
    pub description: String,
    pub kinds: Vec<String>,
    pub enabled: bool,
    pub secret_sealed: Vec<u8>,
}

/// What is to be another way; a field that is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct WebhookChange {
    pub external_id: Option<Option<String>>,
    pub url: Option<String>,
    pub description: Option<String>,
    pub kinds: Option<Vec<String>>,
    pub enabled: Option<bool>,
}

/// Why a webhook was not written.
#[derive(Debug, thiserror::Error)]
pub enum WebhookRefusal {
    #[error("there is no such webhook")]
    Missing,
    #[error("the webhook is at version {version} by now: read it again and send its ETag")]
    Changed { version: i64 },
    #[error("another webhook has this external_id")]
    ExternalIdTaken,
    #[error("there are {WEBHOOKS_MAX} webhooks already: remove one that is not needed")]
    TooMany,
    #[error("there is no such tenant")]
    NoTenant,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// An id for a webhook that is about to be: its secret is sealed to it.
    pub fn mint_webhook(&self, now: Timestamp) -> WebhookId {
        WebhookId(Mint::at(now).uuid())
    }
}

/// All that the viewer may see; `external_id` names one.
pub async fn list(
    store: &Store,
    viewer: Viewer,
    external_id: Option<&str>,
    page: &Page,
) -> Result<Listing<WebhookView>, StoreError> {
    let mut connection = store.read_as(viewer).await?;
    let found = select(&mut connection, viewer, page.after(), page.rows_to_read(), None, external_id).await?;
    Ok(page.listing(found, |webhook| webhook.id.0))
}

/// `None` where it does not exist, or not for this viewer.
pub async fn find(store: &Store, viewer: Viewer, id: WebhookId) -> Result<Option<WebhookView>, StoreError> {
    let mut connection = store.read_as(viewer).await?;
    Ok(select(&mut connection, viewer, None, 1, Some(id), None).await?.pop())
}

async fn select(
    connection: &mut sqlx::PgConnection,
    viewer: Viewer,
    after: Option<Uuid>,
    rows: i64,
    id: Option<WebhookId>,
    external_id: Option<&str>,
) -> Result<Vec<WebhookView>, StoreError> {
    let found = sqlx::query_file!(
        "queries/webhooks_list.sql",
        viewer.tenant_id(),
        after,
        rows,
        id.map(|id| id.0),
        external_id
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::of("webhooks.select"))?;
    let view = found.into_iter().map(|row| {
        let status = match (row.disabled_at, row.enabled, row.failing_since) {
            (Some(_), ..) => "disabled",
            (None, false, _) => "paused",
            (None, true, Some(_)) => "failing",
            (None, true, None) => "active",
        };
        let reason = row.disabled_reason.as_deref().and_then(Disabled::parse);
        WebhookView {
            id: WebhookId(row.webhook_id),
            tenant_id: row.tenant_id.map(TenantId),
            external_id: row.external_id,
            url: row.url,
            description: row.description,
            kinds: row.kinds,
            status: status.to_owned(),
            enabled: row.enabled,
            disabled_at: row.disabled_at.map(Timestamp::from),
            disabled_reason: row.disabled_reason,
            disabled_detail: reason.map(|reason| reason.explained().to_owned()),
            failing_since: row.failing_since.map(Timestamp::from),
            previous_secret_until: row.previous_secret_until.map(Timestamp::from),
            pending: count(row.pending),
            version: row.version,
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
        }
    });
    Ok(view.collect())
}

/// The row, locked for as long as the work takes, if it is the viewer's and at the version named.
async fn lock(work: &mut Work, id: WebhookId, version: Option<i64>) -> Result<WebhookView, WebhookRefusal> {
    let viewer = work.viewer();
    let held = sqlx::query_scalar!(
        "select version from webhooks
         where webhook_id = $1 and ($2::uuid is null or tenant_id = $2) for update",
        id.0,
        viewer.tenant_id()
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("webhooks.lock"))?
    .ok_or(WebhookRefusal::Missing)?;
    if version.is_some_and(|version| version != held) {
        return Err(WebhookRefusal::Changed { version: held });
    }
    read(work, id).await
}

/// As it is, and stays until the work is done: for what is done with it.
pub async fn held(work: &mut Work, id: WebhookId) -> Result<WebhookView, WebhookRefusal> {
    lock(work, id, None).await
}

/// As it stands in this work.
async fn read(work: &mut Work, id: WebhookId) -> Result<WebhookView, WebhookRefusal> {
    let viewer = work.viewer();
    select(work.conn(), viewer, None, 1, Some(id), None).await?.pop().ok_or(WebhookRefusal::Missing)
}

pub async fn create(work: &mut Work, new: &NewWebhook) -> Result<WebhookView, WebhookRefusal> {
    let now = sql_instant(work.at());
    // Whoever makes two at once waits here, and counts the other's.
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('webhooks/' || coalesce($1::uuid::text, ''), 0))",
        new.tenant.map(|tenant| tenant.0)
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("webhooks.create: lock"))?;
    let there = sqlx::query_scalar!(
        r#"select count(*) as "there!" from webhooks where tenant_id is not distinct from $1"#,
        new.tenant.map(|tenant| tenant.0)
    )
    .fetch_one(work.conn())
    .await
    .map_err(StoreError::of("webhooks.create: count"))?;
    if count(there) >= WEBHOOKS_MAX.into() {
        return Err(WebhookRefusal::TooMany);
    }
    let written = sqlx::query!(
        "insert into webhooks (
             webhook_id, tenant_id, external_id, url, description, kinds, enabled, secret_sealed, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
        new.id.0,
        new.tenant.map(|tenant| tenant.0),
        new.external_id,
        new.url,
        new.description,
        &new.kinds,
        new.enabled,
        new.secret_sealed,
        now
    )
    .execute(work.conn())
    .await;
    written.map_err(|error| refusal(error, "webhooks.create"))?;
    read(work, new.id).await
}

/// Changes what is named. A webhook that is switched on again begins anew: what failed before counts no longer. Returns how it
/// was, and how it is.
pub async fn change(
    work: &mut Work,
    id: WebhookId,
    version: i64,
    change: &WebhookChange,
) -> Result<(WebhookView, WebhookView), WebhookRefusal> {
    let before = lock(work, id, Some(version)).await?;
    let now = sql_instant(work.at());
    let written = sqlx::query!(
        "update webhooks
         set external_id = case when $2 then $3 else external_id end,
             url = coalesce($4, url),
             description = coalesce($5, description),
             kinds = coalesce($6, kinds),
             enabled = coalesce($7, enabled),
             disabled_at = case when $7 then null else disabled_at end,
             disabled_reason = case when $7 then null else disabled_reason end,
             failing_since = case when $7 then null else failing_since end,
             failures = case when $7 then 0 else failures end,
             version = version + 1,
             updated_at = $8
         where webhook_id = $1",
        id.0,
        change.external_id.is_some(),
        change.external_id.clone().flatten(),
        change.url,
        change.description,
        change.kinds.as_deref(),
        change.enabled,
        now
    )
    .execute(work.conn())
    .await;
    written.map_err(|error| refusal(error, "webhooks.change"))?;
    Ok((before, read(work, id).await?))
}

/// With everything on its way to it. Returns how it was.
pub async fn delete(work: &mut Work, id: WebhookId, version: i64) -> Result<WebhookView, WebhookRefusal> {
    let before = lock(work, id, Some(version)).await?;
    sqlx::query!("delete from webhooks where webhook_id = $1", id.0)
        .execute(work.conn())
        .await
        .map_err(StoreError::of("webhooks.delete"))?;
    Ok(before)
}

/// A new secret; the one before signs as well for a day.
pub async fn rotate(work: &mut Work, id: WebhookId, sealed: &[u8]) -> Result<WebhookView, WebhookRefusal> {
    lock(work, id, None).await?;
    let now = work.at();
    sqlx::query!(
        "update webhooks
         set previous_secret_sealed = secret_sealed, previous_secret_until = $3, secret_sealed = $2,
             version = version + 1, updated_at = $4
         where webhook_id = $1",
        id.0,
        sealed,
        sql_instant(now.after(ROTATION)),
        sql_instant(now)
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("webhooks.rotate"))?;
    read(work, id).await
}

/// Puts a test event on its way, whatever the webhook wants: the one that was told last in the same work.
pub async fn test(work: &mut Work, id: WebhookId) -> Result<DeliveryId, WebhookRefusal> {
    lock(work, id, None).await?;
    let (now, delivery) = (sql_instant(work.at()), DeliveryId(work.mint().uuid()));
    sqlx::query!(
        "insert into webhook_deliveries (
             delivery_id, webhook_id, tenant_id, event_id, order_key, xid, seq, due_at, created_at)
         select $1, webhooks.webhook_id, webhooks.tenant_id, told.event_id, told.event_id::text, told.xid, told.seq, $3, $3
         from webhooks, (
             select event_id, xid, seq from events
             where subject = $4 and kind = $5 and xid = pg_current_xact_id()
             order by event_id desc limit 1
         ) as told
         where webhooks.webhook_id = $2",
        delivery.0,
        id.0,
        now,
        id.to_string(),
        TEST
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("webhooks.test"))?;
    Ok(delivery)
}

/// Sends one event again that has been told, or given up. False: there is no such delivery; what is pending is on its way
/// anyway.
pub async fn resend(work: &mut Work, id: WebhookId, delivery: DeliveryId) -> Result<bool, WebhookRefusal> {
    lock(work, id, None).await?;
    let now = sql_instant(work.at());
    sqlx::query!(
        "update webhook_deliveries
         set state = 'pending', attempts = case when state = 'pending' then attempts else 0 end, ended_at = null,
             due_at = case when lease_holder is null then $3 else due_at end
         where delivery_id = $1 and webhook_id = $2",
        delivery.0,
        id.0,
        now
    )
    .execute(work.conn())
    .await
    .map(|done| done.rows_affected() > 0)
    .map_err(|error| StoreError::of("webhooks.resend")(error).into())
}

/// Puts everything on its way again that was told since then and that it has not taken. Returns how many events.
pub async fn recover(work: &mut Work, id: WebhookId, since: Timestamp) -> Result<u64, WebhookRefusal> {
    lock(work, id, None).await?;
    let now = sql_instant(work.at());
    sqlx::query_file!("queries/webhook_deliveries_recover.sql", id.0, first_event_at(since), now, &kinds())
        .execute(work.conn())
        .await
        .map(|done| done.rows_affected())
        .map_err(|error| StoreError::of("webhooks.recover")(error).into())
}

fn refusal(error: sqlx::Error, what: &'static str) -> WebhookRefusal {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("webhooks_external_id") => WebhookRefusal::ExternalIdTaken,
        Some("webhooks_tenant_id_fkey") => WebhookRefusal::NoTenant,
        _ => WebhookRefusal::Store(StoreError::of(what)(error)),
    }
}
