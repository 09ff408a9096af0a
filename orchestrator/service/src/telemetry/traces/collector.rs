//! The way to the collector: OTLP over HTTP, as protobuf (OTLP specification §OTLP/HTTP).

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;

use crate::config::{CollectorUrl, TracesConfig};
use crate::https::{self, HttpsClient};

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("lockkeeper/", env!("CARGO_PKG_VERSION"), " (traces)"));
/// What is read of an answer.
const BODY_BYTES_MAX: usize = 64 * 1024;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What is configured of the collector cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    #[error("[traces] {key}: {} cannot be read", path.display())]
    File {
        key: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("[traces] headers_file: line {line} is no header: write name: value")]
    Header { line: usize },
    #[error("[traces] extra_root holds no certificate in PEM")]
    Root,
    #[error("could not set up TLS for the collector of traces")]
    Tls(#[source] rustls::Error),
}

impl From<https::SetUpError> for CollectorError {
    fn from(error: https::SetUpError) -> Self {
        match error {
            https::SetUpError::Root => Self::Root,
            https::SetUpError::Tls(error) => Self::Tls(error),
        }
    }
}

/// A batch that did not get there.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("no answer from the collector")]
    Unanswered(#[source] Cause),
    #[error("no answer from the collector in time")]
    Timeout,
    #[error("the collector is busy: it answers {status}")]
    Busy { status: StatusCode, retry_after: Option<Duration> },
    #[error("the collector refuses spans: it answers {status}")]
    Refused { status: StatusCode },
}

impl SendError {
    /// Whether it is worth another try.
    pub(super) fn passes(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

pub(super) struct Collector {
    client: HttpsClient,
    uri: Uri,
    /// Credentials, most likely: never shown.
    headers: HeaderMap,
    timeout: Duration,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl Collector {
    pub(super) fn new(endpoint: &CollectorUrl, config: &TracesConfig) -> Result<Self, CollectorError> {
        let headers = match &config.headers_file {
            Some(path) => headers(&read("headers_file", path)?)?,
            None => HeaderMap::new(),
        };
        let extra_root = config.extra_root.as_deref().map(|path| read("extra_root", path)).transpose()?;
        let client = https::client(extra_root.as_deref())?;
        let timeout = Duration::from_millis(config.timeout_ms.get().into());
        Ok(Self { client, uri: endpoint.uri().clone(), headers, timeout })
    }

    /// Sends one batch once. How many spans of it the collector did not take.
    pub(super) async fn send(&self, body: Bytes) -> Result<u64, SendError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(CONTENT_TYPE, PROTOBUF);
        request.headers_mut().insert(USER_AGENT, AGENT);
        let exchange = async {
            let response =
                self.client.request(request).await.map_err(|error| SendError::Unanswered(error.into()))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(SendError::Unanswered)?;
            Ok((parts.status, parts.headers, body.to_bytes()))
        };
        let (status, headers, body) =
            tokio::time::timeout(self.timeout, exchange).await.map_err(|_| SendError::Timeout)??;
        match status {
            status if status.is_success() => {
                let said = ExportTraceServiceResponse::decode(body).unwrap_or_default();
                let refused = said.partial_success.map_or(0, |partial| partial.rejected_spans);
                Ok(u64::try_from(refused).unwrap_or(0))
            }
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                let seconds =
                    headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
                Err(SendError::Busy { status, retry_after: seconds.map(Duration::from_secs) })
            }
            status => Err(SendError::Refused { status }),
        }
    }
}

fn read(key: &'static str, path: &Path) -> Result<String, CollectorError> {
    std::fs::read_to_string(path).map_err(|source| CollectorError::File {
        key,
        path: path.to_owned(),
        source,
    })
}

/// One header a line; empty lines, and those that begin with `#`, are none.
fn headers(text: &str) -> Result<HeaderMap, CollectorError> {
    let mut headers = HeaderMap::new();
    for (line, content) in text.lines().enumerate() {
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let bad = || CollectorError::Header { line: line + 1 };
        let (name, value) = content.split_once(':').ok_or_else(bad)?;
        let name: HeaderName = name.trim().parse().map_err(|_| bad())?;
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| bad())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_line_by_line_and_a_bad_one_is_not_repeated() {
        let read =
            headers("# for the collector\nauthorization: Bearer s3cret\n\nx-scope: a: b\n").expect("headers");
        assert_eq!(read["authorization"], "Bearer s3cret");
        assert_eq!(read["x-scope"], "a: b");
        assert!(!format!("{read:?}").contains("s3cret"));
        let error = headers("x: 1\nBearer-s3cret\n").expect_err("no header").to_string();
        assert!(error.contains("line 2") && !error.contains("s3cret"), "{error}");
    }
}
