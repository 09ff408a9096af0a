//! `POST /v1/orphans/{orphan}/look`, `POST /v1/orphans/{orphan}/settle`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use issuance::ids::OrphanId;
use serde_json::json;

use crate::api::ApiState;
use crate::api::auth::{Caller, Operator};
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::events::Event;
use crate::store::orphans_view::{self, OrphanView, OrphanWish};
use crate::store::scope::Scope;

/// Has an orphan looked at before all others.
#[utoipa::path(
    post, path = "/v1/orphans/{orphan}/look", tag = "authorizations",
    params(("orphan" = OrphanId, Path, description = "The orphan's id, `orp_…`")),
    security(("bearer" = ["authorizations:manage"])),
    responses((status = 202, description = "The next pass of the reconciler begins with it", body = OrphanView), Problems)
)]
#[tracing::instrument(name = "api.orphans.look", skip_all, fields(orphan.id = %id))]
pub(super) async fn look(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    PathId(id): PathId<OrphanId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    wish(&api, &caller, id, &request, OrphanWish::Look, "orphan.look_requested").await
}

/// Has an orphan looked at before all others, and what is open in it settled at once instead of by its deadline.
#[utoipa::path(
    post, path = "/v1/orphans/{orphan}/settle", tag = "authorizations",
    params(("orphan" = OrphanId, Path, description = "The orphan's id, `orp_…`")),
    security(("bearer" = ["authorizations:manage"])),
    responses((status = 202, description = "The next pass of the reconciler begins with it", body = OrphanView), Problems)
)]
#[tracing::instrument(name = "api.orphans.settle", skip_all, fields(orphan.id = %id))]
pub(super) async fn settle(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    PathId(id): PathId<OrphanId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    wish(&api, &caller, id, &request, OrphanWish::Settle, "orphan.settle_requested").await
}

async fn wish(
    api: &ApiState,
    caller: &Caller,
    id: OrphanId,
    request: &WriteRequest,
    wish: OrphanWish,
    kind: &'static str,
) -> Result<Response, Problem> {
    caller.require(Scope::AuthorizationsManage)?;
    let mut write = or_answered!(request.begin(api, caller).await?);
    let wished = orphans_view::wish(&mut write.work, id, wish).await?;
    let (before, after) = wished.ok_or_else(|| Problem::not_found("orphan"))?;
    let told = |view: &OrphanView| json!({ "url": view.url, "looked_at": view.looked_at, "settle_requested_at": view.settle_requested_at });
    let event = Event {
        kind,
        tenant: None,
        certificate: None,
        subject: id.to_string(),
        data: json!({ "before": told(&before), "after": told(&after) }),
    };
    write.work.tell(event).await?;
    write.finish(Answer::of(StatusCode::ACCEPTED, &after.foretold(&api.profile))).await
}
