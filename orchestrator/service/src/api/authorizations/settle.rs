//! `POST /v1/authorizations/{authorization}/settle`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use issuance::ids::{AuthorizationId, OrderId};
use issuance::outlook::Cost;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::auth::Operator;
use crate::api::problem::{Problem, Problems};
use crate::api::query::{Parameters, PathId};
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::events::Event;
use crate::store::scope::Scope;
use crate::store::settle_wishes::{self, Mode, SettleAnswer};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct SettleParameters {
    #[serde(default)]
    dry_run: bool,
}

/// What is done about an authorization at the operator's wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettleReport {
    pub authorization_id: AuthorizationId,
    pub order_id: OrderId,
    pub identifier: Option<String>,
    /// Nothing was written: it would be done.
    pub dry_run: bool,
    /// The most it can cost.
    pub cost: Cost,
    /// What is done, in plain words.
    pub detail: String,
}

/// Has an authorization settled now: submitted where its response is served, deactivated otherwise.
#[utoipa::path(
    post,
    path = "/v1/authorizations/{authorization}/settle",
    tag = "authorizations",
    params(
        ("authorization" = AuthorizationId, Path, description = "The authorization's id"),
        SettleParameters,
    ),
    security(("bearer" = ["authorizations:manage"])),
    responses(
            (status = 202, description = "It is begun", body = SettleReport),
            (status = 200, description = "A dry run: it would be done", body = SettleReport), Problems)
)]
#[tracing::instrument(name = "api.authorizations.settle", skip_all, fields(authorization.id = %id))]
pub(in crate::api) async fn create(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    PathId(id): PathId<AuthorizationId>,
    Parameters(asked): Parameters<SettleParameters>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::AuthorizationsManage)?;
    let mode = if asked.dry_run { Mode::DryRun } else { Mode::Write };
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let view = match settle_wishes::wish(&mut write.work, id, mode).await? {
        SettleAnswer::Granted(view) => view.foretold(&api.profile),
        SettleAnswer::Settled(view) => return Err(Problem::already_settled(&view)),
        SettleAnswer::Refused(refusal) => return Err(Problem::not_to_be_settled(refusal)),
        SettleAnswer::Unknown => return Err(Problem::not_found("authorization")),
    };
    let cost = view.outlook.map_or(Cost::Nothing, |outlook| outlook.cost);
    let event = Event {
        kind: "authorization.settle_requested",
        tenant: Some(view.tenant_id),
        certificate: Some(view.certificate_id),
        subject: id.to_string(),
        data: json!({
            "before": { "settle_requested_at": view.settle_requested_at },
            "after": { "settle_requested_at": view.settle_requested_at.unwrap_or_else(|| write.work.at()) },
        }),
    };
    let report = SettleReport {
        authorization_id: id,
        order_id: view.order_id,
        identifier: view.identifier,
        dry_run: asked.dry_run,
        cost,
        detail: format!(
            "it is read at the CA and its response is looked for: one that is served is submitted, any other is \
             deactivated; {}",
            cost.sentence()
        ),
    };
    if asked.dry_run {
        return Ok(Answer::ok(&report).into_response());
    }
    write.work.tell(event).await?;
    let response = write.finish(Answer::of(StatusCode::ACCEPTED, &report)).await?;
    api.wake.notify_one();
    Ok(response)
}
