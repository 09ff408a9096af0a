//! `GET /v1/tenants/{tenant}`

use axum::Json;
use axum::extract::State;
use axum::http::header::ETAG;
use axum::response::{IntoResponse as _, Response};

use super::named;
use crate::api::ApiState;
use crate::api::auth::Operator;
use crate::api::etag;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathText;
use crate::store::scope::Scope;
use crate::store::tenants::{self, TenantView};

/// One tenant, by its id or its slug, with what it uses of its quotas.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}", tag = "tenants", params(("tenant" = String, Path, description = "Its id, `ten_…`, or its slug")),
    security(("bearer" = ["tenants:manage"])),
    responses((status = 200, description = "As it is now", body = TenantView), Problems)
)]
#[tracing::instrument(name = "api.tenants.read", skip_all)]
pub(super) async fn read(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    PathText(tenant): PathText,
) -> Result<Response, Problem> {
    caller.require(Scope::TenantsManage)?;
    let found = tenants::read(&api.store, api.clock.now(), &named(&tenant)).await?;
    let view = found.ok_or_else(|| Problem::not_found("tenant"))?;
    Ok(([(ETAG, etag::of(view.version))], Json(view)).into_response())
}
