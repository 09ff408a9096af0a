//! Requests that change something: each is carried out once, however often it is sent.
//!
//! A handler reads the request, begins, changes, tells, and finishes:
//!
//! ```text
//! let wanted: Wanted = request.json()?;
//! let mut write = or_answered!(request.begin(&api, &caller).await?);
//! let view = things::create(&mut write.work, wanted).await?;
//! write.work.tell(Event { … }).await?;
//! write.finish(Answer::created(&view, location)).await
//! ```
//!
//! Effect, audit and answer are committed together. With an `Idempotency-Key`
//! (draft-ietf-httpapi-idempotency-key-header) the same request gets the same answer again for
//! [`REMEMBERED`](crate::store::idempotent_answers::REMEMBERED); what ended in a problem has changed nothing and is
//! tried anew.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::ApiState;
use super::auth::Caller;
use super::body::{self, DOCUMENT_BYTES_MAX};
use super::problem::Problem;
use crate::keys::Sealer;
use crate::store::idempotent_answers::{KeptAnswer, Known, RequestName};
use crate::store::work::Work;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const KEY_CHARS_MAX: usize = 255;

/// A request that changes something, read as a whole.
#[derive(Debug)]
pub(super) struct WriteRequest {
    pub(super) headers: HeaderMap,
    method: Method,
    uri: Uri,
    body: Bytes,
}

/// Whether there is something left to do.
#[derive(Debug)]
pub(super) enum Begun {
    Fresh(Box<Write>),
    /// It was done before: this is the answer that was given.
    Answered(Response),
}

/// What is left to do; a handler that finds its request carried out ends here, with the answer that was given.
macro_rules! or_answered {
    ($begun:expr) => {
        match $begun {
            $crate::api::write::Begun::Fresh(write) => write,
            $crate::api::write::Begun::Answered(response) => return Ok(response),
        }
    };
}
pub(super) use or_answered;

/// A request that is being carried out. Dropped, it changes nothing.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) work: Work,
    name: Option<RequestName>,
    sealer: Arc<Sealer>,
}

/// What is answered to a request that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    status: StatusCode,
    location: Option<String>,
    etag: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn of(status: StatusCode, view: &impl Serialize) -> Self {
        let body = serde_json::to_vec(view).expect("a view of texts and numbers serializes");
        Self { status, location: None, etag: None, body }
    }

    pub(super) fn ok(view: &impl Serialize) -> Self {
        Self::of(StatusCode::OK, view)
    }

    /// `location`: where what was made is read, as a path.
    pub(super) fn created(view: &impl Serialize, location: impl Into<String>) -> Self {
        Self { location: Some(location.into()), ..Self::of(StatusCode::CREATED, view) }
    }

    /// It is begun; `location`: where to look how far it is.
    pub(super) fn accepted(view: &impl Serialize, location: impl Into<String>) -> Self {
        Self { location: Some(location.into()), ..Self::of(StatusCode::ACCEPTED, view) }
    }

    pub(super) fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, location: None, etag: None, body: Vec::new() }
    }

    /// `location`: where it is read, as a path.
    #[must_use]
    pub(super) fn with_location(self, location: impl Into<String>) -> Self {
        Self { location: Some(location.into()), ..self }
    }

    /// `etag` as the header has it, with its quotes.
    #[must_use]
    pub(super) fn with_etag(self, etag: impl Into<String>) -> Self {
        Self { etag: Some(etag.into()), ..self }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        let headers = response.headers_mut();
        if !self.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in [(LOCATION, self.location), (ETAG, self.etag)] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
        *response.body_mut() = Body::from(self.body);
        response
    }
}

impl FromRequest<ApiState> for WriteRequest {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &ApiState) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = body::receive(&parts.headers, body, DOCUMENT_BYTES_MAX, Problem::body_too_large).await?;
        Ok(Self { headers: parts.headers, method: parts.method, uri: parts.uri, body })
    }
}

