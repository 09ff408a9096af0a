//! `GET /livez`

use axum::Json;
use serde_json::{Value, json};

/// The process answers. Says nothing about the database, so that nobody restarts us for its sake.
pub(super) async fn read() -> Json<Value> {
    Json(json!({ "status": "live" }))
}
