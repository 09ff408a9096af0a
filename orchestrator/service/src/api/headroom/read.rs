//! `GET /v1/headroom`

use axum::Json;
use axum::extract::State;

use crate::api::ApiState;
use crate::api::auth::Operator;
use crate::api::problem::{Problem, Problems};
use crate::store::headroom::{self, Headroom};
use crate::store::scope::Scope;

/// What the CA's limits have left.
///
/// The operator's alone: the buckets' keys are names of all tenants.
#[utoipa::path(
    get,
    path = "/v1/headroom",
    tag = "limits",
    security(("bearer" = ["headroom:read"])),
    responses((status = 200, description = "Every limit, and what is left of it", body = Headroom), Problems)
)]
#[tracing::instrument(name = "api.headroom.read", skip_all)]
pub(in crate::api) async fn read(
    State(api): State<ApiState>,
    Operator(caller): Operator,
) -> Result<Json<Headroom>, Problem> {
    caller.require(Scope::HeadroomRead)?;
    let found = headroom::read(&api.store, api.clock.now(), api.account, &api.profile).await?;
    found.map(Json).ok_or_else(Problem::account_missing)
}