impl WriteRequest {
    /// The document that was sent. What does not belong to it is refused by its type.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if !body::is_json(&self.headers) {
            return Err(Problem::not_json());
        }
        body::parse(&self.body)
    }

    /// Like [`Self::json`], for a request that need not send any.
    pub(super) fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        if self.body.iter().all(u8::is_ascii_whitespace) { Ok(T::default()) } else { self.json() }
    }

    /// For a request that a client may not repeat without a name for it.
    pub(super) fn require_idempotency_key(&self) -> Result<(), Problem> {
        if self.headers.contains_key(IDEMPOTENCY_KEY) {
            Ok(())
        } else {
            Err(Problem::idempotency_key_missing())
        }
    }

    pub(super) async fn begin(&self, api: &ApiState, caller: &Caller) -> Result<Begun, Problem> {
        begin(api, caller, self.name(caller)?).await
    }

    fn name(&self, caller: &Caller) -> Result<Option<RequestName>, Problem> {
        let Some(idempotency_key) = idempotency_key(&self.headers)? else { return Ok(None) };
        let mut digest = Sha256::new();
        let query = self.uri.query().unwrap_or_default();
        digest.update((query.len() as u64).to_be_bytes());
        digest.update(query.as_bytes());
        digest.update(&self.body);
        Ok(Some(RequestName {
            api_key: caller.key,
            method: self.method.to_string(),
            path: self.uri.path().to_owned(),
            idempotency_key,
            fingerprint: digest.finalize().into(),
        }))
    }
}

/// For requests that are not read as a whole: `name` says which one it is, if its client says so.
pub(super) async fn begin(
    api: &ApiState,
    caller: &Caller,
    name: Option<RequestName>,
) -> Result<Begun, Problem> {
    let now = api.clock.now();
    let mut work = Work::begin(&api.store, caller.viewer, caller.actor.clone(), now).await?;
    if let Some(name) = &name {
        match work.look_up(name).await? {
            Known::New => {}
            Known::InProgress => return Err(Problem::idempotency_in_progress()),
            Known::Reused => return Err(Problem::idempotency_key_reused()),
            Known::Answered(kept) => {
                // Whoever sends it once more finds its name free.
                work.abandon().await?;
                return opened(&api.sealer, name, kept).map(Begun::Answered);
            }
        }
    }
    Ok(Begun::Fresh(Box::new(Write { work, name, sealer: Arc::clone(&api.sealer) })))
}

impl Write {
    /// Commits, and answers.
    pub(super) async fn finish(mut self, answer: Answer) -> Result<Response, Problem> {
        if let Some(name) = &self.name {
            let body =
                self.sealer.seal(&context(name), &answer.body).map_err(|error| Problem::internal(&error))?;
            let kept = KeptAnswer {
                status: answer.status.as_u16(),
                location: answer.location.clone(),
                etag: answer.etag.clone(),
                body,
            };
            self.work.remember(name, &kept).await?;
        }
        self.work.commit().await?;
        Ok(answer.into_response())
    }
}

fn opened(sealer: &Sealer, name: &RequestName, kept: KeptAnswer) -> Result<Response, Problem> {
    let body = sealer.open(&context(name), &kept.body).map_err(|error| Problem::internal(&error))?;
    let answer = Answer {
        status: StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK),
        location: kept.location,
        etag: kept.etag,
        body: body.expose_secret().to_vec(),
    };
    let mut response = answer.into_response();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

fn context(name: &RequestName) -> String {
    format!("idempotent_answers/{}/{} {}/{}", name.api_key, name.method, name.path, name.idempotency_key)
}

/// The header's string, quoted (RFC 8941 §3.3.3) or bare, as many clients send it.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map(str::trim).unwrap_or_default();
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let plain = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\' || b == b' ';
    let good = (1..=KEY_CHARS_MAX).contains(&bare.len()) && bare.bytes().all(plain);
    if good && values.next().is_none() {
        Ok(Some(bare.to_owned()))
    } else {
        Err(Problem::idempotency_key_bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_quoted_and_bare() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IDEMPOTENCY_KEY, value.parse().expect("a header"));
            }
            idempotency_key(&headers).map_err(|_| ())
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["\"8e03-a\""]), Ok(Some("8e03-a".to_owned())));
        assert_eq!(read(&["8e03-a"]), Ok(Some("8e03-a".to_owned())));
        assert_eq!(read(&["\"\""]), Err(()));
        assert_eq!(read(&["\"a"]), Err(()));
        assert_eq!(read(&["a", "a"]), Err(()), "one request, one name");
    }
}
