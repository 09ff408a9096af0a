//! `GET /v1/paused-names`, `POST /v1/paused-names/release`

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Operator;
use super::problem::{Problem, Problems};
use super::query::Parameters;
use super::write::{Answer, WriteRequest, or_answered};
use crate::store::events::Event;
use crate::store::pauses::{self, PausedView};
use crate::store::scope::Scope;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(release))
}

/// What the CA has paused, and where a person has it go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PausedNames {
    pub data: Vec<PausedView>,
}

/// The names whose orders go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseReport {
    pub released: Vec<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseParameters {
    /// Without one, all of them: a CA unpauses a whole account at once.
    hostname: Option<String>,
}

/// The names that the CA has paused.
#[utoipa::path(
    get,
    path = "/v1/paused-names",
    tag = "limits",
    security(("bearer" = ["accounts:manage"])),
    responses((status = 200, description = "Each with the link that a person opens", body = PausedNames), Problems)
)]
#[tracing::instrument(name = "api.paused_names.list", skip_all)]
pub(super) async fn list(
    State(api): State<ApiState>,
    Operator(caller): Operator,
) -> Result<Json<PausedNames>, Problem> {
    caller.require(Scope::AccountsManage)?;
    Ok(Json(PausedNames { data: pauses::list(&api.store, api.account).await? }))
}

/// A person has opened the CA's link: the orders go on.
#[utoipa::path(
    post,
    path = "/v1/paused-names/release",
    tag = "limits",
    params(ReleaseParameters),
    security(("bearer" = ["accounts:manage"])),
    responses((status = 200, description = "The names whose orders go on", body = ReleaseReport), Problems)
)]
#[tracing::instrument(name = "api.paused_names.release", skip_all)]
pub(super) async fn release(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    Parameters(asked): Parameters<ReleaseParameters>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::AccountsManage)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let released = pauses::release(&mut write.work, api.account, asked.hostname.as_deref()).await?;
    if released.is_empty() && asked.hostname.is_some() {
        return Err(Problem::not_found("paused name"));
    }
    write
        .work
        .tell(Event {
            kind: "paused_names.released",
            tenant: None,
            certificate: None,
            subject: asked.hostname.unwrap_or_else(|| api.account.to_string()),
            data: json!({ "before": { "paused": released }, "after": { "paused": [] } }),
        })
        .await?;
    let response = write.finish(Answer::ok(&ReleaseReport { released })).await?;
    api.wake.notify_one();
    Ok(response)
}
