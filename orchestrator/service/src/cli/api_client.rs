//! Speaks to the REST API.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::Frame;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

use super::exit::Exit;
use crate::store::api_keys::{OPERATOR_TOKEN_FILE, Token};

/// A large import takes a while; a service that says nothing for this long is not going to.
const ANSWER_WAIT: Duration = Duration::from_mins(5);
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Of a file, read and sent at once.
const PIECE_BYTES: usize = 64 * 1024;

/// The API of one service, and a token for it.
#[derive(Debug)]
pub struct ApiClient {
    base: String,
    authorization: HeaderValue,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Why the API gave no answer that a command could use.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("{url} is no address of an API: write https://host, or http://127.0.0.1:8400 on this machine")]
    Address { url: String },
    #[error("no token: give --token or LOCKKEEPER_TOKEN, or run where {path} can be read")]
    NoToken {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the token cannot be used: {reason}")]
    Token { reason: String },
    #[error("the trusted roots of this machine cannot be read")]
    Roots(#[source] std::io::Error),
    #[error("{path} cannot be read")]
    File {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the API at {base} cannot be reached: is `lockkeeper serve` running there?")]
    Unreachable {
        base: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{detail} ({code}, request {request_id})")]
    Refused { status: StatusCode, code: String, detail: String, request_id: String },
    #[error("the API at {base} answers {status} with what is none of its documents")]
    Foreign { base: String, status: StatusCode },
}

impl ApiError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Address { .. } | Self::File { .. } => Exit::Usage,
            Self::NoToken { .. } | Self::Token { .. } => Exit::Unauthorized,
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Refused { status, .. } => match status.as_u16() {
                401 | 403 => Exit::Unauthorized,
                404 => Exit::NotFound,
                409 | 412 | 428 => Exit::Conflict,
                429 => Exit::Deferred,
                503 => Exit::Unreachable,
                _ => Exit::Failure,
            },
            Self::Roots(_) | Self::Foreign { .. } => Exit::Failure,
        }
    }
}

/// What every problem document says.
#[derive(Debug, Deserialize)]
struct ProblemDocument {
    code: String,
    detail: String,
    #[serde(default)]
    request_id: String,
}

