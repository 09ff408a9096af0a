//! `PUT`, `DELETE /v1/hostnames/{hostname}/overrides/{check}`: checks that are skipped for one name.

use axum::extract::State;
use axum::response::Response;
use issuance::check::Check;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::auth::Operator;
use crate::api::problem::{Problem, ProblemEntry, Problems};
use crate::api::query::PathCheck;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::check_overrides;
use crate::store::checks;
use crate::store::explanations::HostnameView;
use crate::store::scope::Scope;

const NOTE_CHARS_MAX: usize = 1_000;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedSkip {
    /// Why the check is wrong about this name.
    pub note: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Skips a check for one name.
///
/// The name goes to the CA whatever the check says; what the CA says then counts for or against the check.
#[utoipa::path(
    put,
    path = "/v1/hostnames/{hostname}/overrides/{check}",
    tag = "hostnames",
    params(
        ("hostname" = String, Path, description = "The name, in any spelling", example = "www.example.com"),
        ("check" = Check, Path, description = "The check"),
    ),
    request_body = WantedSkip,
    security(("bearer" = ["hostnames:write"])),
    responses((status = 200, description = "As it stands now", body = HostnameView), Problems)
)]
#[tracing::instrument(name = "api.hostnames.overrides.write", skip_all)]
pub(in crate::api) async fn write(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    PathCheck(hostname, check): PathCheck,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::HostnamesWrite)?;
    let wanted: WantedSkip = request.json()?;
    let now = api.clock.now();
    let mut errors = Vec::new();
    if wanted.note.trim().is_empty() || wanted.note.chars().count() > NOTE_CHARS_MAX {
        let detail =
            format!("say in up to {NOTE_CHARS_MAX} characters why the check is wrong about this name");
        errors.push(ProblemEntry::at("/note", "out-of-range", detail));
    }
    if wanted.expires_at.is_some_and(|at| at <= now) {
        errors.push(ProblemEntry::at("/expires_at", "in-the-past", "it has expired already"));
    }
    if !errors.is_empty() {
        return Err(Problem::body_invalid(errors));
    }
    let (note, until) = (wanted.note.trim(), wanted.expires_at);
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let work = &mut write.work;
    let before = check_overrides::find(work, &hostname, check).await?;
    if !check_overrides::enter(work, &hostname, check, note, until).await? {
        return Err(Problem::not_found("hostname"));
    }
    let after = check_overrides::find(work, &hostname, check).await?;
    // Looked at anew, it may be right now.
    checks::wish(work, api.account, &hostname).await?;
    let view = super::explained_in(work, &api, &hostname).await?;
    work.tell(super::told("check_override.entered", &view, json!(before), json!(after))).await?;
    let response = write.finish(Answer::ok(&view)).await?;
    api.look.notify_one();
    Ok(response)
}

/// Has a check that was skipped count again for one name.
#[utoipa::path(
    delete,
    path = "/v1/hostnames/{hostname}/overrides/{check}",
    tag = "hostnames",
    params(
        ("hostname" = String, Path, description = "The name, in any spelling", example = "www.example.com"),
        ("check" = Check, Path, description = "The check"),
    ),
    security(("bearer" = ["hostnames:write"])),
    responses((status = 200, description = "As it stands now", body = HostnameView), Problems)
)]
#[tracing::instrument(name = "api.hostnames.overrides.delete", skip_all)]
pub(in crate::api) async fn delete(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    PathCheck(hostname, check): PathCheck,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::HostnamesWrite)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let work = &mut write.work;
    let before = check_overrides::find(work, &hostname, check).await?;
    if !check_overrides::take_back(work, &hostname, check).await? {
        return Err(Problem::not_found("override"));
    }
    let view = super::explained_in(work, &api, &hostname).await?;
    work.tell(super::told("check_override.taken_back", &view, json!(before), Value::Null)).await?;
    write.finish(Answer::ok(&view)).await
}
