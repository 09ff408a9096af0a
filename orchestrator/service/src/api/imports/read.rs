//! `GET /v1/imports`, `GET /v1/imports/{import}` and `GET /v1/imports/{import}/items`

use axum::Json;
use axum::extract::State;
use issuance::ids::ImportId;
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::{self, Parameters, PathId};
use crate::store::imports::view::{self, ImportFilter, ImportView, ItemView, STATUSES, VERDICTS};
use crate::store::page::Listing;
use crate::store::scope::Scope;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ListParameters {
    limit: Option<u32>,
    cursor: Option<String>,
    status: Option<String>,
}

/// Imports.
#[utoipa::path(
    get,
    path = "/v1/imports",
    tag = "imports",
    security(("bearer" = ["imports:write"])),
    params(
        ("limit" = Option<u32>, Query, description = "Rows of a page: 50 if absent, 1,000 at the most"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("status" = Option<String>, Query, description = "Only imports that are so")
    ),
    responses((status = 200, description = "Oldest first", body = Listing<ImportView>), Problems)
)]
#[tracing::instrument(name = "api.imports.list", skip_all)]
pub(super) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<Json<Listing<ImportView>>, Problem> {
    caller.require(Scope::ImportsWrite)?;
    let filter = ImportFilter { status: query::one_of("status", asked.status.as_deref(), &STATUSES)? };
    let page = query::page(asked.limit, asked.cursor.as_deref(), &filter)?;
    Ok(Json(view::list(&api.store, caller.viewer, &filter, &page).await?))
}

/// One import: how far it is, and what became of its rows.
#[utoipa::path(
    get,
    path = "/v1/imports/{import}",
    tag = "imports",
    security(("bearer" = ["imports:write"])),
    params(("import" = ImportId, Path, description = "Its id: imp_…")),
    responses((status = 200, body = ImportView), Problems)
)]
#[tracing::instrument(name = "api.imports.read", skip_all, fields(import.id = %id))]
pub(super) async fn find(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<ImportId>,
) -> Result<Json<ImportView>, Problem> {
    caller.require(Scope::ImportsWrite)?;
    seen(&api, &caller, id).await.map(Json)
}

/// The import, if it is there for this caller.
pub(super) async fn seen(api: &ApiState, caller: &Caller, id: ImportId) -> Result<ImportView, Problem> {
    view::find(&api.store, caller.viewer, id).await?.ok_or_else(|| Problem::not_found("import"))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ItemParameters {
    limit: Option<u32>,
    cursor: Option<String>,
    verdict: Option<String>,
}

/// In the order of the lines.
#[utoipa::path(
    get,
    path = "/v1/imports/{import}/items",
    tag = "imports",
    security(("bearer" = ["imports:write"])),
    params(
        ("import" = ImportId, Path, description = "Its id: imp_…"),
        ("limit" = Option<u32>, Query, description = "Rows of a page: 50 if absent, 1,000 at the most"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("verdict" = Option<String>, Query, description = "Only rows of which this becomes")
    ),
    responses((status = 200, body = Listing<ItemView>), Problems)
)]
#[tracing::instrument(name = "api.imports.items", skip_all, fields(import.id = %id))]
pub(super) async fn items(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<ImportId>,
    Parameters(asked): Parameters<ItemParameters>,
) -> Result<Json<Listing<ItemView>>, Problem> {
    caller.require(Scope::ImportsWrite)?;
    let verdict = query::one_of("verdict", asked.verdict.as_deref(), &VERDICTS)?;
    let page = query::page(asked.limit, asked.cursor.as_deref(), &(id, verdict))?;
    seen(&api, &caller, id).await?;
    Ok(Json(view::items(&api.store, id, verdict, &page).await?))
}
