//! `POST /v1/imports/{import}/commit`, `…/cancel` and `…/rollback`

use axum::extract::State;
use axum::response::Response;
use issuance::ids::ImportId;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::imports::view::ImportView;
use crate::store::imports::wish::{self, Granted, ImportWish};
use crate::store::scope::Scope;

/// What was previewed is made so. Rows that were refused stay refused; the others are judged again as they are then.
#[utoipa::path(
    post,
    path = "/v1/imports/{import}/commit",
    tag = "imports",
    security(("bearer" = ["imports:write"])),
    params(("import" = ImportId, Path, description = "Its id: imp_…")),
    responses((status = 202, description = "It is being committed, or is", body = ImportView), Problems)
)]
#[tracing::instrument(name = "api.imports.commit", skip_all, fields(import.id = %id))]
pub(super) async fn commit(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<ImportId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    grant(&api, &caller, id, &request, ImportWish::Commit).await
}

/// Nothing more of it is committed; what has been stays, until it is rolled back.
#[utoipa::path(
    post,
    path = "/v1/imports/{import}/cancel",
    tag = "imports",
    security(("bearer" = ["imports:write"])),
    params(("import" = ImportId, Path, description = "Its id: imp_…")),
    responses((status = 202, description = "It is cancelled", body = ImportView), Problems)
)]
#[tracing::instrument(name = "api.imports.cancel", skip_all, fields(import.id = %id))]
pub(super) async fn cancel(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<ImportId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    grant(&api, &caller, id, &request, ImportWish::Cancel).await
}

/// What it has created is removed, with its orders and the names it has claimed, unless a CA has been asked for it or it
/// was changed since: `rollback` of each row tells. What it has changed stays. May be asked for again.
#[utoipa::path(
    post,
    path = "/v1/imports/{import}/rollback",
    tag = "imports",
    security(("bearer" = ["imports:write"])),
    params(("import" = ImportId, Path, description = "Its id: imp_…")),
    responses((status = 202, description = "It is being taken back", body = ImportView), Problems)
)]
#[tracing::instrument(name = "api.imports.roll_back", skip_all, fields(import.id = %id))]
pub(super) async fn roll_back(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<ImportId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    grant(&api, &caller, id, &request, ImportWish::RollBack).await
}

async fn grant(
    api: &ApiState,
    caller: &Caller,
    id: ImportId,
    request: &WriteRequest,
    wanted: ImportWish,
) -> Result<Response, Problem> {
    caller.require(Scope::ImportsWrite)?;
    let mut write = or_answered!(request.begin(api, caller).await?);
    let view = match wish::wish(&mut write.work, id, wanted).await? {
        Granted::Now(view) => view,
        Granted::Refused(view) => return Err(Problem::import_not_so(wanted, &view)),
        Granted::NotFound => return Err(Problem::not_found("import")),
    };
    let response = write.finish(Answer::accepted(&*view, format!("/v1/imports/{id}"))).await?;
    api.import_bell.notify_one();
    Ok(response)
}
