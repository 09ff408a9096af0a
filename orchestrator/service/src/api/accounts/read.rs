//! `GET /v1/accounts/{account}`

use axum::Json;
use axum::extract::State;
use axum::http::header::ETAG;
use axum::response::{IntoResponse as _, Response};
use issuance::ids::AccountId;

use crate::api::ApiState;
use crate::api::auth::Operator;
use crate::api::etag;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::store::accounts::AccountView;
use crate::store::scope::Scope;

/// One account at a CA.
#[utoipa::path(
    get, path = "/v1/accounts/{account}", tag = "accounts",
    params(("account" = AccountId, Path, description = "The account's id, `acc_…`")),
    security(("bearer" = ["accounts:manage"])),
    responses((status = 200, description = "As it is now", body = AccountView), Problems)
)]
#[tracing::instrument(name = "api.accounts.read", skip_all)]
pub(super) async fn read(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    PathId(id): PathId<AccountId>,
) -> Result<Response, Problem> {
    caller.require(Scope::AccountsManage)?;
    let found = api.store.account(id, api.account, api.clock.now()).await?;
    let view = found.ok_or_else(|| Problem::not_found("account"))?;
    Ok(([(ETAG, etag::of(view.version))], Json(view)).into_response())
}