impl ApiClient {
    /// Plain HTTP is for this machine alone: elsewhere the token would travel in the clear.
    pub fn new(base: &str, token: &Token) -> Result<Self, ApiError> {
        let address = || ApiError::Address { url: base.to_owned() };
        let base = base.trim_end_matches('/');
        let uri: Uri = base.parse().map_err(|_| address())?;
        let host = uri.host().ok_or_else(address)?;
        if uri.scheme() != Some(&Scheme::HTTPS) && !(uri.scheme() == Some(&Scheme::HTTP) && is_loopback(host))
        {
            return Err(address());
        }
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.reveal()))
            .map_err(|error| ApiError::Token { reason: error.to_string() })?;
        authorization.set_sensitive(true);
        let client = Client::builder(TokioExecutor::new()).build(connector()?);
        Ok(Self { base: base.to_owned(), authorization, client })
    }

    /// `GET path`, which begins with a slash.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let body = self.send(Method::GET, path, None).await?;
        serde_json::from_slice(&body).map_err(|_| self.foreign(StatusCode::OK))
    }

    /// `GET path`, as text.
    pub async fn fetch_text(&self, path: &str) -> Result<String, ApiError> {
        let body = self.send(Method::GET, path, None).await?;
        String::from_utf8(body.to_vec()).map_err(|_| self.foreign(StatusCode::OK))
    }

    /// `POST path` with nothing in it.
    pub async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let body = self.send(Method::POST, path, None).await?;
        serde_json::from_slice(&body).map_err(|_| self.foreign(StatusCode::OK))
    }

    /// The same, for an answer that takes up to so many seconds (`Prefer: wait`, RFC 7240).
    pub async fn post_waiting<T: DeserializeOwned>(&self, path: &str, seconds: u64) -> Result<T, ApiError> {
        let wait = HeaderValue::try_from(format!("wait={seconds}")).expect("digits");
        let headers = HeaderMap::from_iter([(HeaderName::from_static("prefer"), wait)]);
        let body = self.exchange(Method::POST, path, None, headers).await?;
        serde_json::from_slice(&body).map_err(|_| self.foreign(StatusCode::OK))
    }

    pub async fn post_csv<T: DeserializeOwned>(&self, path: &str, csv: Bytes) -> Result<T, ApiError> {
        let body = self.send(Method::POST, path, Some(("text/csv; charset=utf-8", csv))).await?;
        serde_json::from_slice(&body).map_err(|_| self.foreign(StatusCode::OK))
    }

    /// `POST path` with a file, which is read while it is sent.
    pub async fn post_file<T: DeserializeOwned>(
        &self,
        path: &str,
        kind: &'static str,
        file: &Path,
    ) -> Result<T, ApiError> {
        let unreadable = |source| ApiError::File { path: file.display().to_string(), source };
        let opened = tokio::fs::File::open(file).await.map_err(unreadable)?;
        let length = opened.metadata().await.map_err(unreadable)?.len();
        let pieces = stream::try_unfold(opened, async |mut opened| {
            let mut piece = BytesMut::with_capacity(PIECE_BYTES);
            let read = opened.read_buf(&mut piece).await?;
            Ok::<_, std::io::Error>((read > 0).then(|| (Frame::data(piece.freeze()), opened)))
        });
        let url = format!("{}{path}", self.base);
        let request = Request::builder()
            .method(Method::POST)
            .uri(&url)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, "application/json, application/problem+json")
            .header(CONTENT_TYPE, kind)
            .header(CONTENT_LENGTH, length)
            .body(StreamBody::new(Box::pin(pieces)))
            .map_err(|_| ApiError::Address { url })?;
        let client = Client::builder(TokioExecutor::new()).build::<_, StreamBody<_>>(connector()?);
        // As long as it takes: the service gives up an upload that stands still.
        let response = client.request(request).await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.unreachable(error))?.to_bytes();
        let body = self.accepted(status, body)?;
        serde_json::from_slice(&body).map_err(|_| self.foreign(status))
    }

    /// `GET path`, piece by piece, however much it is.
    pub(super) async fn download(
        &self,
        path: &str,
        mut each: impl FnMut(&[u8]) -> Result<(), std::io::Error>,
    ) -> Result<Result<(), std::io::Error>, ApiError> {
        let url = format!("{}{path}", self.base);
        let request = Request::builder()
            .uri(&url)
            .header(AUTHORIZATION, self.authorization.clone())
            .body(Full::default())
            .map_err(|_| ApiError::Address { url })?;
        let response = self.client.request(request).await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        if !status.is_success() {
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| self.unreachable(error))?.to_bytes();
            return self.accepted(status, body).map(|_| Ok(()));
        }
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.unreachable(error))?;
            if let Some(Err(error)) = frame.data_ref().map(|data| each(data)) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    /// Changes something: with an Idempotency-Key of its own, and held for up to `wait` seconds if there is something to
    /// wait for.
    pub async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        document: Option<&serde_json::Value>,
        wait: Option<u64>,
    ) -> Result<T, ApiError> {
        let mut headers = HeaderMap::new();
        let key = uuid::Uuid::new_v4().to_string();
        headers.insert("idempotency-key", HeaderValue::try_from(key).expect("hexadecimal digits"));
        if let Some(seconds) = wait.filter(|seconds| *seconds > 0) {
            headers.insert("prefer", HeaderValue::try_from(format!("wait={seconds}")).expect("digits"));
        }
        let body = self.exchange(method, path, document.map(json), headers).await?;
        let body = if body.is_empty() { Bytes::from_static(b"null") } else { body };
        serde_json::from_slice(&body).map_err(|_| self.foreign(StatusCode::OK))
    }

    /// `POST path` with a JSON document.
    pub async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        document: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.exchange_json(Method::POST, path, document, HeaderMap::new()).await
    }

    /// `PATCH path` with a JSON document.
    pub async fn patch_json<T: DeserializeOwned>(
        &self,
        path: &str,
        document: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.exchange_json(Method::PATCH, path, document, HeaderMap::new()).await
    }

    /// `PUT path` with a JSON document.
    pub async fn put_json<T: DeserializeOwned>(
        &self,
        path: &str,
        document: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.exchange_json(Method::PUT, path, document, HeaderMap::new()).await
    }

    /// `DELETE path`, where what is left is told.
    pub async fn delete_telling<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let body = self.send(Method::DELETE, path, None).await?;
        serde_json::from_slice(&body).map_err(|_| self.foreign(StatusCode::OK))
    }

    /// `PATCH path` with a JSON document, of the version that is changed.
    pub async fn patch_version<T: DeserializeOwned>(
        &self,
        path: &str,
        version: i64,
        document: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.exchange_json(Method::PATCH, path, document, if_match(version)).await
    }

    /// `DELETE path`, of the version that is removed.
    pub async fn delete_version(&self, path: &str, version: i64) -> Result<(), ApiError> {
        self.exchange(Method::DELETE, path, None, if_match(version)).await.map(drop)
    }

    /// `DELETE path`.
    pub async fn delete(&self, path: &str) -> Result<(), ApiError> {
        self.send(Method::DELETE, path, None).await.map(drop)
    }

    async fn exchange_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        document: &impl Serialize,
        headers: HeaderMap,
    ) -> Result<T, ApiError> {
        let body = self.exchange(method, path, Some(json(document)), headers).await?;
        serde_json::from_slice(&body).map_err(|_| self.foreign(StatusCode::OK))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        sent: Option<(&'static str, Bytes)>,
    ) -> Result<Bytes, ApiError> {
        self.exchange(method, path, sent, HeaderMap::new()).await
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        sent: Option<(&'static str, Bytes)>,
        headers: HeaderMap,
    ) -> Result<Bytes, ApiError> {
        let url = format!("{}{path}", self.base);
        let mut request = Request::builder()
            .method(method)
            .uri(&url)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, "application/json, application/problem+json");
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        let mut body = Bytes::new();
        if let Some((kind, sent)) = sent {
            request = request.header(CONTENT_TYPE, kind);
            body = sent;
        }
        let request = request.body(Full::from(body)).map_err(|_| ApiError::Address { url })?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| self.unreachable(error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok((status, body.map_err(|error| self.unreachable(error))?.to_bytes()))
        };
        let answered = tokio::time::timeout(ANSWER_WAIT, exchange).await;
        let (status, body) = answered.map_err(|elapsed| self.unreachable(elapsed))??;
        self.accepted(status, body)
    }

    /// The body of an answer, unless it is a problem.
    fn accepted(&self, status: StatusCode, body: Bytes) -> Result<Bytes, ApiError> {
        if status.is_success() {
            return Ok(body);
        }
        let problem: ProblemDocument = serde_json::from_slice(&body).map_err(|_| self.foreign(status))?;
        Err(ApiError::Refused {
            status,
            code: problem.code,
            detail: problem.detail,
            request_id: problem.request_id,
        })
    }

    fn unreachable(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ApiError {
        ApiError::Unreachable { base: self.base.clone(), source: source.into() }
    }

    fn foreign(&self, status: StatusCode) -> ApiError {
        ApiError::Foreign { base: self.base.clone(), status }
    }
}

fn connector() -> Result<HttpsConnector<HttpConnector>, ApiError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider);
    Ok(builder.map_err(ApiError::Roots)?.https_or_http().enable_all_versions().build())
}

