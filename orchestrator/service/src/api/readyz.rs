//! `GET /readyz`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::problem::{Problem, Problems};
use crate::store::StoreError;

/// A probe that waits longer than this is as good as failed.
const DATABASE_WAIT: Duration = Duration::from_secs(2);

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read))
}

/// The database answers, so requests can be served.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "service",
    security(()),
    responses((status = 200, description = "It does", body = Value), Problems)
)]
pub(super) async fn read(State(api): State<ApiState>) -> Result<Json<Value>, Problem> {
    match tokio::time::timeout(DATABASE_WAIT, api.store.ping()).await {
        Ok(answer) => answer?,
        Err(_) => return Err(StoreError::timed_out("store.ping").into()),
    }
    Ok(Json(json!({ "status": "ready" })))
}
