//! `GET /v1/events/stream`: Server-Sent Events, from where the client has got to.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use issuance::ids::{CertificateId, EventId};
use issuance::time::Timestamp;
use serde::Deserialize;
use tokio::time::Instant;
use tracing::warn;

use super::seats::{OF_A_KEY, Seat};
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::Parameters;
use crate::store::events_view::{self, EventFilter, EventView, Place};
use crate::store::scope::Scope;
use crate::store::viewer::Viewer;

/// Between two looks at the database of one who follows.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_secs(15);
/// After this a client comes back, and shows its key again.
const FOLLOWED_MAX: Duration = Duration::from_mins(15);
const BACK_AFTER: Duration = Duration::from_secs(2);
const EVENTS_MAX: u16 = 100;
const LAST_EVENT_ID: &str = "last-event-id";
/// nginx: pass on what comes, as it comes.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct StreamParameters {
    /// Kinds, with commas between, or all of a subject as in `certificate.*`.
    kind: Option<String>,
    /// The object it is about: an id, a hostname, a limit.
    subject: Option<String>,
    /// A tenant's slug.
    tenant: Option<String>,
    certificate: Option<CertificateId>,
    /// What was told before as well, from then on. Absent: from now on.
    since: Option<Timestamp>,
}

/// Events as they come, as `text/event-stream`: `id`, `event` (the kind) and `data` (the event). A client that comes back
/// with `Last-Event-ID` has missed nothing. The stream ends after a quarter of an hour, and when the service stops: come back.
#[utoipa::path(
    get,
    path = "/v1/events/stream",
    tag = "events",
    security(("bearer" = ["events:read"])),
    params(
        StreamParameters,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event seen, `evt_…`")
    ),
    responses((status = 200, description = "Events", content_type = "text/event-stream", body = String), Problems)
)]
#[tracing::instrument(name = "api.events.follow", skip_all)]
pub(in crate::api) async fn follow(
    State(api): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    Parameters(asked): Parameters<StreamParameters>,
) -> Result<Response, Problem> {
    caller.require(Scope::EventsRead)?;
    let filter =
        super::filter(asked.kind.as_deref(), asked.subject, asked.tenant, asked.certificate, asked.since)?;
    let seat = api.seats.take(caller.key).ok_or_else(|| {
        let detail = format!("this key follows {OF_A_KEY} times already, or too many do: end one");
        Problem::quota_exceeded(detail)
    })?;
    let place = match (last_event(&headers)?, asked.since) {
        (Some(event), _) => {
            let place = events_view::after(&api.store, caller.viewer, event).await?;
            place.ok_or_else(|| Problem::not_found("event to go on after: begin without Last-Event-ID"))?
        }
        (None, Some(since)) => events_view::since(&api.store, since).await?,
        (None, None) => events_view::end(&api.store).await?,
    };
    let follower = Follower {
        viewer: caller.viewer,
        filter,
        place,
        waiting: VecDeque::new(),
        greeted: false,
        ends_at: Instant::now() + FOLLOWED_MAX,
        _seat: seat,
        api,
    };
    let events = stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok::<Event, Infallible>(event), follower))
    });
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("still here"));
    Ok(([UNBUFFERED], stream).into_response())
}

fn last_event(headers: &HeaderMap) -> Result<Option<EventId>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(None);
    }
    let event = text.parse().map_err(|_| {
        Problem::bad_parameter(None, "Last-Event-ID is the id of an event that was sent, such as evt_…")
    })?;
    Ok(Some(event))
}

struct Follower {
    api: ApiState,
    viewer: Viewer,
    filter: EventFilter,
    place: Place,
    waiting: VecDeque<EventView>,
    greeted: bool,
    ends_at: Instant,
    _seat: Seat,
}

impl Follower {
    /// The next one; `None` ends the stream.
    async fn next(&mut self) -> Option<Event> {
        if !self.greeted {
            self.greeted = true;
            // The head of the answer is on its way with it.
            return Some(Event::default().retry(BACK_AFTER).comment("following"));
        }
        loop {
            if let Some(view) = self.waiting.pop_front() {
                return Some(sent(&view));
            }
            if self.api.stop.is_cancelled() || Instant::now() >= self.ends_at {
                return None;
            }
            let more = self.look().await;
            if self.waiting.is_empty() && !more {
                tokio::select! {
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = self.api.stop.cancelled() => return None,
                }
            }
        }
    }

    /// True where there is more at once. A database that is away is asked again: the client keeps its place.
    async fn look(&mut self) -> bool {
        match events_view::follow(&self.api.store, self.viewer, &self.filter, &self.place, EVENTS_MAX).await {
            Ok(found) => {
                self.waiting.extend(found.events);
                self.place = found.place;
                found.more
            }
            Err(error) => {
                warn!(
                    event = "events.follow_failed",
                    error = &error as &dyn std::error::Error,
                    "Events could not be followed; looking again"
                );
                false
            }
        }
    }
}

fn sent(view: &EventView) -> Event {
    let data = serde_json::to_string(view).expect("a view of texts and numbers serializes");
    Event::default().id(view.id.to_string()).event(&view.kind).data(data)
}
