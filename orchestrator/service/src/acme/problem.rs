//! Reads a refusal: a problem document where there is one, the HTTP status where there is none.

use std::time::Duration;

use issuance::identifier::Hostname;
use issuance::problem::{Problem, ProblemKind};
use issuance::time::Timestamp;
use serde::Deserialize;
use time::PrimitiveDateTime;
use time::macros::format_description;

/// What is kept of a CA's words. They come from outside and end up in logs, rows and pages.
const DETAIL_BYTES_MAX: usize = 1024;
/// One per name of the largest order.
const SUBPROBLEMS_MAX: usize = issuance::identifier::NAMES_MAX;

/// A problem document as it stands on the wire; every member may be missing (RFC 9457 §3.1).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WireProblem {
    #[serde(rename = "type")]
    kind: Option<String>,
    detail: Option<String>,
    /// Kept loose: a CA that writes it as text is not worth losing the type for.
    status: serde_json::Value,
    identifier: Option<WireIdentifier>,
    subproblems: Vec<WireProblem>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct WireIdentifier {
    value: String,
}

impl WireProblem {
    /// `status` is used where the document names none.
    pub(crate) fn into_problem(self, status: u16) -> Problem {
        self.into_problem_of(status, true)
    }

    fn into_problem_of(self, status: u16, with_subproblems: bool) -> Problem {
        let status = self.status.as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(status);
        let kind = match self.kind.as_deref() {
            None | Some("" | "about:blank") => kind_of_status(status),
            Some(text) => ProblemKind::parse(&sane(text)),
        };
        let mut problem = Problem::new(kind, status, sane(self.detail.as_deref().unwrap_or_default()));
        problem.identifier = self.identifier.and_then(|found| Hostname::parse(&found.value).ok());
        if with_subproblems {
            problem.subproblems = self
                .subproblems
                .into_iter()
                .take(SUBPROBLEMS_MAX)
                .map(|sub| sub.into_problem_of(status, false))
                .collect();
        }
        problem
    }
}

/// The refusal in an answer that is neither 2xx nor a redirect. The HTTP status of the answer wins over the one the
/// document claims, because load balancers and CAs are told apart by it.
pub(crate) fn read(status: u16, body: &[u8], retry_after: Option<Duration>, now: Timestamp) -> Problem {
    let document = serde_json::from_slice::<WireProblem>(body).ok();
    let mut problem = match document {
        Some(document) if document.kind.is_some() || document.detail.is_some() => {
            document.into_problem(status)
        }
        _ => Problem::new(kind_of_status(status), status, sane(&String::from_utf8_lossy(lead(body)))),
    };
    problem.status = status;
    problem.retry_after = retry_after.or_else(|| wait_in_words(&problem.detail, now));
    problem
}

fn kind_of_status(status: u16) -> ProblemKind {
    match status {
        429 | 503 => ProblemKind::RateLimited,
        500.. => ProblemKind::ServerInternal,
        _ => ProblemKind::Malformed,
    }
}

fn lead(body: &[u8]) -> &[u8] {
    &body[..body.len().min(DETAIL_BYTES_MAX)]
}

/// One line without control characters, at most [`DETAIL_BYTES_MAX`] long.
fn sane(text: &str) -> Box<str> {
    let mut kept = String::with_capacity(text.len().min(DETAIL_BYTES_MAX));
    for shown in text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !c.is_control()) {
        if kept.len() + shown.len_utf8() > DETAIL_BYTES_MAX {
            break;
        }
        kept.push(shown);
    }
    kept.into()
}

