//! `GET /v1/hostnames/{hostname}`

use axum::Json;
use axum::extract::State;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::Problem;
use crate::api::query::PathHostname;
use crate::store::explanations::HostnameView;

#[tracing::instrument(name = "api.hostnames.read", skip_all)]
pub(in crate::api) async fn read(
    State(api): State<ApiState>,
    Caller(viewer): Caller,
    PathHostname(hostname): PathHostname,
) -> Result<Json<HostnameView>, Problem> {
    super::explained(&api, viewer, &hostname).await.map(Json)
}
