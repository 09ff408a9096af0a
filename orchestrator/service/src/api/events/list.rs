//! `GET /v1/events`

use axum::Json;
use axum::extract::State;
use issuance::ids::{CertificateId, EventId};
use issuance::time::Timestamp;
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::{self, Parameters};
use crate::store::events_view::{self, EventView};
use crate::store::page::{LIMIT_DEFAULT, LIMIT_MAX, Listing};
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
    /// Kinds, with commas between, or all of a subject as in `certificate.*`.
    kind: Option<String>,
    /// The object it is about: an id, a hostname, a limit.
    subject: Option<String>,
    /// A tenant's slug.
    tenant: Option<String>,
    certificate: Option<CertificateId>,
    since: Option<Timestamp>,
    /// What was told after this event, in the order in which it was told, and nothing passed over that is committed late:
    /// ask again with the last one's id.
    after: Option<EventId>,
}

/// The latest first; with `after`, the next ones in their order.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "events",
    security(("bearer" = ["events:read"])),
    params(ListParameters),
    responses((status = 200, description = "A page", body = Listing<EventView>), Problems)
)]
#[tracing::instrument(name = "api.events.list", skip_all)]
pub(in crate::api) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<Json<Listing<EventView>>, Problem> {
    caller.require(Scope::EventsRead)?;
    let filter =
        super::filter(asked.kind.as_deref(), asked.subject, asked.tenant, asked.certificate, asked.since)?;
    let Some(after) = asked.after else {
        let page = query::page(asked.limit, asked.cursor.as_deref(), &filter)?;
        return Ok(Json(events_view::list(&api.store, caller.viewer, &filter, &page).await?));
    };
    if asked.cursor.is_some() {
        let detail = "after goes on by itself: ask again with the id of the last event, and no cursor";
        return Err(Problem::bad_parameter(Some("cursor"), detail));
    }
    let limit = asked.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::bad_parameter(
            Some("limit"),
            format!("limit must be between 1 and {LIMIT_MAX}"),
        ));
    }
    let place = events_view::after(&api.store, caller.viewer, after).await?;
    let place = place.ok_or_else(|| Problem::not_found("event to go on after"))?;
    let limit = u16::try_from(limit).unwrap_or(u16::MAX);
    let found = events_view::follow(&api.store, caller.viewer, &filter, &place, limit).await?;
    Ok(Json(Listing { data: found.events, next_cursor: None, has_more: found.more }))
}
