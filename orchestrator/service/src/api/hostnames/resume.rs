//! `POST /v1/hostnames/{hostname}/resume`

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathHostname;
use crate::api::write::{Answer, WriteRequest, or_answered};
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
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::HostnamesWrite)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let resumed = watches::resume(&mut write.work, api.account, &hostname).await?;
    let resumed = resumed.ok_or_else(|| Problem::not_found("hostname"))?;
    let view = super::explained_in(&mut write.work, &api, &hostname).await?;
    let (before, after) = (json!({ "suspended": resumed }), json!({ "suspended": false }));
    write.work.tell(super::told("hostname.resumed", &view, before, after)).await?;
    let response = write.finish(Answer::ok(&view)).await?;
    if resumed {
        api.wake.notify_one();
        api.look.notify_one();
    }
    Ok(response)
}
