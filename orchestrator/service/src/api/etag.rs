//! Versions of single objects (RFC 9110 §8.8.3, §13.1): what a client has read, and whether that is still true.
//!
//! A handler that answers one object puts the tag on, and one that changes it asks first:
//!
//! ```ignore
//! etag::Etag::of(view.version, &view)                     // GET: `ETag: "7-1f0a…"`, 304 by `if_none_match`
//! etag::require(&request.headers, locked.version)?; // PATCH, DELETE: 412 version-mismatch
//! ```
//!
//! A tag has the row's version in front, which goes up when somebody changes the object, and behind it a digest of the
//! representation, which changes when anything in it does, such as how far an order is. `If-None-Match` compares the
//! whole. `If-Match` compares the version alone: an order that moves on is no reason to refuse a change of what is wished.

use axum::Json;
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::problem::Problem;

/// What a client may hold against an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Etag(String);

impl Etag {
    /// Of a representation, and the version of what is in it.
    pub(super) fn of(version: i64, view: &impl Serialize) -> Self {
        let body = serde_json::to_vec(view).expect("a view of texts and numbers serializes");
        let digest: String = Sha256::digest(body)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("\"{version}-{digest}\""))
    }

    /// As the header has it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The client has this already.
    pub(super) fn is_known(&self, headers: &HeaderMap) -> bool {
        tags(headers, IF_NONE_MATCH).any(|tag| tag == "*" || tag.trim_start_matches("W/") == self.0)
    }

    /// The representation, or 304 where the client has it already.
    pub(super) fn answer(&self, headers: &HeaderMap, view: &impl Serialize) -> Response {
        let tag = HeaderValue::from_str(&self.0).expect("digits and letters");
        if self.is_known(headers) {
            return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
        }
        ([(ETAG, tag)], Json(view)).into_response()
    }
}

/// The entity tag of a row's version alone.
pub(super) fn of(version: i64) -> String {
    format!("\"{version}\"")
}

/// Nobody changes what was changed since he read it, if he says what he has read.
///
/// # Errors
/// The version is another one than `If-Match` names.
pub(super) fn require(headers: &HeaderMap, version: i64) -> Result<(), Problem> {
    if !headers.contains_key(IF_MATCH) {
        return Ok(());
    }
    let is_version = |tag: &str| {
        let bare = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let front = bare.and_then(|bare| bare.split('-').next());
        tag == "*" || front.and_then(|front| front.parse().ok()) == Some(version)
    };
    if tags(headers, IF_MATCH).any(is_version) { Ok(()) } else { Err(Problem::version_mismatch(version)) }
}

/// The same, for what nobody changes without saying what he has read.
///
/// # Errors
/// There is no `If-Match`, or the version is another one than it names.
pub(super) fn require_named(headers: &HeaderMap, version: i64) -> Result<(), Problem> {
    if headers.contains_key(IF_MATCH) {
        require(headers, version)
    } else {
        Err(Problem::precondition_missing())
    }
}

fn tags(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().expect("a header"))])
    }

    #[test]
    fn a_change_is_held_against_the_version_and_a_reading_against_the_whole() {
        let tag = Etag::of(7, &"one state");
        assert!(tag.as_str().starts_with("\"7-"));
        let matches = |value: &str, version| require(&headers(IF_MATCH, value), version).is_ok();
        assert!(matches(tag.as_str(), 7) && matches("\"7\"", 7) && matches("*", 7));
        assert!(!matches("7", 7) && !matches("W/\"7\"", 7), "a weak tag never matches");
        assert!(matches("\"6-00\", \"7-00\"", 7));
        assert!(!matches(tag.as_str(), 8) && !matches("\"x\"", 7) && !matches("", 7));
        assert!(require(&HeaderMap::new(), 7).is_ok());

        assert!(tag.is_known(&headers(IF_NONE_MATCH, tag.as_str())));
        assert!(tag.is_known(&headers(IF_NONE_MATCH, &format!("\"1-0\", W/{}", tag.as_str()))));
        assert!(!tag.is_known(&headers(IF_NONE_MATCH, Etag::of(7, &"another").as_str())));
        assert!(!tag.is_known(&HeaderMap::new()));
    }
}
