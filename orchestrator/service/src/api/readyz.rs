//! `GET /readyz`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::ApiState;
use super::problem::Problem;
use crate::store::StoreError;

/// A probe that waits longer than this is as good as failed.
const DATABASE_WAIT: Duration = Duration::from_secs(2);

/// The database answers, so requests can be served.
pub(super) async fn read(State(api): State<ApiState>) -> Result<Json<Value>, Problem> {
    match tokio::time::timeout(DATABASE_WAIT, api.store.ping()).await {
        Ok(answer) => answer?,
        Err(_) => return Err(StoreError::timed_out("store.ping").into()),
    }
    Ok(Json(json!({ "status": "ready" })))
}
