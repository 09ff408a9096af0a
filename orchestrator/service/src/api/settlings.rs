//! `GET /v1/dns01/settlings`: how long records settle, by what failed validations have taught.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Operator;
use super::problem::{Problem, Problems};
use crate::store::scope::Scope;
use crate::store::settlings::{self, SettlingView};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Every set of name servers that a validation has taught something of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettlingList {
    pub data: Vec<SettlingView>,
}

/// How long records settle, by what failed validations have taught.
#[utoipa::path(
    get,
    path = "/v1/dns01/settlings",
    tag = "checks",
    security(("bearer" = ["dns:manage"])),
    responses((status = 200, description = "Every set of name servers that a validation has taught something of", body = SettlingList), Problems)
)]
#[tracing::instrument(name = "api.settlings.list", skip_all)]
pub(super) async fn list(
    State(api): State<ApiState>,
    Operator(caller): Operator,
) -> Result<Json<SettlingList>, Problem> {
    caller.require(Scope::DnsManage)?;
    Ok(Json(SettlingList { data: settlings::list(&api.store).await? }))
}
