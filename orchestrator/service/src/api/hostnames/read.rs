//! `GET /v1/hostnames/{hostname}`

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::etag::Etag;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathHostname;
use crate::store::explanations::HostnameView;
use crate::store::scope::Scope;

/// One name, explained: what was seen, what is missing, who must act, and when it goes on.
#[utoipa::path(
    get,
    path = "/v1/hostnames/{hostname}",
    tag = "hostnames",
    params(
        ("hostname" = String, Path, description = "The name, in any spelling"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag that the client has: 304 if it still holds")
    ),
    security(("bearer" = ["hostnames:read"])),
    responses(
        (status = 200, description = "How it is", body = HostnameView),
        (status = 304, description = "As the client has it"),
        Problems
    )
)]
#[tracing::instrument(name = "api.hostnames.read", skip_all)]
pub(in crate::api) async fn read(
    State(api): State<ApiState>,
    caller: Caller,
    PathHostname(hostname): PathHostname,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Scope::HostnamesRead)?;
    let view = super::explained(&api, caller.viewer, &hostname).await?;
    Ok(Etag::of(view.version, &view).answer(&headers, &view))
}
