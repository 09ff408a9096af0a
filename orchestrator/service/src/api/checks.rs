//! `GET /v1/checks`, `PUT /v1/checks/{check}/standing`: how often each check was right, and what it is worth.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use issuance::check::Check;
use issuance::precision::Standing;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::warn;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Operator;
use super::problem::{Problem, Problems};
use super::write::{Answer, WriteRequest, or_answered};
use crate::store::check_records::{self, ChangedBy, CheckRecordView};
use crate::store::events::Event;
use crate::store::scope::Scope;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(write))
}

/// All checks, in the order in which they are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckList {
    pub data: Vec<CheckRecordView>,
}

/// What a check is to be worth from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedStanding {
    pub standing: Standing,
}

/// The check of that name.
pub(super) fn check_of(text: &str) -> Result<Check, Problem> {
    let known: Vec<&str> = Check::ALL.iter().map(|check| check.as_str()).collect();
    Check::parse(text).ok_or_else(|| Problem::not_found(&format!("check: there are {}", known.join(", "))))
}

/// How often each check was right, and what it is worth.
#[utoipa::path(
    get,
    path = "/v1/checks",
    tag = "checks",
    security(("bearer" = ["accounts:manage"])),
    responses((status = 200, description = "All checks, in the order in which they are made", body = CheckList), Problems)
)]
#[tracing::instrument(name = "api.checks.list", skip_all)]
pub(super) async fn list(
    State(api): State<ApiState>,
    Operator(caller): Operator,
) -> Result<Json<CheckList>, Problem> {
    caller.require(Scope::AccountsManage)?;
    Ok(Json(CheckList { data: check_records::list(&api.store, api.account).await? }))
}

/// Changes what a check is worth.
///
/// What is counted from then on decides whether it stays so.
#[utoipa::path(
    put,
    path = "/v1/checks/{check}/standing",
    tag = "checks",
    params(("check" = Check, Path, description = "The check")),
    request_body = WantedStanding,
    security(("bearer" = ["accounts:manage"])),
    responses((status = 200, description = "All checks, as they stand now", body = CheckList), Problems)
)]
#[tracing::instrument(name = "api.checks.write", skip_all)]
pub(super) async fn write(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    path: Result<Path<String>, PathRejection>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::AccountsManage)?;
    let Path(check) = path.map_err(|_| Problem::no_route())?;
    let check = check_of(&check)?;
    let WantedStanding { standing } = request.json()?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let before = check_records::list_in(&mut write.work, api.account).await?;
    let by = ChangedBy::Operator;
    let changed = check_records::change_standing(&mut write.work, api.account, check, standing, by).await?;
    let after = check_records::list_in(&mut write.work, api.account).await?;
    let of_check = |all: &[CheckRecordView]| json!(all.iter().find(|one| one.check == check));
    write
        .work
        .tell(Event {
            kind: "check.standing_changed",
            tenant: None,
            certificate: None,
            subject: check.as_str().to_owned(),
            data: json!({ "before": of_check(&before), "after": of_check(&after) }),
        })
        .await?;
    let response = write.finish(Answer::ok(&CheckList { data: after })).await?;
    if changed {
        let (check, standing) = (check.as_str(), standing.as_str());
        warn!(
            event = "check.switched",
            check, standing, "The operator has decided: the check {check} is {standing}"
        );
    }
    Ok(response)
}
