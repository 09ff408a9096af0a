//! `GET /v1/summary`

use axum::Json;
use axum::extract::State;

use super::ApiState;
use super::auth::Caller;
use super::problem::Problem;
use crate::store::scope::Scope;
use crate::store::summary::{self, Summary};

#[tracing::instrument(name = "api.summary.read", skip_all)]
pub(super) async fn read(State(api): State<ApiState>, caller: Caller) -> Result<Json<Summary>, Problem> {
    caller.require(Scope::CertificatesRead)?;
    let viewer = caller.viewer;
    Ok(Json(summary::read(&api.store, viewer).await?))
}
