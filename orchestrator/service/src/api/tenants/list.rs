//! `GET /v1/tenants`

#![expect(unused_qualifications, reason = "the description of a route qualifies what it names")]

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::ApiState;
use crate::api::auth::Operator;
use crate::api::problem::{Problem, Problems};
use crate::api::query::{self, Parameters};
use crate::store::page::Listing;
use crate::store::scope::Scope;
use crate::store::tenants::{self, TenantFilter, TenantStatus, TenantView};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    limit: Option<u32>,
    cursor: Option<String>,
    status: Option<TenantStatus>,
    external_id: Option<String>,
}

/// The tenants, the earliest first.
#[utoipa::path(
    get, path = "/v1/tenants", tag = "tenants", params(ListParameters),
    security(("bearer" = ["tenants:manage"])),
    responses((status = 200, description = "A page of them", body = Listing<TenantView>), Problems)
)]
#[tracing::instrument(name = "api.tenants.list", skip_all)]
pub(super) async fn list(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<Json<Listing<TenantView>>, Problem> {
    caller.require(Scope::TenantsManage)?;
    let filter = TenantFilter { status: asked.status, external_id: asked.external_id, slug: None };
    let page = query::page(asked.limit, asked.cursor.as_deref(), &filter)?;
    Ok(Json(tenants::list(&api.store, &filter, &page).await?))
}
