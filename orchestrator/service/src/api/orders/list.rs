//! `GET /v1/orders`

use axum::Json;
use axum::extract::State;
use issuance::ids::CertificateId;
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::{self, Parameters};
use issuance::order::Stage;

use crate::store::orders_view::{self, LANES, OrderFilter, OrderView};
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
    stage: Option<String>,
    /// Of this tenant alone: its slug.
    tenant: Option<String>,
    certificate: Option<CertificateId>,
    /// How it is queued: `urgent`, `interactive`, `renewal` or `bulk`.
    lane: Option<String>,
    /// True: nothing is left to do for it. False: something is.
    resting: Option<bool>,
}

/// Orders: the attempts at certificates.
#[utoipa::path(
    get,
    path = "/v1/orders",
    tag = "orders",
    params(ListParameters),
    security(("bearer" = ["orders:read"])),
    responses((status = 200, description = "A page, the earliest first", body = Listing<OrderView>), Problems)
)]
#[tracing::instrument(name = "api.orders.list", skip_all)]
pub(in crate::api) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<Json<Listing<OrderView>>, Problem> {
    caller.require(Scope::OrdersRead)?;
    let viewer = caller.viewer;
    let filter = OrderFilter {
        stage: query::one_of("stage", asked.stage.as_deref(), &Stage::NAMES)?,
        tenant: asked.tenant,
        certificate: asked.certificate,
        lane: query::one_of("lane", asked.lane.as_deref(), &LANES)?,
        resting: asked.resting,
    };
    let page = query::page(asked.limit, asked.cursor.as_deref(), &filter)?;
    Ok(Json(orders_view::list(&api.store, viewer, &filter, &page).await?))
}
