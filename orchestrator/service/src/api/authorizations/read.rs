//! `GET /v1/authorizations/{authorization}`

use axum::Json;
use axum::extract::State;
use issuance::ids::AuthorizationId;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::store::authorizations_view::{self, AuthorizationView};
use crate::store::scope::Scope;

/// One authorization.
#[utoipa::path(
    get,
    path = "/v1/authorizations/{authorization}",
    tag = "authorizations",
    params(("authorization" = AuthorizationId, Path, description = "The authorization's id")),
    security(("bearer" = ["authorizations:read"])),
    responses((status = 200, description = "Why it is open, where it is, and what comes next", body = AuthorizationView), Problems)
)]
#[tracing::instrument(name = "api.authorizations.read", skip_all, fields(authorization.id = %id))]
pub(in crate::api) async fn read(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<AuthorizationId>,
) -> Result<Json<AuthorizationView>, Problem> {
    caller.require(Scope::AuthorizationsRead)?;
    let viewer = caller.viewer;
    let found = authorizations_view::find(&api.store, viewer, id).await?;
    found.map(|one| Json(one.foretold(&api.profile))).ok_or_else(|| Problem::not_found("authorization"))
}
