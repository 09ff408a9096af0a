//! Versions of what can be changed: `ETag`, and `If-Match` (RFC 9110 §13.1.1).

use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;

use super::problem::Problem;

/// The entity tag of a row's version.
pub(super) fn of(version: i64) -> String {
    format!("\"{version}\"")
}

/// Nobody changes what was changed since he read it, if he says what he has read.
///
/// # Errors
/// The version is another one than `If-Match` names.
pub(super) fn require(headers: &HeaderMap, version: i64) -> Result<(), Problem> {
    let mut named = headers.get_all(IF_MATCH).iter().peekable();
    if named.peek().is_none() {
        return Ok(());
    }
    let own = of(version);
    let tags =
        named.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim);
    let matches = tags.into_iter().any(|tag| tag == "*" || tag == own);
    if matches { Ok(()) } else { Err(Problem::version_mismatch(version)) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_read_is_changed() {
        let asked = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_MATCH, value.parse().expect("a header"));
            }
            require(&headers, 7).is_ok()
        };
        assert!(asked(&[]) && asked(&["\"7\""]) && asked(&["*"]) && asked(&["\"6\", \"7\""]));
        assert!(asked(&["\"6\"", "\"7\""]));
        assert!(!asked(&["\"6\""]) && !asked(&["7"]) && !asked(&["W/\"7\""]), "a weak tag never matches");
    }
}
