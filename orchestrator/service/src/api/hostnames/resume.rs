//! `POST /v1/hostnames/{hostname}/resume`

use axum::Json;
use axum::extract::State;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathHostname;
use crate::store::explanations::HostnameView;
use crate::store::scope::Scope;
use crate::store::watches;

/// Takes up a name again that was given up; one that was not is left as it is.
#[utoipa::path(
    post,
    path = "/v1/hostnames/{hostname}/resume",
    tag = "hostnames",
    params(
        ("hostname" = String, Path, description = "The name, in any spelling", example = "www.example.com"),
    ),
    security(("bearer" = ["hostnames:write"])),
    responses((status = 200, description = "As it stands now", body = HostnameView), Problems)
)]
#[tracing::instrument(name = "api.hostnames.resume", skip_all)]
pub(in crate::api) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    PathHostname(hostname): PathHostname,
) -> Result<Json<HostnameView>, Problem> {
    caller.require(Scope::HostnamesWrite)?;
    let viewer = caller.viewer;
    let resumed = watches::resume(&api.store, viewer, api.account, &hostname, api.clock.now()).await?;
    match resumed {
        None => return Err(Problem::not_found("hostname")),
        Some(false) => {}
        Some(true) => {
            api.wake.notify_one();
            api.look.notify_one();
        }
    }
    super::explained(&api, viewer, &hostname).await.map(Json)
}
