//! `GET /v1/summary`

use axum::Json;
use axum::extract::State;

use super::ApiState;
use super::auth::Caller;
use super::problem::Problem;
use crate::store::summary::{self, Summary};

#[tracing::instrument(name = "api.summary.read", skip_all)]
pub(super) async fn read(
    State(api): State<ApiState>,
    Caller(viewer): Caller,
) -> Result<Json<Summary>, Problem> {
    Ok(Json(summary::read(&api.store, viewer).await?))
}
