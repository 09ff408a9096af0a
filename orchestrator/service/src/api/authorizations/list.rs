//! `GET /v1/authorizations`

use axum::Json;
use axum::extract::State;
use issuance::ids::OrderId;
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::{self, Parameters};
use crate::store::authorizations_view::{self, AuthorizationFilter, AuthorizationView, STATUSES};
use crate::store::page::Listing;
use crate::store::scope::Scope;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ListParameters {
    /// Rows on a page.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before; absent: the first page.
    cursor: Option<String>,
    open: Option<bool>,
    status: Option<String>,
    /// Of this tenant alone: its slug.
    tenant: Option<String>,
    order: Option<OrderId>,
    /// Open though its order has ended: it is still to be settled.
    orphaned: Option<bool>,
}

/// The ledger of authorizations.
#[utoipa::path(
    get,
    path = "/v1/authorizations",
    tag = "authorizations",
    params(ListParameters),
    security(("bearer" = ["authorizations:read"])),
    responses((status = 200, description = "A page, the earliest first", body = Listing<AuthorizationView>), Problems)
)]
#[tracing::instrument(name = "api.authorizations.list", skip_all)]
pub(in crate::api) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<Json<Listing<AuthorizationView>>, Problem> {
    caller.require(Scope::AuthorizationsRead)?;
    let viewer = caller.viewer;
    let filter = AuthorizationFilter {
        open: asked.open,
        status: query::one_of("status", asked.status.as_deref(), &STATUSES)?,
        tenant: asked.tenant,
        order: asked.order,
        orphaned: asked.orphaned,
    };
    let page = query::page(asked.limit, asked.cursor.as_deref(), &filter)?;
    let mut found = authorizations_view::list(&api.store, viewer, &filter, &page).await?;
    found.data = found.data.into_iter().map(|one| one.foretold(&api.profile)).collect();
    Ok(Json(found))
}
