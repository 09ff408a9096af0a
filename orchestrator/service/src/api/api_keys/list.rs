//! `GET /v1/api-keys`

#![expect(unused_qualifications, reason = "the description of a route qualifies what it names")]

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::{self, Parameters};
use crate::store::keyring::{self, ApiKeyView, KeyFilter};
use crate::store::page::Listing;
use crate::store::scope::Scope;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    limit: Option<u32>,
    cursor: Option<String>,
    /// A tenant's slug.
    tenant: Option<String>,
    /// Neither revoked nor expired.
    good: Option<bool>,
}

/// Keys, the earliest first. Never their texts.
#[utoipa::path(
    get, path = "/v1/api-keys", tag = "api-keys", params(ListParameters),
    security(("bearer" = ["keys:manage"])),
    responses((status = 200, description = "A page of them", body = Listing<ApiKeyView>), Problems)
)]
#[tracing::instrument(name = "api.api_keys.list", skip_all)]
pub(super) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<Json<Listing<ApiKeyView>>, Problem> {
    caller.require(Scope::KeysManage)?;
    let filter = KeyFilter { tenant: asked.tenant, good: asked.good };
    let page = query::page(asked.limit, asked.cursor.as_deref(), &filter)?;
    Ok(Json(keyring::list(&api.store, caller.viewer, api.clock.now(), &filter, &page).await?))
}
