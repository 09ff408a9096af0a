//! Makes, changes and removes webhooks.

use axum::extract::State;
use axum::response::Response;
use issuance::ids::WebhookId;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::wanted::{WantedChange, WantedWebhook};
use super::{location, problem, told};
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::etag;
use crate::api::problem::{Problem, ProblemEntry, Problems};
use crate::api::query::PathId;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::scope::Scope;
use crate::store::viewer::Viewer;
use crate::store::webhooks::{self, NewWebhook, WebhookChange, WebhookView};
use crate::webhooks::Secret;

/// A webhook with its secret, which is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedWebhook {
    #[serde(flatten)]
    pub webhook: WebhookView,
    /// What you check signatures with: keep it, it is not shown again.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    pub secret: String,
}

/// Has events sent somewhere. The answer holds the secret, which is shown this once.
#[utoipa::path(
    post,
    path = "/v1/webhooks",
    tag = "webhooks",
    security(("bearer" = ["webhooks:manage"])),
    request_body = WantedWebhook,
    responses((status = 201, description = "It is told of what happens from now on", body = CreatedWebhook), Problems)
)]
#[tracing::instrument(name = "api.webhooks.create", skip_all)]
pub(in crate::api) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::WebhooksManage)?;
    let wanted: WantedWebhook = request.json()?;
    let mut errors = wanted.errors(&api.receivers);
    let tenant = match (caller.viewer, wanted.tenant_id) {
        (Viewer::Operator, wanted) => wanted,
        (Viewer::Tenant(own), Some(wanted)) if wanted != own => {
            errors.push(ProblemEntry::at("#/tenant_id", "unknown", "there is no such tenant: leave it out"));
            None
        }
        (Viewer::Tenant(own), _) => Some(own),
    };
    if !errors.is_empty() {
        return Err(Problem::body_invalid(errors));
    }
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let id = api.store.mint_webhook(write.work.at());
    let (secret, secret_sealed) = sealed(&api, id)?;
    let new = NewWebhook {
        id,
        tenant,
        external_id: wanted.external_id,
        url: wanted.url,
        description: wanted.description,
        kinds: wanted.kinds,
        enabled: wanted.enabled,
        secret_sealed,
    };
    let webhook = webhooks::create(&mut write.work, &new).await.map_err(problem)?;
    let data = json!({ "before": null, "after": webhook });
    write.work.tell(told("webhook.created", &webhook, data)).await?;
    let tag = etag::of(webhook.version);
    let secret = secret.reveal().expose_secret().to_owned();
    let answer = Answer::created(&CreatedWebhook { webhook, secret }, location(id)).with_etag(tag);
    write.finish(answer).await
}

/// A new secret, and as it lies in the row.
pub(super) fn sealed(api: &ApiState, id: WebhookId) -> Result<(Secret, Vec<u8>), Problem> {
    let secret = Secret::draw().map_err(|error| Problem::internal(&error))?;
    let sealed = crate::webhooks::Vault::new(std::sync::Arc::clone(&api.sealer))
        .seal(id, &secret)
        .map_err(|error| Problem::internal(&error))?;
    Ok((secret, sealed))
}

/// Changes what is named; needs `If-Match`.
#[utoipa::path(
    patch,
    path = "/v1/webhooks/{webhook}",
    tag = "webhooks",
    security(("bearer" = ["webhooks:manage"])),
    params(
        ("webhook" = WebhookId, Path, description = "The webhook's id, `whk_…`"),
        ("If-Match" = String, Header, description = "The ETag of what is changed")
    ),
    request_body = WantedChange,
    responses((status = 200, description = "As it is now", body = WebhookView), Problems)
)]
#[tracing::instrument(name = "api.webhooks.change", skip_all, fields(webhook.id = %id))]
pub(in crate::api) async fn change(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<WebhookId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::WebhooksManage)?;
    let wanted: WantedChange = request.json()?;
    let errors = wanted.errors(&api.receivers);
    if !errors.is_empty() {
        return Err(Problem::body_invalid(errors));
    }
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let change = WebhookChange {
        external_id: wanted.external_id,
        url: wanted.url,
        description: wanted.description,
        kinds: wanted.kinds,
        enabled: wanted.enabled,
    };
    let version = webhooks::held(&mut write.work, id).await.map_err(problem)?.version;
    etag::require_named(&request.headers, version)?;
    let (before, after) = webhooks::change(&mut write.work, id, version, &change).await.map_err(problem)?;
    let data = json!({ "before": before, "after": after });
    write.work.tell(told("webhook.changed", &after, data)).await?;
    write.finish(Answer::ok(&after).with_etag(etag::of(after.version))).await
}

/// Removes it with everything on its way to it; needs `If-Match`.
#[utoipa::path(
    delete,
    path = "/v1/webhooks/{webhook}",
    tag = "webhooks",
    security(("bearer" = ["webhooks:manage"])),
    params(
        ("webhook" = WebhookId, Path, description = "The webhook's id, `whk_…`"),
        ("If-Match" = String, Header, description = "The ETag of what is removed")
    ),
    responses((status = 204, description = "It is told of nothing more"), Problems)
)]
#[tracing::instrument(name = "api.webhooks.delete", skip_all, fields(webhook.id = %id))]
pub(in crate::api) async fn delete(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<WebhookId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::WebhooksManage)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let version = webhooks::held(&mut write.work, id).await.map_err(problem)?.version;
    etag::require_named(&request.headers, version)?;
    let before = webhooks::delete(&mut write.work, id, version).await.map_err(problem)?;
    let data = json!({ "before": before, "after": null });
    write.work.tell(told("webhook.deleted", &before, data)).await?;
    write.finish(Answer::no_content()).await
}
