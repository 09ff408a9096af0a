//! `GET /livez`

use axum::Json;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read))
}

/// The process answers.
///
/// Says nothing about the database, so that nobody restarts us for its sake.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "service",
    security(()),
    responses((status = 200, description = "It does", body = Value))
)]
pub(super) async fn read() -> Json<Value> {
    Json(json!({ "status": "live" }))
}
