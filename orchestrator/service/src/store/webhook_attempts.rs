//! What was sent to webhooks, and how each attempt went.

use issuance::ids::{DeliveryId, EventId, WebhookId};
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::{Listing, Page};
use super::viewer::Viewer;
use super::{Store, StoreError};

/// One event on its way to one webhook, or told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryView {
    pub id: DeliveryId,
    pub event_id: EventId,
    pub kind: String,
    pub subject: String,
    /// `pending`, `delivered` or `given_up`.
    pub state: String,
    pub attempts: u32,
    /// `null`: it is not tried again by itself.
    pub next_attempt_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttemptView {
    pub delivery_id: DeliveryId,
    pub event_id: EventId,
    pub kind: String,
    /// Counted from 1 for each delivery.
    pub number: u32,
    /// `delivered`, `gone`, `refused`, `timeout`, `unreachable`, `tls` or `forbidden`.
    pub outcome: String,
    /// What the receiver answered, if it did.
    pub http_status: Option<u16>,
    pub detail: Option<String>,
    pub took_ms: u32,
    pub at: Timestamp,
}

/// Deliveries of one webhook, in one state or in any, oldest first.
pub async fn deliveries(
    store: &Store,
    viewer: Viewer,
    webhook: WebhookId,
    state: Option<&str>,
    page: &Page,
) -> Result<Listing<DeliveryView>, StoreError> {
    let mut own = store.read_as(viewer).await?;
    let rows = sqlx::query!(
        "select delivery_id, webhook_deliveries.event_id, kind, subject, state, attempts, due_at, webhook_deliveries.created_at,
             ended_at
         from webhook_deliveries
         join webhooks using (webhook_id)
         join events on events.event_id = webhook_deliveries.event_id
         where webhook_id = $1 and ($2::uuid is null or webhooks.tenant_id = $2)
             and ($3::text is null or state = $3) and ($4::uuid is null or delivery_id > $4)
         order by delivery_id
         limit $5",
        webhook.0,
        viewer.tenant_id(),
        state,
        page.after(),
        page.rows_to_read()
    )
    .fetch_all(&mut *own)
    .await
    .map_err(StoreError::of("webhook_attempts.deliveries"))?;
    let view = rows.into_iter().map(|row| DeliveryView {
        id: DeliveryId(row.delivery_id),
        event_id: EventId(row.event_id),
        kind: row.kind,
        subject: row.subject,
        state: row.state,
        attempts: u32::try_from(row.attempts).unwrap_or(0),
        next_attempt_at: row.due_at.map(Timestamp::from),
        created_at: row.created_at.into(),
        ended_at: row.ended_at.map(Timestamp::from),
    });
    Ok(page.listing(view.collect(), |delivery| delivery.id.0))
}

/// Attempts at one webhook, the latest first.
pub async fn attempts(
    store: &Store,
    viewer: Viewer,
    webhook: WebhookId,
    page: &Page,
) -> Result<Listing<AttemptView>, StoreError> {
    let mut own = store.read_as(viewer).await?;
    let rows = sqlx::query!(
        "select attempt_id, webhook_attempts.delivery_id, webhook_deliveries.event_id, kind, number, outcome, http_status,
             detail, took_ms, webhook_attempts.at
         from webhook_attempts
         join webhook_deliveries using (delivery_id)
         join events on events.event_id = webhook_deliveries.event_id
         where webhook_attempts.webhook_id = $1 and ($2::uuid is null or webhook_attempts.tenant_id = $2)
             and ($3::uuid is null or attempt_id < $3)
         order by attempt_id desc
         limit $4",
        webhook.0,
        viewer.tenant_id(),
        page.after(),
        page.rows_to_read()
    )
    .fetch_all(&mut *own)
    .await
    .map_err(StoreError::of("webhook_attempts.attempts"))?;
    let view = rows.into_iter().map(|row| {
        let attempt = AttemptView {
            delivery_id: DeliveryId(row.delivery_id),
            event_id: EventId(row.event_id),
            kind: row.kind,
            number: u32::try_from(row.number).unwrap_or(0),
            outcome: row.outcome,
            http_status: row.http_status.and_then(|status| u16::try_from(status).ok()),
            detail: row.detail,
            took_ms: u32::try_from(row.took_ms).unwrap_or(0),
            at: row.at.into(),
        };
        (row.attempt_id, attempt)
    });
    let listing = page.listing(view.collect(), |(id, _)| *id);
    let Listing { data, next_cursor, has_more } = listing;
    Ok(Listing { data: data.into_iter().map(|(_, attempt)| attempt).collect(), next_cursor, has_more })
}
