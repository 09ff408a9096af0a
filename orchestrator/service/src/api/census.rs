//! `GET /v1/census`, `GET /v1/census/backlog`: the whole fleet as it was counted last, and how its backlog has gone.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Operator;
use super::problem::{Problem, Problems};
use super::query::Parameters;
use crate::store::fleet_samples::{self, BacklogPoint, FleetView};
use crate::store::scope::Scope;

/// How far back the backlog is told where nobody says since when.
const TOLD: Duration = Duration::from_hours(24);

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read)).routes(routes!(backlog))
}

/// The fleet over all tenants, as a worker has counted it last: seconds ago in a small fleet, minutes in a large one.
#[utoipa::path(
    get, path = "/v1/census", tag = "service",
    security(("bearer" = ["metrics:read"])),
    responses((status = 200, description = "What there is, and where it stands", body = FleetView), Problems)
)]
#[tracing::instrument(name = "api.census.read", skip_all)]
pub(super) async fn read(
    State(api): State<ApiState>,
    Operator(caller): Operator,
) -> Result<Json<FleetView>, Problem> {
    caller.require(Scope::MetricsRead)?;
    let found = fleet_samples::latest(&api.store).await?;
    found.map(Json).ok_or_else(|| Problem::not_found("census yet: no worker has counted so far"))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct BacklogParameters {
    /// Absent: a day ago.
    since: Option<Timestamp>,
}

/// A point for each five minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Backlog {
    pub data: Vec<BacklogPoint>,
}

/// How many orders waited, every five minutes since then, or for a day; eight days are kept.
#[utoipa::path(
    get, path = "/v1/census/backlog", tag = "service", params(BacklogParameters),
    security(("bearer" = ["metrics:read"])),
    responses((status = 200, description = "The earliest first", body = Backlog), Problems)
)]
#[tracing::instrument(name = "api.census.backlog", skip_all)]
pub(super) async fn backlog(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    Parameters(asked): Parameters<BacklogParameters>,
) -> Result<Json<Backlog>, Problem> {
    caller.require(Scope::MetricsRead)?;
    let since = asked.since.unwrap_or_else(|| api.clock.now().before(TOLD));
    Ok(Json(Backlog { data: fleet_samples::backlog(&api.store, since).await? }))
}
