//! `GET /v1/events/{event}`

use axum::Json;
use axum::extract::State;
use issuance::ids::EventId;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::store::events_view::{self, EventView};
use crate::store::scope::Scope;

/// One event.
#[utoipa::path(
    get,
    path = "/v1/events/{event}",
    tag = "events",
    security(("bearer" = ["events:read"])),
    params(("event" = EventId, Path, description = "The event's id, `evt_…`")),
    responses((status = 200, description = "As it is now", body = EventView), Problems)
)]
#[tracing::instrument(name = "api.events.read", skip_all, fields(event.id = %id))]
pub(in crate::api) async fn read(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<EventId>,
) -> Result<Json<EventView>, Problem> {
    caller.require(Scope::EventsRead)?;
    let found = events_view::find(&api.store, caller.viewer, id).await?;
    found.map(Json).ok_or_else(|| Problem::not_found("event"))
}
