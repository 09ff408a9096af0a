//! Problem documents (RFC 9457) with the types of RFC 8555 §6.7, worded as Boulder words them.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// Boulder answers every 500 with this wait.
const SERVER_ERROR_RETRY_SECONDS: u64 = 60;
const RATE_LIMITS_URL: &str = "https://letsencrypt.org/docs/rate-limits";

/// The error types this CA sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    AccountDoesNotExist,
    AlreadyReplaced,
    AlreadyRevoked,
    BadCsr,
    BadNonce,
    BadPublicKey,
    BadRevocationReason,
    BadSignatureAlgorithm,
    Caa,
    Conflict,
    Connection,
    Dns,
    ExternalAccountRequired,
    InvalidContact,
    InvalidProfile,
    Malformed,
    OrderNotReady,
    RateLimited,
    RejectedIdentifier,
    ServerInternal,
    Unauthorized,
    UnsupportedContact,
    UnsupportedIdentifier,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AccountDoesNotExist => "accountDoesNotExist",
            Self::AlreadyReplaced => "alreadyReplaced",
            Self::AlreadyRevoked => "alreadyRevoked",
            Self::BadCsr => "badCSR",
            Self::BadNonce => "badNonce",
            Self::BadPublicKey => "badPublicKey",
            Self::BadRevocationReason => "badRevocationReason",
            Self::BadSignatureAlgorithm => "badSignatureAlgorithm",
            Self::Caa => "caa",
            Self::Conflict => "conflict",
            Self::Connection => "connection",
            Self::Dns => "dns",
            Self::ExternalAccountRequired => "externalAccountRequired",
            Self::InvalidContact => "invalidContact",
            Self::InvalidProfile => "invalidProfile",
            Self::Malformed => "malformed",
            Self::OrderNotReady => "orderNotReady",
            Self::RateLimited => "rateLimited",
            Self::RejectedIdentifier => "rejectedIdentifier",
            Self::ServerInternal => "serverInternal",
            Self::Unauthorized => "unauthorized",
            Self::UnsupportedContact => "unsupportedContact",
            Self::UnsupportedIdentifier => "unsupportedIdentifier",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::AlreadyReplaced | Self::Conflict => StatusCode::CONFLICT,
            Self::Caa | Self::OrderNotReady | Self::Unauthorized | Self::ExternalAccountRequired => {
                StatusCode::FORBIDDEN
            }
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::ServerInternal => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Identifier {
    #[serde(rename = "type")]
    kind: &'static str,
    value: Box<str>,
}

impl Identifier {
    pub(crate) fn dns(value: impl Into<Box<str>>) -> Self {
        Self { kind: "dns", value: value.into() }
    }
}

/// One problem about one identifier of a larger request (RFC 8555 §6.7.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Subproblem {
    #[serde(rename = "type")]
    urn: Box<str>,
    detail: Box<str>,
    status: u16,
    identifier: Identifier,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    urn: Box<str>,
    detail: Box<str>,
    status: u16,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subproblems: Vec<Subproblem>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    algorithms: Vec<&'static str>,
    #[serde(skip)]
    kind: Kind,
    #[serde(skip)]
    retry_after: Option<Duration>,
    #[serde(skip)]
    help: bool,
    #[serde(skip)]
    location: Option<Box<str>>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<Box<str>>) -> Self {
        let server_error = kind == Kind::ServerInternal;
        Self {
            urn: format!("urn:ietf:params:acme:error:{}", kind.as_str()).into(),
            detail: detail.into(),
            status: kind.status().as_u16(),
            subproblems: Vec::new(),
            algorithms: Vec::new(),
            kind,
            retry_after: server_error.then(|| Duration::from_secs(SERVER_ERROR_RETRY_SECONDS)),
            help: false,
            location: None,
        }
    }

    pub(crate) fn malformed(detail: impl Into<Box<str>>) -> Self {
        Self::new(Kind::Malformed, detail)
    }

    /// Boulder has no type for "not found": it is `malformed` with a 404.
    pub(crate) fn not_found(detail: impl Into<Box<str>>) -> Self {
        Self { status: StatusCode::NOT_FOUND.as_u16(), ..Self::malformed(detail) }
    }

    pub(crate) fn unauthorized(detail: impl Into<Box<str>>) -> Self {
        Self::new(Kind::Unauthorized, detail)
    }

    /// A quota: 429 with the help link, and the wait where the CA knows one.
    pub(crate) fn rate_limited(detail: impl Into<Box<str>>, retry_after: Option<Duration>) -> Self {
        Self { retry_after, help: true, ..Self::new(Kind::RateLimited, detail) }
    }

    /// Too much to do, which is no quota.
    pub(crate) fn busy(retry_after: Duration) -> Self {
        let busy = Self::new(Kind::RateLimited, "Service busy; retry later.");
        Self { retry_after: Some(retry_after), ..busy.with_status(StatusCode::SERVICE_UNAVAILABLE) }
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status: status.as_u16(), ..self }
    }

    pub(crate) fn with_location(self, url: impl Into<Box<str>>) -> Self {
        Self { location: Some(url.into()), ..self }
    }

    pub(crate) fn with_algorithms(self, algorithms: &[&'static str]) -> Self {
        Self { algorithms: algorithms.to_vec(), ..self }
    }

    pub(crate) fn with_subproblems(self, subs: Vec<(Problem, String)>) -> Self {
        let subproblems = subs
            .into_iter()
            .map(|(problem, name)| Subproblem {
                urn: problem.urn,
                detail: problem.detail,
                status: problem.status,
                identifier: Identifier::dns(name),
            })
            .collect();
        Self { subproblems, ..self }
    }

    /// The same problem with what was being done put in front: `context :: reason`.
    pub(crate) fn within(self, context: &str) -> Self {
        Self { detail: format!("{context} :: {}", self.detail).into(), ..self }
    }

    /// The same problem with a prefix of its detail, as remote perspectives and fetched addresses have one.
    pub(crate) fn prefixed(self, prefix: &str) -> Self {
        Self { detail: format!("{prefix}{}", self.detail).into(), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec_pretty(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(self.kind);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        if self.help
            && let Ok(link) = HeaderValue::from_str(&format!("<{RATE_LIMITS_URL}>;rel=\"help\""))
        {
            headers.append(header::LINK, link);
        }
        if let Some(location) = self.location
            && let Ok(location) = HeaderValue::from_str(&location)
        {
            headers.insert(header::LOCATION, location);
        }
        response
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.detail)
    }
}
