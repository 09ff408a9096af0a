//! `GET /v1/accounts`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::ApiState;
use super::auth::Operator;
use super::problem::Problem;
use crate::store::accounts::AccountView;
use crate::store::scope::Scope;

/// The accounts at CAs, the earliest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    pub data: Vec<AccountView>,
}

#[tracing::instrument(name = "api.accounts.list", skip_all)]
pub(super) async fn list(
    State(api): State<ApiState>,
    Operator(caller): Operator,
) -> Result<Json<Accounts>, Problem> {
    caller.require(Scope::AccountsManage)?;
    Ok(Json(Accounts { data: api.store.accounts(api.account).await? }))
}
