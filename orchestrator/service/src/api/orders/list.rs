//! `GET /v1/orders`

use axum::Json;
use axum::extract::State;
use issuance::ids::CertificateId;
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::Problem;
use crate::api::query::{self, Parameters};
use issuance::order::Stage;

use crate::store::orders_view::{self, OrderFilter, OrderView};
use crate::store::page::Listing;
use crate::store::scope::Scope;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ListParameters {
    limit: Option<u32>,
    cursor: Option<String>,
    stage: Option<String>,
    tenant: Option<String>,
    certificate: Option<CertificateId>,
}

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
    };
    let page = query::page(asked.limit, asked.cursor.as_deref(), &filter)?;
    Ok(Json(orders_view::list(&api.store, viewer, &filter, &page).await?))
}