/// Boulder also writes the instant into the text ("retry after 2026-11-21 08:04:29 UTC"): the last resort where a
/// proxy has eaten the header.
fn wait_in_words(detail: &str, now: Timestamp) -> Option<Duration> {
    let (_, rest) = detail.split_once("retry after ")?;
    let (text, _) = rest.split_once(" UTC")?;
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let instant = PrimitiveDateTime::parse(text, format).ok()?;
    Some(now.until(Timestamp::from(instant.assume_utc())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_248_235); // 2026-11-21 08:03:55 UTC

    fn read_at(status: u16, body: &[u8]) -> Problem {
        read(status, body, None, NOW)
    }

    #[test]
    fn a_problem_document_is_kept_whole() {
        let body = br#"{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"several","status":400,
            "subproblems":[{"type":"urn:ietf:params:acme:error:caa","detail":"no","identifier":{"type":"dns","value":"a.com"}},
                           {"type":"urn:ietf:params:acme:error:malformed","status":403}]}"#;
        let problem = read_at(400, body);
        assert_eq!(
            (problem.kind, &*problem.detail, problem.status),
            (ProblemKind::RejectedIdentifier, "several", 400)
        );
        let [caa, malformed] = &problem.subproblems[..] else { panic!("two subproblems") };
        assert_eq!((&caa.kind, caa.status), (&ProblemKind::Caa, 400));
        assert_eq!(caa.identifier.as_ref().map(Hostname::as_str), Some("a.com"));
        assert_eq!((&malformed.kind, malformed.status), (&ProblemKind::Malformed, 403));
    }

    #[test]
    fn an_unknown_type_or_a_textual_status_loses_nothing_else() {
        let problem =
            read_at(418, br#"{"type":"urn:ietf:params:acme:error:teapot","detail":"short","status":"418"}"#);
        assert_eq!((problem.kind.as_str(), &*problem.detail, problem.status), ("teapot", "short", 418));
    }

    #[test]
    fn what_is_no_problem_document_is_judged_by_its_status() {
        for (status, kind) in [
            (429, ProblemKind::RateLimited),
            (503, ProblemKind::RateLimited),
            (500, ProblemKind::ServerInternal),
            (502, ProblemKind::ServerInternal),
            (404, ProblemKind::Malformed),
        ] {
            let html = read_at(status, b"<html>\r\n<h1>Sorry</h1>\x1b[31m</html>");
            assert_eq!((&html.kind, html.status), (&kind, status));
            assert_eq!(&*html.detail, "<html>  <h1>Sorry</h1>[31m</html>");
            let empty = read_at(status, b"");
            assert_eq!((&empty.kind, &*empty.detail), (&kind, ""));
            assert_eq!(read_at(status, b"{}").kind, kind);
            assert_eq!(read_at(status, b"[1]").kind, kind);
        }
    }

    #[test]
    fn hostile_text_is_cut_and_cleaned() {
        let huge = "\u{1F512}".repeat(300_000);
        let body = serde_json::to_vec(&serde_json::json!({ "type": "about:blank", "detail": huge })).unwrap();
        let problem = read_at(503, &body);
        assert_eq!((problem.kind, problem.detail.len()), (ProblemKind::RateLimited, DETAIL_BYTES_MAX));
        assert_eq!(read_at(400, &[0xff; 4096]).detail.len(), DETAIL_BYTES_MAX - 1);
        let many = serde_json::json!({ "type": "x", "subproblems": vec![serde_json::json!({ "type": "y" }); 5_000] });
        assert_eq!(read_at(400, &serde_json::to_vec(&many).unwrap()).subproblems.len(), SUBPROBLEMS_MAX);
        let deep = format!("{}{}", r#"{"subproblems":["#.repeat(10_000), "]}".repeat(10_000));
        assert_eq!(read_at(400, deep.as_bytes()).kind, ProblemKind::Malformed);
    }

    #[test]
    fn the_instant_in_the_text_stands_in_for_a_missing_header() {
        let body = br#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many new orders (300) from this account in the last 3h0m0s, retry after 2026-11-21 08:04:29 UTC: see x"}"#;
        assert_eq!(read_at(429, body).retry_after, Some(Duration::from_secs(34)));
        let told = Some(Duration::from_secs(7));
        assert_eq!(read(429, body, told, NOW).retry_after, told);
    }
}
