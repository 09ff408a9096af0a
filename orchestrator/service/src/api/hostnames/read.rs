//! `GET /v1/hostnames/{hostname}`

use axum::Json;
use axum::extract::State;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::Problem;
use crate::api::query::PathHostname;
use crate::store::explanations::HostnameView;
use crate::store::scope::Scope;

#[tracing::instrument(name = "api.hostnames.read", skip_all)]
pub(in crate::api) async fn read(
    State(api): State<ApiState>,
    caller: Caller,
    PathHostname(hostname): PathHostname,
) -> Result<Json<HostnameView>, Problem> {
    caller.require(Scope::HostnamesRead)?;
    let viewer = caller.viewer;
    super::explained(&api, viewer, &hostname).await.map(Json)
}