/// `GET url` without a token, as text: what the metrics port answers.
pub async fn fetch_plain(url: &str) -> Result<String, ApiError> {
    let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| ApiError::Unreachable {
        base: url.to_owned(),
        source,
    };
    let uri: Uri = url.parse().map_err(|_| ApiError::Address { url: url.to_owned() })?;
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(HttpConnector::new());
    let response = client.get(uri).await.map_err(|error| unreachable(error.into()))?;
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(unreachable)?;
    String::from_utf8(body.to_bytes().to_vec()).map_err(|error| unreachable(error.into()))
}

/// The token that a person or a variable gave.
pub fn parse_token(text: &str) -> Result<Token, ApiError> {
    Token::parse(text.trim()).map_err(|error| ApiError::Token { reason: error.to_string() })
}

/// The token that the service on this machine has left in its data folder.
pub fn operator_token(data_folder: &Path) -> Result<Token, ApiError> {
    let path = data_folder.join(OPERATOR_TOKEN_FILE);
    let text = std::fs::read_to_string(&path)
        .map_err(|source| ApiError::NoToken { path: path.display().to_string(), source })?;
    parse_token(&text)
}

fn json(document: &impl Serialize) -> (&'static str, Bytes) {
    let json = serde_json::to_vec(document).expect("a document of texts and numbers serializes");
    ("application/json", json.into())
}

fn if_match(version: i64) -> HeaderMap {
    let tag = HeaderValue::try_from(format!("\"{version}\"")).expect("digits in quotes");
    HeaderMap::from_iter([(http::header::IF_MATCH, tag)])
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
