//! `POST /v1/hostnames/{hostname}/check`
//!
//! Writes a wish, which a worker carries out: nobody here talks to a resolver. With `Prefer: wait=N` (RFC 7240) the
//! answer is waited for.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::prefer::wait_of;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathHostname;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::checks::{self, WishState};
use crate::store::explanations::HostnameView;
use crate::store::scope::Scope;

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Has a name checked now.
#[utoipa::path(
    post,
    path = "/v1/hostnames/{hostname}/check",
    tag = "hostnames",
    params(
        ("hostname" = String, Path, description = "The name, in any spelling", example = "www.example.com",
    ),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: the answer is waited for, up to N seconds (RFC 7240)", example = "wait=10")),
    security(("bearer" = ["hostnames:write"])),
    responses(
            (status = 200, description = "What was found", body = HostnameView),
            (status = 202, description = "It has not been found yet", body = HostnameView), Problems)
)]
#[tracing::instrument(name = "api.hostnames.check", skip_all)]
pub(in crate::api) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    PathHostname(hostname): PathHostname,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::HostnamesWrite)?;
    let viewer = caller.viewer;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let wished = checks::wish(&mut write.work, api.account, &hostname).await?;
    let wished = wished.ok_or_else(|| Problem::not_found("hostname"))?;
    let view = super::explained_in(&mut write.work, &api, &hostname).await?;
    let after = json!({ "check_requested_at": wished });
    write.work.tell(super::told("hostname.check_requested", &view, Value::Null, after)).await?;
    // What is remembered is what is known now; whoever waits is told what is found.
    let accepted = write.finish(Answer::of(StatusCode::ACCEPTED, &view)).await?;
    api.look.notify_one();
    let wait = wait_of(&request.headers);
    if wait.is_zero() {
        return Ok(accepted);
    }
    let deadline = Instant::now() + wait;
    let mut state = WishState::Waiting;
    while Instant::now() < deadline && state == WishState::Waiting {
        sleep(LOOK_EVERY).await;
        state = checks::wish_state(&api.store, viewer, &hostname).await?;
    }
    let view = super::explained(&api, viewer, &hostname).await?;
    let status = if state == WishState::Answered { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(view)).into_response())
}
