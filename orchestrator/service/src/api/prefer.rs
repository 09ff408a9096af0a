//! `Prefer: wait=N` (RFC 7240 §4.3): the answer is held until there is something to tell.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::ApiState;
use super::problem::Problem;

pub(super) const PREFER: HeaderName = HeaderName::from_static("prefer");
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// Longer holds a connection for nothing.
pub(super) const WAIT_SECONDS_MAX: u64 = 30;
/// Between two looks of one who waits, however much moves.
const LOOKS_APART: Duration = Duration::from_millis(150);
/// What another replica does is seen after this at the latest.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where only a look is waited for.
pub(super) const LOOK_SECONDS_MAX: u64 = 60;

/// `Prefer: wait=N`, at most [`LOOK_SECONDS_MAX`].
pub(super) fn wait_of(headers: &HeaderMap) -> Duration {
    Duration::from_secs(preferred(headers).unwrap_or(0).min(LOOK_SECONDS_MAX))
}

/// The seconds of the first `wait` that can be read: what cannot is no preference.
fn preferred(headers: &HeaderMap) -> Option<u64> {
    let preferences = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    preferences
        .flat_map(|value| value.split(','))
        .filter_map(|preference| {
            let (name, value) = preference.split(';').next()?.split_once('=')?;
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("wait").then(|| value.parse::<u64>())
        })
        .find_map(Result::ok)
}

/// How long a client prefers to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    seconds: u64,
}

impl Wait {
    /// `None`: not at all.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let wait = preferred(headers)?;
        (wait > 0).then_some(Self { seconds: wait.min(WAIT_SECONDS_MAX) })
    }

    /// Reads until `is_told` or until the time is over, and gives what was read last. No connection to the database is
    /// held between two looks. Where too many wait already, it is read once.
    pub(super) async fn until<T, F: Future<Output = Result<T, Problem>> + Send>(
        self,
        api: &ApiState,
        read: impl Fn() -> F,
        is_told: impl Fn(&T) -> bool,
    ) -> Result<T, Problem> {
        let Ok(_seat) = api.wait_seats.try_acquire() else { return read().await };
        let deadline = Instant::now() + Duration::from_secs(self.seconds);
        loop {
            // Asked for before it is read, so that nothing is missed in between.
            let moved = api.store.moved();
            let looked_at = Instant::now();
            let seen = read().await?;
            if is_told(&seen) || Instant::now() >= deadline || api.stop.is_cancelled() {
                return Ok(seen);
            }
            let next = (looked_at + LOOK_EVERY).min(deadline);
            tokio::select! {
                // Who moved does not matter: it may have been this one.
                _ = timeout_at(next, moved) => {}
                () = api.stop.cancelled() => {}
            }
            sleep_until((looked_at + LOOKS_APART).min(deadline)).await;
        }
    }

    /// Says that it was waited.
    pub(super) fn applied(self, mut response: Response) -> Response {
        let value = HeaderValue::try_from(format!("wait={}", self.seconds)).expect("digits");
        response.headers_mut().insert(APPLIED, value);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_and_bounded() {
        let wait = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(PREFER, value.parse().expect("a header"));
            }
            Wait::of(&headers).map(|wait| wait.seconds)
        };
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&["wait=10"]), Some(10));
        assert_eq!(wait(&["respond-async, Wait=\"7\""]), Some(7));
        assert_eq!(wait(&["respond-async", "wait=5; foo"]), Some(5));
        assert_eq!(wait(&["wait=99999"]), Some(WAIT_SECONDS_MAX));
        assert_eq!(wait(&["wait=-1", "wait"]), None);
        assert_eq!(wait(&["wait=0"]), None);
    }
}
