//! `GET /v1/api-keys/{key}`

use axum::Json;
use axum::extract::State;
use axum::http::header::ETAG;
use axum::response::{IntoResponse as _, Response};
use issuance::ids::ApiKeyId;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::etag;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::store::keyring::{self, ApiKeyView};
use crate::store::scope::Scope;

/// One key. Never its text.
#[utoipa::path(
    get, path = "/v1/api-keys/{key}", tag = "api-keys",
    params(("key" = ApiKeyId, Path, description = "The key's id, `key_…`")),
    security(("bearer" = ["keys:manage"])),
    responses((status = 200, description = "As it is now", body = ApiKeyView), Problems)
)]
#[tracing::instrument(name = "api.api_keys.read", skip_all, fields(key.id = %id))]
pub(super) async fn read(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<ApiKeyId>,
) -> Result<Response, Problem> {
    caller.require(Scope::KeysManage)?;
    let found = keyring::find(&api.store, caller.viewer, api.clock.now(), id).await?;
    let view = found.ok_or_else(|| Problem::not_found("key"))?;
    Ok(([(ETAG, etag::of(view.version))], Json(view)).into_response())
}
