//! `GET /v1/accounts`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::auth::Operator;
use crate::api::problem::{Problem, Problems};
use crate::store::accounts::AccountView;
use crate::store::scope::Scope;

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
    Ok(Json(Accounts { data: api.store.accounts(api.account, api.clock.now()).await? }))
}
