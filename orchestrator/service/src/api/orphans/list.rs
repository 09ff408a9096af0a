//! `GET /v1/orphans`

#![expect(unused_qualifications, reason = "the description of a route qualifies what it names")]

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::ApiState;
use crate::api::auth::Operator;
use crate::api::problem::{Problem, Problems};
use crate::api::query::{self, Parameters};
use crate::store::orphans_view::{self, OrphanView};
use crate::store::page::Listing;
use crate::store::scope::Scope;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// What was found at the CA and is in no row of the ledger yet, each with what will be done about it. There are few, and for
/// moments, unless the CA cannot be asked.
#[utoipa::path(
    get, path = "/v1/orphans", tag = "authorizations", params(ListParameters),
    security(("bearer" = ["authorizations:read"])),
    responses((status = 200, description = "A page of them", body = Listing<OrphanView>), Problems)
)]
#[tracing::instrument(name = "api.orphans.list", skip_all)]
pub(super) async fn list(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<Json<Listing<OrphanView>>, Problem> {
    caller.require(Scope::AuthorizationsRead)?;
    let page = query::page(asked.limit, asked.cursor.as_deref(), &())?;
    let mut found = orphans_view::list(&api.store, api.clock.now(), &page).await?;
    found.data = found.data.into_iter().map(|one| one.foretold(&api.profile)).collect();
    Ok(Json(found))
}
