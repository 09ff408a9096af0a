//! Problem documents (RFC 9457): the only module that makes them.
//!
//! A problem never carries the cause of an internal error; that goes to the log, under the request id that
//! the problem names.

pub mod codes;
mod refusals;
mod scopes;
mod wishes;

use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use issuance::outlook::SettleRefusal;
use serde::Serialize;
use tracing::error;
use utoipa::{IntoResponses, ToSchema};

use crate::adopt::csv::FileError;
use crate::store::StoreError;
use crate::store::authorizations_view::AuthorizationView;
use crate::store::imports::view::ImportView;
use crate::store::imports::wish::ImportWish;
use crate::store::page::PageError;

use self::refusals::Extras;
pub use self::refusals::QuotaReached;
pub(super) use self::wishes::ItemProblem;

const TYPE_BASE: &str = "https://lockkeeper.dev/problems/";
/// What a client sends it knows: more of it is not given back.
const DETAIL_CHARS_MAX: usize = 300;
const DATABASE_RETRY_SECONDS: u32 = 5;
/// An attempt is over in this time, unless the CA is slow.
const IN_HAND_RETRY_SECONDS: u32 = 2;
/// A request is carried out in this time.
const IN_PROGRESS_RETRY_SECONDS: u32 = 1;

/// What went wrong, for whoever asked.
#[derive(Debug, Clone)]
pub struct Problem {
    code: &'static str,
    title: &'static str,
    status: StatusCode,
    detail: String,
    errors: Vec<ProblemEntry>,
    retry_after_seconds: Option<u32>,
    extras: Option<Box<Extras>>,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemEntry {
    /// A JSON pointer, or `?name` for a query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    pub code: &'static str,
    pub detail: String,
}

impl ProblemEntry {
    /// What is wrong at a JSON pointer.
    pub(super) fn at(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), code, detail: detail.into(), ..Self::default() }
    }
}

