//! What else is done with webhooks: rotate the secret, try it, send again.

use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use issuance::event::TEST;
use issuance::ids::{DeliveryId, WebhookId};
use issuance::time::Timestamp;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::changes::{CreatedWebhook, sealed};
use super::{problem, told};
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::etag;
use crate::api::problem::{Problem, ProblemEntry, Problems};
use crate::api::query::PathId;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::scope::Scope;
use crate::store::webhooks::{self, RECOVERED_MAX};

/// An event that is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SentAgain {
    pub delivery_id: DeliveryId,
}

/// From when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedRecovery {
    /// Up to 30 days ago.
    pub since: Timestamp,
}

/// What is on its way again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecoverReport {
    pub events: u64,
}

/// A webhook and one of its deliveries in the path.
#[derive(Debug)]
pub(in crate::api) struct PathDelivery(WebhookId, DeliveryId);

impl<S: Send + Sync> FromRequestParts<S> for PathDelivery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(Path((webhook, delivery))) = Path::<(String, String)>::from_request_parts(parts, state).await
        else {
            return Err(Problem::no_route());
        };
        match (webhook.parse(), delivery.parse()) {
            (Ok(webhook), Ok(delivery)) => Ok(Self(webhook, delivery)),
            _ => Err(Problem::not_found("delivery")),
        }
    }
}

/// Makes a new secret, shown this once. For a day both sign, so that a receiver may change over in between.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{webhook}/rotate-secret",
    tag = "webhooks",
    security(("bearer" = ["webhooks:manage"])),
    params(("webhook" = WebhookId, Path, description = "The webhook's id, `whk_…`")),
    responses((status = 200, description = "As it is now", body = CreatedWebhook), Problems)
)]
#[tracing::instrument(name = "api.webhooks.rotate", skip_all, fields(webhook.id = %id))]
pub(in crate::api) async fn rotate(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<WebhookId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::WebhooksManage)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let (secret, secret_sealed) = sealed(&api, id)?;
    let webhook = webhooks::rotate(&mut write.work, id, &secret_sealed).await.map_err(problem)?;
    let data = json!({ "after": { "previous_secret_until": webhook.previous_secret_until } });
    write.work.tell(told("webhook.secret_rotated", &webhook, data)).await?;
    let tag = etag::of(webhook.version);
    let secret = secret.reveal().expose_secret().to_owned();
    write.finish(Answer::ok(&CreatedWebhook { webhook, secret }).with_etag(tag)).await
}

/// Sends a `webhook.test`, whatever the webhook wants.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{webhook}/test",
    tag = "webhooks",
    security(("bearer" = ["webhooks:manage"])),
    params(("webhook" = WebhookId, Path, description = "The webhook's id, `whk_…`")),
    responses((status = 202, description = "It is on its way: its attempts tell how it went", body = SentAgain), Problems)
)]
#[tracing::instrument(name = "api.webhooks.test", skip_all, fields(webhook.id = %id))]
pub(in crate::api) async fn test(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<WebhookId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::WebhooksManage)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let webhook = webhooks::held(&mut write.work, id).await.map_err(problem)?;
    if webhook.status == "disabled" || webhook.status == "paused" {
        let detail = format!("the webhook is {}: enable it first", webhook.status);
        return Err(Problem::conflict("It is switched off", detail));
    }
    write.work.tell(told(TEST, &webhook, json!({ "after": { "url": webhook.url } }))).await?;
    let delivery_id = webhooks::test(&mut write.work, id).await.map_err(problem)?;
    write.finish(Answer::of(StatusCode::ACCEPTED, &SentAgain { delivery_id })).await
}

/// Sends one event again, delivered or given up.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{webhook}/deliveries/{delivery}/resend",
    tag = "webhooks",
    security(("bearer" = ["webhooks:manage"])),
    params(
        ("webhook" = WebhookId, Path, description = "The webhook's id, `whk_…`"),
        ("delivery" = DeliveryId, Path, description = "The delivery's id, `dlv_…`")
    ),
    responses((status = 202, description = "On its way", body = SentAgain), Problems)
)]
#[tracing::instrument(name = "api.webhooks.resend", skip_all, fields(webhook.id = %id, delivery.id = %delivery_id))]
pub(in crate::api) async fn resend(
    State(api): State<ApiState>,
    caller: Caller,
    PathDelivery(id, delivery_id): PathDelivery,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::WebhooksManage)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let webhook = webhooks::held(&mut write.work, id).await.map_err(problem)?;
    if !webhooks::resend(&mut write.work, id, delivery_id).await.map_err(problem)? {
        return Err(Problem::not_found("delivery"));
    }
    write
        .work
        .tell(told("webhook.resent", &webhook, json!({ "after": { "delivery_id": delivery_id } })))
        .await?;
    write.finish(Answer::of(StatusCode::ACCEPTED, &SentAgain { delivery_id })).await
}

/// Sends everything again that was told since then and that the webhook has not taken: what was given up, and what came about
/// while it was switched off.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{webhook}/recover",
    tag = "webhooks",
    security(("bearer" = ["webhooks:manage"])),
    params(("webhook" = WebhookId, Path, description = "The webhook's id, `whk_…`")),
    request_body = WantedRecovery,
    responses((status = 202, description = "On its way", body = RecoverReport), Problems)
)]
#[tracing::instrument(name = "api.webhooks.recover", skip_all, fields(webhook.id = %id))]
pub(in crate::api) async fn recover(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<WebhookId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::WebhooksManage)?;
    let WantedRecovery { since } = request.json()?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let webhook = webhooks::held(&mut write.work, id).await.map_err(problem)?;
    let now = write.work.at();
    if since > now || since < now.before(RECOVERED_MAX) {
        let detail = "events can be had again from the last 30 days";
        return Err(Problem::body_invalid(vec![ProblemEntry::at("#/since", "out-of-range", detail)]));
    }
    let events = webhooks::recover(&mut write.work, id, since).await.map_err(problem)?;
    let data = json!({ "after": { "since": since, "events": events } });
    write.work.tell(told("webhook.recovered", &webhook, data)).await?;
    write.finish(Answer::of(StatusCode::ACCEPTED, &RecoverReport { events })).await
}
