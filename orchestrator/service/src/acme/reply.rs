//! What is kept of every answer beside its body.

use std::time::Duration;

use ::http::header::{AsHeaderName, DATE, LINK, RETRY_AFTER};
use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use issuance::time::Timestamp;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::endpoint::Endpoint;
use super::error::{AcmeError, Reason};

/// An answer that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<T> {
    pub body: T,
    /// How long the CA asks to wait before the next look (RFC 8555 §7.5.1, RFC 9773 §4.3).
    pub retry_after: Option<Duration>,
    /// The CA's own clock (`Date`): what its expiry instants are measured against. Precise to the second.
    pub ca_time: Option<Timestamp>,
}

impl<T> Reply<T> {
    pub fn map<U>(self, turn: impl FnOnce(T) -> U) -> Reply<U> {
        Reply { body: turn(self.body), retry_after: self.retry_after, ca_time: self.ca_time }
    }
}

/// A 2xx answer whose body nobody has read yet.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) endpoint: Endpoint,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) retry_after: Option<Duration>,
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, AcmeError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| AcmeError::lost(self.endpoint, Reason::Unparsable(error)))
    }

    pub(crate) fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The targets of the `Link` headers with this relation (RFC 8288), in the order given.
    pub(crate) fn links(&self, relation: &str) -> Vec<Box<str>> {
        let values = self.headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| links_in(value, relation)).collect()
    }

    pub(crate) fn reply<T>(&self, body: T) -> Reply<T> {
        Reply { body, retry_after: self.retry_after, ca_time: self.header(DATE).and_then(http_date) }
    }
}

/// `Retry-After` as seconds or as a date (RFC 9110 §10.2.3), as a wait from `now`.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    http_date(text).map(|instant| now.until(instant))
}

/// An IMF-fixdate such as `Sat, 21 Nov 2026 08:03:55 GMT` (RFC 9110 §5.6.7).
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    OffsetDateTime::parse(text, &Rfc2822).ok().map(Timestamp::from)
}

fn links_in(value: &str, relation: &str) -> Vec<Box<str>> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((target, parameters)) = after.split_once('>') else { break };
        let end = parameters.find(", <").or_else(|| parameters.find(",<")).unwrap_or(parameters.len());
        let matches = parameters[..end].split(';').any(|parameter| {
            let (name, words) = parameter.split_once('=').unwrap_or_default();
            name.trim().eq_ignore_ascii_case("rel")
                && words
                    .trim()
                    .trim_matches('"')
                    .split_whitespace()
                    .any(|word| word.eq_ignore_ascii_case(relation))
        });
        if matches {
            found.push(target.into());
        }
        rest = &parameters[end..];
    }
    found
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_248_235); // 2026-11-21 08:03:55 UTC

    fn wait(value: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        retry_after(&headers, NOW)
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        assert_eq!(wait("34"), Some(Duration::from_secs(34)));
        assert_eq!(wait("Sat, 21 Nov 2026 08:04:29 GMT"), Some(Duration::from_secs(34)));
        assert_eq!(wait("Sat, 21 Nov 2026 07:00:00 GMT"), Some(Duration::ZERO), "a past date is no wait");
        assert_eq!(wait("0"), Some(Duration::ZERO));
        assert_eq!(wait("99999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        for nonsense in ["-1", "", "soon", "1.5"] {
            assert_eq!(wait(nonsense), None, "{nonsense:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), NOW), None);
    }

    #[test]
    fn links_are_found_by_relation() {
        let value = r#"<https://ca.test/dir>;rel="index", <https://ca.test/c/1>; rel=alternate,<https://ca.test/c/2>;title="x";rel="up alternate""#;
        let targets: Vec<Box<str>> = vec!["https://ca.test/c/1".into(), "https://ca.test/c/2".into()];
        assert_eq!(links_in(value, "alternate"), targets);
        assert_eq!(links_in(value, "index").len(), 1);
        assert!(links_in("<https://ca.test", "index").is_empty());
        assert!(links_in("", "index").is_empty());
    }
}
