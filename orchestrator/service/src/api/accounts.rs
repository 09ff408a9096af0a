//! `GET /v1/accounts`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Operator;
use super::problem::{Problem, Problems};
use crate::store::accounts::AccountView;
use crate::store::scope::Scope;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The accounts at CAs, the earliest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accounts {
    pub data: Vec<AccountView>,
}

/// The accounts at CAs.
#[utoipa::path(
    get,
    path = "/v1/accounts",
    tag = "accounts",
    security(("bearer" = ["accounts:manage"])),
    responses((status = 200, description = "The accounts at CAs, the earliest first", body = Accounts), Problems)
)]
#[tracing::instrument(name = "api.accounts.list", skip_all)]
pub(super) async fn list(
    State(api): State<ApiState>,
    Operator(caller): Operator,
) -> Result<Json<Accounts>, Problem> {
    caller.require(Scope::AccountsManage)?;
    Ok(Json(Accounts { data: api.store.accounts(api.account).await? }))
}
