//! `GET /admin/live`: tells an open page that something has happened, so that it looks again.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::time::Instant;

use super::Dashboard;
use super::guard::Visitor;
use crate::store::events_view;

const LOOK_EVERY: Duration = Duration::from_secs(2);
const HEARTBEAT: Duration = Duration::from_secs(15);
/// After this a page comes back, and shows its cookie again.
const FOLLOWED_MAX: Duration = Duration::from_mins(15);

/// One word, `changed`, whenever events were told since the last. Whose they are is not said: the page asks as its reader.
pub(super) async fn follow(State(dashboard): State<Dashboard>, _: Visitor) -> Response {
    let state = dashboard.state;
    let Ok(place) = events_view::end(&state.store).await else { return super::page::unavailable() };
    let ends_at = Instant::now() + FOLLOWED_MAX;
    let events = stream::unfold((state, place), move |(state, mut place)| async move {
        while Instant::now() < ends_at {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = state.stop.cancelled() => return None,
            }
            if let Ok(end) = events_view::end(&state.store).await
                && end != place
            {
                place = end;
                // A browser drops an event without data (HTML, "dispatch the event").
                return Some((
                    Ok::<_, Infallible>(Event::default().event("changed").data("yes")),
                    (state, place),
                ));
            }
        }
        None
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response()
}
