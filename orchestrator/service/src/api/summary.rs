//! `GET /v1/summary`

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Caller;
use super::problem::{Problem, Problems};
use crate::store::scope::Scope;
use crate::store::summary::{self, Summary};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read))
}

/// How many there are, and where they stand.
#[utoipa::path(
    get,
    path = "/v1/summary",
    tag = "certificates",
    security(("bearer" = ["certificates:read"])),
    responses((status = 200, description = "Counted at once", body = Summary), Problems)
)]
#[tracing::instrument(name = "api.summary.read", skip_all)]
pub(super) async fn read(State(api): State<ApiState>, caller: Caller) -> Result<Json<Summary>, Problem> {
    caller.require(Scope::CertificatesRead)?;
    let viewer = caller.viewer;
    Ok(Json(summary::read(&api.store, viewer).await?))
}
