//! `GET /v1/orders/{order}/timeline`

use axum::Json;
use axum::extract::State;
use issuance::ids::OrderId;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::store::scope::Scope;
use crate::store::timelines::{self, Timeline};

/// What has happened to an order, earliest first: what was done, what the CA said word by word, who fetched the responses,
/// and what it cost.
#[utoipa::path(
    get,
    path = "/v1/orders/{order}/timeline",
    tag = "orders",
    params(("order" = OrderId, Path, description = "The order's id, `ord_…`")),
    security(("bearer" = ["orders:read"])),
    responses((status = 200, description = "Its life so far", body = Timeline), Problems)
)]
#[tracing::instrument(name = "api.orders.timeline", skip_all, fields(order.id = %id))]
pub(in crate::api) async fn read(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<OrderId>,
) -> Result<Json<Timeline>, Problem> {
    caller.require(Scope::OrdersRead)?;
    let found = timelines::of_order(&api.store, caller.viewer, &api.profile, id).await?;
    found.map(Json).ok_or_else(|| Problem::not_found("order"))
}
