//! Addresses of the API, as its clients in this program write them: the command line and the dashboard.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands in an id or a hostname stays readable.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.');

/// One part of a path, which nothing in it can break out of.
pub fn segment(text: &str) -> String {
    // Alone, they would be taken for a way up.
    if matches!(text, "." | "..") {
        return text.replace('.', "%2E");
    }
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A path with one more part.
pub fn with_segment(path: &str, text: &str) -> String {
    format!("{path}/{}", segment(text))
}

/// A path with those of the parameters that are given.
pub fn with_query(path: &str, parameters: &[(&str, Option<impl AsRef<str>>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some((name, value.as_ref()?.as_ref())));
    let query: Vec<String> =
        given.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, SEGMENT))).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_a_segment() {
        assert_eq!(segment("www.example.com"), "www.example.com");
        assert_eq!(segment("../x?y#z"), "..%2Fx%3Fy%23z");
        assert_eq!(segment(".."), "%2E%2E");
        assert_eq!(with_segment("/v1/x", "a/b"), "/v1/x/a%2Fb");
        assert_eq!(with_query("/a", &[("q", Some("1&x=2")), ("r", None)]), "/a?q=1%26x%3D2");
    }

    #[test]
    fn a_query_holds_what_is_given_and_nothing_breaks_out_of_it() {
        let parameters = [("a", Some("x&y=ü z".to_owned())), ("b", None), ("c", Some("1".to_owned()))];
        assert_eq!(with_query("/v1/x", &parameters), "/v1/x?a=x%26y%3D%C3%BC%20z&c=1");
        assert_eq!(with_query("/v1/x", &[("b", None::<&str>)]), "/v1/x");
    }
}
