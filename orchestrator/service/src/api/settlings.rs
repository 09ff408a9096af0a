//! `GET /v1/dns01/settlings`: how long records settle, by what failed validations have taught.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::ApiState;
use super::auth::Operator;
use super::problem::Problem;
use crate::store::scope::Scope;
use crate::store::settlings::{self, SettlingView};

/// Every set of name servers that a validation has taught something of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlingList {
    pub data: Vec<SettlingView>,
}

#[tracing::instrument(name = "api.settlings.list", skip_all)]
pub(super) async fn list(
    State(api): State<ApiState>,
    Operator(caller): Operator,
) -> Result<Json<SettlingList>, Problem> {
    caller.require(Scope::DnsManage)?;
    Ok(Json(SettlingList { data: settlings::list(&api.store).await? }))
}
