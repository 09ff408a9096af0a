//! `/v1/imports`: certificates that are to exist, by the file.
//!
//! A CSV without a `mode` is committed at once and answered with what became of it (`at_once`). With `mode=preview` or
//! `mode=commit` the file is received row by row (`upload`), and the rest is a job of the service: the answer is 202, and
//! `Location` says where to look.

mod at_once;
mod errors;
mod inflate;
mod read;
mod upload;
mod wish;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use issuance::fairness::Lane;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Caller;
use super::problem::{Problem, Problems};
use super::query::{self, Parameters};
use crate::adopt::stream::Format;
use crate::store::idempotent_answers::RequestName;
use crate::store::imports::view::ImportView;
use crate::store::scope::Scope;
use crate::store::viewer::Viewer;

pub use at_once::{ImportReport, RefusedRow, wishes};
pub(super) use upload::describe_metrics;

/// The lanes that can be asked for; renewals are the service's own.
pub const LANES: [Lane; 3] = [Lane::Bulk, Lane::Interactive, Lane::Urgent];

const MODES: [&str; 2] = ["preview", "commit"];
/// A row of another tenant than the one whose key it came with.
const OTHER_TENANT: &str = "other_tenant";
const PATH: &str = "/v1/imports";

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(read::list, create))
        .routes(routes!(read::find))
        .routes(routes!(read::items))
        .routes(routes!(errors::download))
        .routes(routes!(wish::commit))
        .routes(routes!(wish::cancel))
        .routes(routes!(wish::roll_back))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateParameters {
    lane: Option<String>,
    mode: Option<String>,
}

impl CreateParameters {
    /// The lane of the new orders: behind all others, unless somebody waits.
    fn lane(&self, viewer: Viewer) -> Result<Lane, Problem> {
        let Some(word) = self.lane.as_deref() else { return Ok(Lane::Bulk) };
        match LANES.into_iter().find(|lane| lane.as_str() == word) {
            Some(Lane::Urgent) if viewer != Viewer::Operator => Err(Problem::bad_parameter(
                Some("lane"),
                "the lane urgent is the operator's: ask for interactive",
            )),
            Some(lane) => Ok(lane),
            None => {
                let words = LANES.map(Lane::as_str).join(", ");
                Err(Problem::bad_parameter(Some("lane"), format!("lane is one of {words}")))
            }
        }
    }
}

/// Certificates that are to exist, one a row: `tenant`, `external_id`, `names`, `challenge`, `labels`. `Content-Encoding:
/// gzip` is understood.
#[utoipa::path(
    post,
    path = "/v1/imports",
    tag = "imports",
    security(("bearer" = ["imports:write"])),
    params(
        (
            "lane" = Option<String>, Query,
            description = "Where the new orders wait: `bulk` (also if absent), `interactive`, or for the operator `urgent`"
        ),
        (
            "mode" = Option<String>, Query,
            description = "`preview`: it waits for a commit; `commit`: it is committed as soon as it is there. Absent: a CSV \
                           is committed within the request, NDJSON is previewed"
        )
    ),
    request_body(content(
        (String = "text/csv", example = "tenant,external_id,names,challenge,labels\nt1,site-1,shop.com www.shop.com,http-01,server=web1\n"),
        (String = "application/x-ndjson")
    )),
    responses(
        (status = 200, description = "Without a mode: nothing was new", body = ImportReport),
        (status = 201, description = "Without a mode: what became of the rows", body = ImportReport),
        (status = 202, description = "It has arrived, and is worked on", body = ImportView),
        Problems
    )
)]
#[tracing::instrument(name = "api.imports.create", skip_all)]
pub(super) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    Parameters(asked): Parameters<CreateParameters>,
    headers: HeaderMap,
    uri: Uri,
    body: Body,
) -> Result<Response, Problem> {
    caller.require(Scope::ImportsWrite)?;
    let format = format_of(&headers).ok_or_else(Problem::not_an_import)?;
    let lane = asked.lane(caller.viewer)?;
    match (query::one_of("mode", asked.mode.as_deref(), &MODES)?, format) {
        (None, Format::Csv) => at_once::create(&api, &caller, lane, &headers, &uri, body).await,
        (mode, format) => {
            let wanted = upload::Wanted { format, lane, commits: mode == Some("commit") };
            upload::create(&api, &caller, wanted, &headers, &uri, body).await
        }
    }
}

/// Which format the file has, if it has one, in UTF-8.
fn format_of(headers: &HeaderMap) -> Option<Format> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok())?;
    let mut parts = value.split(';').map(str::trim);
    let format = match parts.next()?.to_ascii_lowercase().as_str() {
        "text/csv" => Format::Csv,
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Format::Ndjson,
        _ => return None,
    };
    let in_utf8 = parts.all(|parameter| {
        let charset = parameter.get(..8).filter(|name| name.eq_ignore_ascii_case("charset="));
        charset.is_none() || parameter[8..].trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    in_utf8.then_some(format)
}

/// The request, if its client has given it a name: the same one brings the same query and the same file.
fn request_name(caller: &Caller, uri: &Uri, idempotency_key: String, file_sha256: &[u8; 32]) -> RequestName {
    let query = uri.query().unwrap_or_default();
    let mut digest = Sha256::new();
    digest.update((query.len() as u64).to_be_bytes());
    digest.update(query.as_bytes());
    digest.update(file_sha256);
    RequestName {
        api_key: caller.key,
        method: Method::POST.to_string(),
        path: PATH.to_owned(),
        idempotency_key,
        fingerprint: digest.finalize().into(),
    }
}

fn not_own(tenant: &str) -> String {
    format!("this token imports for its own tenant alone, not for {tenant}")
}
