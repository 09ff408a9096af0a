//! `GET /v1/users`

#![expect(unused_qualifications, reason = "the description of a route qualifies what it names")]

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::{self, Parameters};
use crate::store::page::Listing;
use crate::store::scope::Scope;
use crate::store::users::{self, UserView};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    limit: Option<u32>,
    cursor: Option<String>,
    /// The one of this name.
    name: Option<String>,
}

/// Who may sign in, the earliest first.
#[utoipa::path(
    get, path = "/v1/users", tag = "users", params(ListParameters),
    security(("bearer" = ["keys:manage"])),
    responses((status = 200, description = "A page of them", body = Listing<UserView>), Problems)
)]
#[tracing::instrument(name = "api.users.list", skip_all)]
pub(super) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<Json<Listing<UserView>>, Problem> {
    caller.require(Scope::KeysManage)?;
    let page = query::page(asked.limit, asked.cursor.as_deref(), &asked.name)?;
    Ok(Json(users::list(&api.store, caller.viewer, asked.name.as_deref(), &page).await?))
}