/// What every operation may answer beside what is its own.
#[derive(Debug, IntoResponses)]
pub(super) enum Problems {
    /// The request is wrong: `errors` says where.
    #[response(status = "4XX", content_type = "application/problem+json")]
    #[expect(dead_code, reason = "describes the answer")]
    Asked(#[to_schema] ProblemDocument),
    /// The service is at fault, or cannot answer now.
    #[response(status = "5XX", content_type = "application/problem+json")]
    #[expect(dead_code, reason = "describes the answer")]
    Served(#[to_schema] ProblemDocument),
}

/// A problem document (RFC 9457), as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ProblemDocument {
    /// An address that names the kind of problem: its last part is the code.
    pub r#type: String,
    pub title: String,
    pub status: u16,
    /// What is wrong with this request, and what to change.
    pub detail: String,
    pub code: String,
    /// Leads to the log.
    pub request_id: String,
    #[schema(required = false)]
    pub errors: Vec<ProblemEntry>,
    /// The quota that is used up.
    #[schema(required = false)]
    pub limit: Option<QuotaReached>,
    /// The policies of our throttle that a request went beyond.
    #[serde(rename = "violated-policies")]
    #[schema(required = false)]
    pub violated_policies: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ProblemEntry],
    #[serde(flatten)]
    extras: Option<&'a Extras>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let code = codes::listed(code);
        Self {
            code,
            title,
            status,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_seconds: None,
            extras: None,
        }
    }

    fn with(mut self, entry: ProblemEntry) -> Self {
        self.errors.push(entry);
        self
    }

    pub(super) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "A token is needed", detail)
    }

    /// The token is good and opens other things. Never for another tenant's objects: those do not exist.
    pub(super) fn idempotency_key_missing() -> Self {
        let detail = "send an Idempotency-Key, a string of your own for this request: it is then carried out once, \
                      however often you send it";
        Self::new(StatusCode::BAD_REQUEST, "idempotency-key-missing", "The request has no name", detail)
    }

    pub(super) fn idempotency_key_bad() -> Self {
        let detail = "an Idempotency-Key is one string of 1 to 255 printable ASCII characters";
        Self::new(StatusCode::BAD_REQUEST, "validation-failed", "The Idempotency-Key is wrong", detail)
    }

    pub(super) fn idempotency_key_reused() -> Self {
        let detail = "this Idempotency-Key was sent with another request: make a new one";
        let title = "The Idempotency-Key belongs to another request";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", title, detail)
    }

    pub(super) fn idempotency_in_progress() -> Self {
        let detail = "the same request is being carried out: send it again for its answer";
        let title = "The request is being carried out";
        let mut problem = Self::new(StatusCode::CONFLICT, "idempotency-in-progress", title, detail);
        problem.retry_after_seconds = Some(IN_PROGRESS_RETRY_SECONDS);
        problem
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", format!("no such {what}"))
    }

    pub(super) fn not_issued_yet() -> Self {
        let detail = "no certificate has been issued yet: the certificate's status tells how far it is";
        Self::new(StatusCode::NOT_FOUND, "not-issued-yet", "Nothing has been issued yet", detail)
    }

    pub(super) fn no_private_key() -> Self {
        let detail = "the private key is not held here: whoever made the certificate's request has kept it";
        Self::new(StatusCode::CONFLICT, "no-private-key", "There is no private key", detail)
    }

    pub(super) fn not_served_as_asked(kinds: &str) -> Self {
        let detail = format!("the bundle is served as {kinds}: send one of these in Accept");
        Self::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", "It is not served as that", detail)
    }

    pub(super) fn selector_too_wide(max: usize) -> Self {
        let detail =
            format!("more than {max} certificates have these labels: ask for fewer with another label");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "selector-too-wide", "The selector is too wide", detail)
    }

    pub(super) fn already_settled(view: &AuthorizationView) -> Self {
        let settled = view.settled_at.map_or_else(String::new, |at| format!(" since {at}"));
        let how = if view.final_at.is_some() { view.status.as_str() } else { "submitted" };
        let detail = format!("it is {how}{settled}: there is nothing to settle");
        Self::new(StatusCode::CONFLICT, "already-settled", "The authorization is settled", detail)
    }

    pub(super) fn not_to_be_settled(refusal: SettleRefusal) -> Self {
        let (code, title, retry) = match refusal {
            SettleRefusal::InHand => {
                ("order-in-hand", "The order is being worked on", Some(IN_HAND_RETRY_SECONDS))
            }
            SettleRefusal::OnItsWay => ("order-on-its-way", "The order is on its way", None),
        };
        let mut problem = Self::new(StatusCode::CONFLICT, code, title, refusal.to_string());
        problem.retry_after_seconds = retry;
        problem
    }

    pub(super) fn no_route() -> Self {
        let detail = "no such address: the API's collections stand under /v1";
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", detail)
    }

    pub(super) fn method_not_allowed() -> Self {
        let detail = "this address takes other methods: the Allow header lists them";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed", detail)
    }

    /// A query parameter cannot be used. `name` is `None` where the query as a whole cannot be read.
    pub(super) fn bad_parameter(name: Option<&str>, detail: impl Into<String>) -> Self {
        let detail = shortened(detail.into());
        let entry = ProblemEntry {
            pointer: name.map(|name| format!("?{name}")),
            code: "bad-parameter",
            detail: detail.clone(),
            ..ProblemEntry::default()
        };
        let title = "A query parameter is wrong";
        Self::new(StatusCode::BAD_REQUEST, "validation-failed", title, detail).with(entry)
    }

    pub(super) fn not_an_import() -> Self {
        let detail = "send the file with Content-Type: text/csv or application/x-ndjson, in UTF-8";
        let title = "Neither CSV nor NDJSON";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", title, detail)
    }

    pub(super) fn encoding_unknown() -> Self {
        let detail = "send the file as it is, or with Content-Encoding: gzip";
        let title = "The encoding is not understood";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding", title, detail)
    }

    pub(super) fn gzip_broken() -> Self {
        let detail = "the body is not what gzip makes, or a part of it is missing: compress it again, or send it as it is";
        Self::new(StatusCode::BAD_REQUEST, "bad-encoding", "The body cannot be inflated", detail)
    }

    pub(super) fn inflates_too_much(ratio: u64) -> Self {
        let detail =
            format!("the body expands to more than {ratio} times its size, which no list of sites does");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "file-too-large", "The file is too large", detail)
    }

    /// The status of the import does not allow it.
    pub(super) fn import_not_so(wish: ImportWish, import: &ImportView) -> Self {
        let status = &import.status;
        let detail = match wish {
            ImportWish::Commit => format!("it is {status}: only a preview can be committed"),
            ImportWish::Cancel => format!("it is {status}: there is nothing to cancel"),
            ImportWish::RollBack if import.rows_kept_until.is_none() && import.ended_at.is_some() => {
                "its rows are not kept: it was made within one request, or ended too long ago".to_owned()
            }
            ImportWish::RollBack => format!("it is {status}: cancel it, or wait until it has ended"),
        };
        Self::new(StatusCode::CONFLICT, "import-status", "The import does not allow it now", detail)
    }

    pub(super) fn not_json() -> Self {
        let detail = "send the request with Content-Type: application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Not JSON", detail)
    }

    /// `pointer` is empty for the document as a whole.
    pub(super) fn body_malformed(error: &serde_json::Error, pointer: &str) -> Self {
        let detail = shortened(error.to_string());
        let entry = ProblemEntry {
            pointer: Some(shortened(format!("#{pointer}"))),
            line: Some(error.line() as u64),
            column: Some(error.column() as u32),
            code: "bad-body",
            detail: detail.clone(),
        };
        let title = "The body cannot be read";
        Self::new(StatusCode::BAD_REQUEST, "validation-failed", title, detail).with(entry)
    }

    /// Each of `errors` says where.
    pub(super) fn body_invalid(errors: Vec<ProblemEntry>) -> Self {
        let first = errors.first().map(|entry| entry.detail.as_str()).unwrap_or_default();
        let detail = format!("{} things are wrong, the first of them: {first}", errors.len());
        let title = "The request cannot be answered";
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation-failed", title, detail) }
    }

    pub(super) fn body_too_large(bytes_max: usize) -> Self {
        let detail = format!("a request has {} MiB at the most: split it", bytes_max >> 20);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The request is too large", detail)
    }

    pub(super) fn file_too_large(bytes_max: usize) -> Self {
        let detail = format!(
            "an import file has {} MiB at the most: split it, each part with the header",
            bytes_max >> 20
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "file-too-large", "The file is too large", detail)
    }

    pub(super) fn upload_broken() -> Self {
        let detail = "the upload broke off or stood still: nothing was imported, send the file again";
        Self::new(StatusCode::REQUEST_TIMEOUT, "upload-incomplete", "The upload is incomplete", detail)
    }

    pub(super) fn import_invalid(error: &FileError) -> Self {
        let detail = error.to_string();
        let entry = match error {
            FileError::Empty | FileError::NoRows => {
                ProblemEntry { line: Some(1), column: Some(1), ..ProblemEntry::default() }
            }
            FileError::Header { column } => {
                ProblemEntry { line: Some(1), column: Some(*column), ..ProblemEntry::default() }
            }
            FileError::TooManyRows { .. } => ProblemEntry::default(),
        };
        let code = match error {
            FileError::NoRows => "no-rows",
            FileError::Empty | FileError::Header { .. } => "bad-header",
            FileError::TooManyRows { .. } => "too-many-rows",
        };
        let entry = ProblemEntry { code, detail: detail.clone(), ..entry };
        let title = "The file cannot be imported";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "import-invalid", title, detail).with(entry)
    }

    /// The service has not been set up so far.
    pub(super) fn account_missing() -> Self {
        let detail = "the CA account does not exist yet: try again when the service has registered it";
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "account-missing",
            "There is no CA account yet",
            detail,
        );
        problem.retry_after_seconds = Some(DATABASE_RETRY_SECONDS);
        problem
    }

    /// A fault of ours: told to the log, not to the client.
    pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        error!(event = "request.failed", error = %error, cause, "A request failed inside: {error}");
        let detail = "this is a fault of the service: report it with the request id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The service failed", detail)
    }

    /// Puts the document into the response; `request_id` leads to the log.
    pub(super) fn render(&self, request_id: &str, response: &mut Response) {
        let extras = self.extras.as_deref();
        let kind = extras.and_then(|extras| extras.kind);
        let document = Document {
            r#type: kind.map_or_else(|| format!("{TYPE_BASE}{}", self.code), str::to_owned),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id,
            errors: &self.errors,
            extras,
        };
        let body = serde_json::to_vec(&document).expect("a document of texts and numbers serializes");
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.remove(CONTENT_LENGTH);
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"lockkeeper\""));
        }
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(policy) = extras.and_then(|extras| HeaderValue::from_str(extras.policy.as_deref()?).ok())
        {
            headers.insert("ratelimit-policy", policy);
        }
        *response.body_mut() = body.into();
    }
}

/// What names a part of the request by its own words, which may be long.
fn shortened(text: String) -> String {
    match text.char_indices().nth(DETAIL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The text is made where the request id is known: in the layer around all routes.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(failed: StoreError) -> Self {
        if failed.is_unavailable() {
            let cause = std::error::Error::source(&failed).map(ToString::to_string).unwrap_or_default();
            error!(event = "request.database_away", error = %failed, cause, "The database is not there: {failed}");
            let detail = "the database does not answer: nothing was changed, try again";
            let title = "The database is unavailable";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let mut problem = Self::new(status, "database-unavailable", title, detail);
            problem.retry_after_seconds = Some(DATABASE_RETRY_SECONDS);
            return problem;
        }
        Self::internal(&failed)
    }
}

impl From<PageError> for Problem {
    fn from(error: PageError) -> Self {
        let parameter = match error {
            PageError::Limit => "limit",
            PageError::Cursor | PageError::Filters => "cursor",
        };
        Self::bad_parameter(Some(parameter), error.to_string())
    }
}
