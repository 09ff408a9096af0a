//! `GET /v1/orders/{order}`

use axum::Json;
use axum::extract::State;
use issuance::ids::OrderId;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::store::orders_view::{self, OrderView};
use crate::store::scope::Scope;

/// One order.
#[utoipa::path(
    get,
    path = "/v1/orders/{order}",
    tag = "orders",
    params(("order" = OrderId, Path, description = "The order's id")),
    security(("bearer" = ["orders:read"])),
    responses((status = 200, description = "With its authorizations", body = OrderView), Problems)
)]
#[tracing::instrument(name = "api.orders.read", skip_all, fields(order.id = %id))]
pub(in crate::api) async fn read(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<OrderId>,
) -> Result<Json<OrderView>, Problem> {
    caller.require(Scope::OrdersRead)?;
    let viewer = caller.viewer;
    let found = orders_view::find(&api.store, viewer, id).await?;
    found.map(|order| Json(order.foretold(&api.profile))).ok_or_else(|| Problem::not_found("order"))
}
