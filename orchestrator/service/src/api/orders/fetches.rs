//! `GET /v1/orders/{order}/fetches`

use axum::Json;
use axum::extract::State;
use issuance::ids::OrderId;
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::Problem;
use crate::api::query::{self, Parameters, PathId};
use crate::store::fetches::{self, FetchView};
use crate::store::orders_view;
use crate::store::page::Listing;
use crate::store::scope::Scope;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ListParameters {
    limit: Option<u32>,
    cursor: Option<String>,
}

#[tracing::instrument(name = "api.orders.fetches", skip_all, fields(order.id = %id))]
pub(in crate::api) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<OrderId>,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<Json<Listing<FetchView>>, Problem> {
    caller.require(Scope::OrdersRead)?;
    let viewer = caller.viewer;
    let page = query::page(asked.limit, asked.cursor.as_deref(), &id)?;
    if !orders_view::exists(&api.store, viewer, id).await? {
        return Err(Problem::not_found("order"));
    }
    Ok(Json(fetches::list(&api.store, viewer, id, &page).await?))
}
