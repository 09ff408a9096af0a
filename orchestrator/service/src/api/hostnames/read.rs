//! `GET /v1/hostnames/{hostname}`

use axum::Json;
use axum::extract::State;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathHostname;
use crate::store::explanations::HostnameView;
use crate::store::scope::Scope;

/// One name, and what can be done about it.
#[utoipa::path(
    get,
    path = "/v1/hostnames/{hostname}",
    tag = "hostnames",
    params(
        ("hostname" = String, Path, description = "The name, in any spelling", example = "www.example.com"),
    ),
    security(("bearer" = ["hostnames:read"])),
    responses((status = 200, description = "What is wrong, who must act, and what comes next", body = HostnameView), Problems)
)]
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
