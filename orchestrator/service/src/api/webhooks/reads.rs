//! Shows webhooks, and what was sent to them.

use axum::Json;
use axum::extract::State;
use axum::http::header::ETAG;
use axum::response::{IntoResponse as _, Response};
use issuance::ids::WebhookId;
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::etag;
use crate::api::problem::{Problem, Problems};
use crate::api::query::{self, Parameters, PathId};
use crate::store::page::Listing;
use crate::store::scope::Scope;
use crate::store::webhook_attempts::{self, AttemptView, DeliveryView};
use crate::store::webhooks::{self, WebhookView};

/// States of deliveries.
const STATES: [&str; 3] = ["pending", "delivered", "given_up"];

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ListParameters {
    /// Rows on a page.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before; absent: the first page.
    cursor: Option<String>,
    external_id: Option<String>,
}

/// Webhooks.
#[utoipa::path(
    get,
    path = "/v1/webhooks",
    tag = "webhooks",
    security(("bearer" = ["webhooks:manage"])),
    params(ListParameters),
    responses((status = 200, description = "A page", body = Listing<WebhookView>), Problems)
)]
#[tracing::instrument(name = "api.webhooks.list", skip_all)]
pub(in crate::api) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<Json<Listing<WebhookView>>, Problem> {
    caller.require(Scope::WebhooksManage)?;
    let page = query::page(asked.limit, asked.cursor.as_deref(), &asked.external_id)?;
    Ok(Json(webhooks::list(&api.store, caller.viewer, asked.external_id.as_deref(), &page).await?))
}

/// One webhook.
#[utoipa::path(
    get,
    path = "/v1/webhooks/{webhook}",
    tag = "webhooks",
    security(("bearer" = ["webhooks:manage"])),
    params(("webhook" = WebhookId, Path, description = "The webhook's id, `whk_…`")),
    responses((status = 200, description = "As it is now", body = WebhookView, headers(("ETag" = String))), Problems)
)]
#[tracing::instrument(name = "api.webhooks.read", skip_all, fields(webhook.id = %id))]
pub(in crate::api) async fn read(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<WebhookId>,
) -> Result<Response, Problem> {
    caller.require(Scope::WebhooksManage)?;
    let found = webhooks::find(&api.store, caller.viewer, id).await?;
    let found = found.ok_or_else(|| Problem::not_found("webhook"))?;
    Ok(([(ETAG, etag::of(found.version))], Json(found)).into_response())
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct AttemptParameters {
    /// Rows on a page.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before; absent: the first page.
    cursor: Option<String>,
}

/// Every try of the last 30 days, the latest first.
#[utoipa::path(
    get,
    path = "/v1/webhooks/{webhook}/attempts",
    tag = "webhooks",
    security(("bearer" = ["webhooks:manage"])),
    params(("webhook" = WebhookId, Path, description = "The webhook's id, `whk_…`"), AttemptParameters),
    responses((status = 200, description = "A page", body = Listing<AttemptView>), Problems)
)]
#[tracing::instrument(name = "api.webhooks.attempts", skip_all, fields(webhook.id = %id))]
pub(in crate::api) async fn attempts(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<WebhookId>,
    Parameters(asked): Parameters<AttemptParameters>,
) -> Result<Json<Listing<AttemptView>>, Problem> {
    caller.require(Scope::WebhooksManage)?;
    let page = query::page(asked.limit, asked.cursor.as_deref(), &("attempts", id))?;
    let found = webhooks::find(&api.store, caller.viewer, id).await?;
    found.ok_or_else(|| Problem::not_found("webhook"))?;
    Ok(Json(webhook_attempts::attempts(&api.store, caller.viewer, id, &page).await?))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct DeliveryParameters {
    /// Rows on a page.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before; absent: the first page.
    cursor: Option<String>,
    /// `pending`, `delivered` or `given_up`.
    state: Option<String>,
}

/// Events on their way to it, and those of the last 30 days.
#[utoipa::path(
    get,
    path = "/v1/webhooks/{webhook}/deliveries",
    tag = "webhooks",
    security(("bearer" = ["webhooks:manage"])),
    params(("webhook" = WebhookId, Path, description = "The webhook's id, `whk_…`"), DeliveryParameters),
    responses((status = 200, description = "A page", body = Listing<DeliveryView>), Problems)
)]
#[tracing::instrument(name = "api.webhooks.deliveries", skip_all, fields(webhook.id = %id))]
pub(in crate::api) async fn deliveries(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<WebhookId>,
    Parameters(asked): Parameters<DeliveryParameters>,
) -> Result<Json<Listing<DeliveryView>>, Problem> {
    caller.require(Scope::WebhooksManage)?;
    let state = query::one_of("state", asked.state.as_deref(), &STATES)?;
    let page = query::page(asked.limit, asked.cursor.as_deref(), &("deliveries", id, state))?;
    let found = webhooks::find(&api.store, caller.viewer, id).await?;
    found.ok_or_else(|| Problem::not_found("webhook"))?;
    Ok(Json(webhook_attempts::deliveries(&api.store, caller.viewer, id, state, &page).await?))
}
