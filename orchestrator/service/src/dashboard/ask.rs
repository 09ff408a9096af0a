//! The API, asked by whoever is signed in: in this process, without a connection.

use std::fmt::Write as _;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, IF_MATCH};
use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::api::auth::SignedIn;

const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
const JSON: &str = "application/json";
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Asks for one user.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) api: Router,
    pub(super) user: SignedIn,
}

/// What the API has to say against a request (RFC 9457).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) title: String,
    pub(super) detail: String,
    #[serde(default)]
    pub(super) errors: Vec<Entry>,
    #[serde(default)]
    pub(super) request_id: String,
}

/// One thing that is wrong with it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Entry {
    pub(super) detail: String,
    #[serde(default)]
    pub(super) pointer: Option<String>,
    #[serde(default)]
    pub(super) line: Option<u64>,
}

impl Refusal {
    #[expect(clippy::unnecessary_box_returns, reason = "it is handed on as every refusal is")]
    fn broken(what: impl std::fmt::Display) -> Box<Self> {
        Box::new(Self {
            status: 500,
            code: "internal".to_owned(),
            title: "A fault of the service".to_owned(),
            detail: format!("the page could not be put together: {what}"),
            errors: Vec::new(),
            request_id: String::new(),
        })
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What it has in common with others of its kind.
    pub(super) fn kind(self) -> String {
        // Whose role does not do it, and whose does: the same whatever it is done to.
        if self.code == "forbidden-scope" { self.detail } else { self.title }
    }

    /// All of it in one sentence after the other.
    pub(super) fn sentence(&self) -> String {
        // Writing to a string does not fail.
        let mut sentence = format!("{}: {}", self.title, self.detail);
        for entry in &self.errors {
            sentence.push_str("; ");
            if let Some(line) = entry.line {
                let _ = write!(sentence, "line {line}: ");
            } else if let Some(pointer) = &entry.pointer {
                let _ = write!(sentence, "{}: ", pointer.trim_start_matches('/'));
            }
            sentence.push_str(&entry.detail);
        }
        sentence
    }
}

/// A request that changes something.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<(&'static str, Bytes)>,
    /// The version that is changed.
    pub(super) version: Option<i64>,
    /// The name of this request: sent twice, it is done once.
    pub(super) once: Option<String>,
}

impl Write {
    pub(super) fn json(method: Method, path: String, document: Option<&Value>) -> Self {
        let body = document.map(|document| (JSON, Bytes::from(document.to_string())));
        Self { method, path, body, version: None, once: None }
    }
}

impl Ask {
    /// `GET path`, which begins with a slash.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Box<Refusal>> {
        let request = Request::builder().uri(path).body(Body::empty()).map_err(Refusal::broken)?;
        read(&self.exchange(request).await?)
    }

    /// The same, where there may be nothing.
    pub(super) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Box<Refusal>> {
        match self.get(path).await {
            Ok(found) => Ok(Some(found)),
            Err(refusal) if refusal.status == 404 => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Carries out a write, and answers what the API tells of it; `null` where it has nothing to tell.
    pub(super) async fn write(&self, write: Write) -> Result<Value, Box<Refusal>> {
        let mut request = Request::builder().method(write.method).uri(&write.path);
        if let Some(version) = write.version {
            request = request.header(IF_MATCH, format!("\"{version}\""));
        }
        if let Some(once) = write.once {
            request = request.header(IDEMPOTENCY_KEY, once);
        }
        let request = match write.body {
            Some((kind, body)) => request.header(CONTENT_TYPE, kind).body(Body::from(body)),
            None => request.body(Body::empty()),
        };
        let body = self.exchange(request.map_err(Refusal::broken)?).await?;
        if body.is_empty() { Ok(Value::Null) } else { read(&body) }
    }

    async fn exchange(&self, mut request: Request<Body>) -> Result<Bytes, Box<Refusal>> {
        request.extensions_mut().insert(self.user.clone());
        let response = match self.api.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(Refusal::broken)?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        Err(serde_json::from_slice(&body).unwrap_or_else(|_| Refusal::broken(status)))
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Box<Refusal>> {
    serde_json::from_slice(body).map_err(Refusal::broken)
}
