//! `/v1/events`: what was done, and what has come about.

mod list;
mod read;
mod seats;
mod stream;

use issuance::ids::CertificateId;
use issuance::time::Timestamp;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::problem::Problem;
use crate::store::events_view::EventFilter;

pub(super) use self::seats::Seats;

/// A wish for more kinds than this is a wish for all.
const KINDS_MAX: usize = 50;
const KIND_BYTES_MAX: usize = 64;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(stream::follow))
        .routes(routes!(read::read))
}

/// Of the query's parameters. Kinds are not held to a list: those of the audit come with every release.
fn filter(
    kind: Option<&str>,
    subject: Option<String>,
    tenant: Option<String>,
    certificate: Option<CertificateId>,
    since: Option<Timestamp>,
) -> Result<EventFilter, Problem> {
    let kinds: Vec<String> =
        kind.into_iter().flat_map(|kinds| kinds.split(',')).map(|kind| kind.trim().to_owned()).collect();
    let is_kind = |kind: &String| {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let (subject, what) = kind.split_once('.').unwrap_or_default();
        kind.len() <= KIND_BYTES_MAX
            && !subject.is_empty()
            && subject.bytes().all(word)
            && (what == "*" || (!what.is_empty() && what.bytes().all(word)))
    };
    if kinds.len() > KINDS_MAX || !kinds.iter().all(is_kind) {
        let detail = format!(
            "kind is a kind such as certificate.issued, or all of a subject as in certificate.*, or up to {KINDS_MAX} of \
             them with commas between"
        );
        return Err(Problem::bad_parameter(Some("kind"), detail));
    }
    Ok(EventFilter { kinds, subject, tenant, certificate, since })
}
