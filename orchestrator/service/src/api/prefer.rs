//! What a client prefers (RFC 7240): how long it would rather wait than be told that there is nothing yet.

use std::time::Duration;

use axum::http::HeaderMap;

/// Longer holds a connection for nothing.
pub(super) const WAIT_SECONDS_MAX: u64 = 60;

/// `Prefer: wait=N`, at most [`WAIT_SECONDS_MAX`]; what cannot be read is no preference.
pub(super) fn wait_of(headers: &HeaderMap) -> Duration {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let wait = preferences
        .flat_map(|value| value.split(','))
        .filter_map(|preference| {
            let (name, value) = preference.split_once('=')?;
            name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').parse::<u64>())
        })
        .find_map(Result::ok);
    Duration::from_secs(wait.unwrap_or(0).min(WAIT_SECONDS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_and_bounded() {
        let wait = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", value.parse().expect("a header"));
            }
            wait_of(&headers).as_secs()
        };
        assert_eq!(wait(&[]), 0);
        assert_eq!(wait(&["wait=10"]), 10);
        assert_eq!(wait(&["respond-async, Wait=\"7\""]), 7);
        assert_eq!(wait(&["respond-async", "wait=5"]), 5);
        assert_eq!(wait(&["wait=99999"]), WAIT_SECONDS_MAX);
        assert_eq!(wait(&["wait=-1", "wait"]), 0);
    }
}
