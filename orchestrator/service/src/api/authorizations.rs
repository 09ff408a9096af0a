//! `GET /v1/authorizations`

use axum::Json;
use axum::extract::State;
use issuance::ids::OrderId;
use serde::Deserialize;

use super::ApiState;
use super::auth::Caller;
use super::problem::Problem;
use super::query::{self, Parameters};
use crate::store::authorizations_view::{self, AuthorizationFilter, AuthorizationView, STATUSES};
use crate::store::page::Listing;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParameters {
    limit: Option<u32>,
    cursor: Option<String>,
    open: Option<bool>,
    status: Option<String>,
    tenant: Option<String>,
    order: Option<OrderId>,
}

#[tracing::instrument(name = "api.authorizations.list", skip_all)]
pub(super) async fn list(
    State(api): State<ApiState>,
    Caller(viewer): Caller,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<Json<Listing<AuthorizationView>>, Problem> {
    let filter = AuthorizationFilter {
        open: asked.open,
        status: query::one_of("status", asked.status.as_deref(), &STATUSES)?,
        tenant: asked.tenant,
        order: asked.order,
    };
    let page = query::page(asked.limit, asked.cursor.as_deref(), &filter)?;
    Ok(Json(authorizations_view::list(&api.store, viewer, &filter, &page).await?))
}
