//! Reads what is sent.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_path_to_error::Segment;

use super::problem::{Problem, ProblemEntry};
use crate::json::Object;

/// An upload that sends nothing for this long is given up.
const UPLOAD_STILL_MAX: Duration = Duration::from_secs(30);

/// All of a body of `bytes_max` at the most; one that is larger is refused before it has arrived, if it is announced.
pub(super) async fn receive(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    too_large: fn(usize) -> Problem,
) -> Result<Bytes, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(too_large(bytes_max));
    }
    let mut received = BytesMut::new();
    let mut chunks = body.into_data_stream();
    loop {
        match tokio::time::timeout(UPLOAD_STILL_MAX, chunks.next()).await {
            Ok(None) => return Ok(received.freeze()),
            Ok(Some(Ok(chunk))) if received.len() + chunk.len() <= bytes_max => {
                received.extend_from_slice(&chunk);
            }
            Ok(Some(Ok(_))) => return Err(too_large(bytes_max)),
            Ok(Some(Err(_))) | Err(_) => return Err(Problem::upload_broken()),
        }
    }
}

/// Small documents: everything but files.
pub(super) const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// A document that was sent. Where it is wrong is told as line and column, and as a JSON pointer.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if has_null(body) {
        let detail = "no text has a null character: leave \\u0000 out";
        return Err(Problem::body_invalid(vec![ProblemEntry::at("", "null-character", detail)]));
    }
    let mut document = serde_json::Deserializer::from_slice(body);
    let Object(parsed) = serde_path_to_error::deserialize(&mut document)
        .map_err(|error| Problem::body_malformed(error.inner(), &pointer(error.path())))?;
    document.end().map_err(|error| Problem::body_malformed(&error, ""))?;
    Ok(parsed)
}

/// Whether a text in the document would have one, which the database does not take: it is written `\u0000` (RFC 8259 §7).
fn has_null(body: &[u8]) -> bool {
    const ESCAPE: &[u8] = b"\\u0000";
    body.windows(ESCAPE.len()).enumerate().any(|(at, window)| {
        // An escaped backslash in front makes it plain text.
        window == ESCAPE && body[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
    })
}

/// RFC 6901.
fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => {
                pointer.push('/');
                pointer.push_str(&index.to_string());
            }
            Segment::Map { key: name } | Segment::Enum { variant: name } => {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Unknown => {}
        }
    }
    pointer
}

/// Tells `null`, which takes away, from what is left away, which stays (RFC 7396).
#[expect(clippy::option_option, reason = "what is absent, null and given are three things")]
pub(super) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.and_then(|value| value.split(';').next()).map(str::trim);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_character_is_seen_however_it_is_written() {
        assert!(has_null(br#"{"a":"\u0000"}"#) && has_null(br#"{"a":"x\\\u0000"}"#));
        assert!(!has_null(br#"{"a":"\\u0000"}"#) && !has_null(br#"{"a":"\u0001"}"#) && !has_null(b"{}"));
    }
}
