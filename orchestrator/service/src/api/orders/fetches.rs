//! `GET /v1/orders/{order}/fetches`

use axum::Json;
use axum::extract::State;
use issuance::ids::OrderId;
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::{self, Parameters, PathId};
use crate::store::fetches::{self, FetchView};
use crate::store::orders_view;
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
}

/// Who has fetched the responses of an order's challenges.
#[utoipa::path(
    get,
    path = "/v1/orders/{order}/fetches",
    tag = "orders",
    params(
        ("order" = OrderId, Path, description = "The order's id"),
        ListParameters,
    ),
    security(("bearer" = ["orders:read"])),
    responses((status = 200, description = "A page, the earliest first", body = Listing<FetchView>), Problems)
)]
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
