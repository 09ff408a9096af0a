//! The service as an agent sees it: what is needed here, each bundle, and what to tell.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use issuance::ids::{CertificateId, VersionId};
use issuance::selector::Selector;
use issuance::time::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::agent::{ServiceConfig, ServiceUrl};

/// Beyond what the service was asked to wait.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// A list of some ten thousand certificates.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why the service gave no answer that an agent could use.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("[service] {key} is missing")]
    Missing { key: &'static str },
    #[error("[service] {key}: {} cannot be read", path.display())]
    File {
        key: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("[service] key_file: {} holds no API key", path.display())]
    Key { path: PathBuf },
    #[error("[service] extra_root: {} holds no certificates in PEM", path.display())]
    Root { path: PathBuf },
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    #[error("the service at {url} cannot be reached")]
    Unreachable {
        url: String,
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    #[error("the service answers {status}: {detail}")]
    Refused { status: StatusCode, detail: String, retry_after: Option<Duration> },
    #[error("the service answers with what is none of its documents")]
    Foreign,
}

impl ServiceError {
    /// Whether somebody must mend it: asking again does not.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Foreign => false,
            Self::Refused { status, .. } => matches!(status.as_u16(), 400 | 401 | 403 | 422),
            _ => true,
        }
    }

    /// How long the service wants to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// One certificate that this server needs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Item {
    pub(super) certificate_id: CertificateId,
    pub(super) version_id: VersionId,
    pub(super) names: Vec<String>,
    pub(super) etag: String,
}

/// What is needed, or that it is what it was.
#[derive(Debug)]
pub(super) enum Listing {
    Same,
    New { etag: Option<String>, items: Vec<Item> },
}

#[derive(Debug, Deserialize)]
struct ListingDocument {
    data: Vec<Item>,
}

/// Chain and key, as JSON.
#[derive(Debug, Deserialize)]
pub(super) struct BundleDocument {
    pub(super) version_id: VersionId,
    pub(super) names: Vec<String>,
    pub(super) fullchain: String,
    #[serde(deserialize_with = "secret")]
    pub(super) key: Option<SecretString>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

/// What is told of one certificate here.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    pub(super) version_id: Option<VersionId>,
    pub(super) installed_at: Option<Timestamp>,
    pub(super) fault: Option<&'a str>,
    pub(super) probes: &'a [ProbeReport],
}

/// What was seen at one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ProbeReport {
    pub(super) address: String,
    pub(super) server_name: String,
    pub(super) at: Timestamp,
    /// In lower-case hexadecimal.
    pub(super) fingerprint_sha256: Option<String>,
    pub(super) not_after: Option<Timestamp>,
    pub(super) fault: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ProblemDocument {
    detail: String,
}

/// A service, a key for it, and what this server needs of it.
#[derive(Debug)]
pub(super) struct Service {
    base: ServiceUrl,
    authorization: HeaderValue,
    selector: Selector,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Service {
    pub(super) fn new(config: &ServiceConfig) -> Result<Self, ServiceError> {
        let missing = |key| move || ServiceError::Missing { key };
        let base = config.url.clone().ok_or_else(missing("url"))?;
        let selector = config.selector.clone().ok_or_else(missing("selector"))?;
        let path = &config.key_file.as_ref().ok_or_else(missing("key_file"))?.0;
        let read = |key, path: &PathBuf| {
            std::fs::read_to_string(path).map_err(|source| ServiceError::File {
                key,
                path: path.clone(),
                source,
            })
        };
        let key = SecretString::from(read("key_file", path)?);
        let authorization = authorization(&key).ok_or_else(|| ServiceError::Key { path: path.clone() })?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &config.extra_root {
            let pem = read("extra_root", path)?;
            let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).flatten().collect();
            if roots.add_parsable_certificates(found).0 == 0 {
                return Err(ServiceError::Root { path: path.clone() });
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(ServiceError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT_WAIT));
        http.set_keepalive(Some(Duration::from_mins(1)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { base, authorization, selector, client })
    }

    /// Asks what is needed here, other than `known`; the service may hold the question for `wait`.
    pub(super) async fn listing(&self, known: Option<&str>, wait: Duration) -> Result<Listing, ServiceError> {
        let selector = self.selector.to_string();
        let path = format!("/v1/bundles?selector={}", utf8_percent_encode(&selector, NON_ALPHANUMERIC));
        let prefer = HeaderValue::try_from(format!("wait={}", wait.as_secs())).ok();
        let known = known.and_then(|etag| HeaderValue::try_from(etag).ok());
        let headers = [(IF_NONE_MATCH, known), (http::HeaderName::from_static("prefer"), prefer)];
        let (status, headers, body) =
            self.exchange(Method::GET, &path, headers, Bytes::new(), wait + ANSWER_WAIT).await?;
        if status == StatusCode::NOT_MODIFIED {
            return Ok(Listing::Same);
        }
        let document: ListingDocument = serde_json::from_slice(&body).map_err(|_| ServiceError::Foreign)?;
        let etag = headers.get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        Ok(Listing::New { etag, items: document.data })
    }

    /// Chain and key of the current version.
    pub(super) async fn bundle(&self, certificate: CertificateId) -> Result<BundleDocument, ServiceError> {
        let path = format!("/v1/certificates/{certificate}/bundle?format=json");
        let (_, _, body) = self.exchange(Method::GET, &path, [], Bytes::new(), ANSWER_WAIT).await?;
        serde_json::from_slice(&body).map_err(|_| ServiceError::Foreign)
    }

    /// Tells what this server has.
    pub(super) async fn report(
        &self,
        certificate: &str,
        target: &str,
        report: &Report<'_>,
    ) -> Result<(), ServiceError> {
        let target = utf8_percent_encode(target, NON_ALPHANUMERIC);
        let path = format!("/v1/deployments/{certificate}/{target}");
        let body = serde_json::to_vec(report).expect("texts and instants serialize");
        let kind = [(CONTENT_TYPE, Some(HeaderValue::from_static("application/json")))];
        self.exchange(Method::PUT, &path, kind, body.into(), ANSWER_WAIT).await.map(drop)
    }

    async fn exchange<const N: usize>(
        &self,
        method: Method,
        path: &str,
        headers: [(http::HeaderName, Option<HeaderValue>); N],
        body: Bytes,
        within: Duration,
    ) -> Result<(StatusCode, HeaderMap, Bytes), ServiceError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base.as_str()))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, "application/json, application/problem+json");
        for (name, value) in headers {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let request = request.body(Full::from(body)).map_err(|error| self.unreachable(error))?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| self.unreachable(error))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            Ok((parts, body.map_err(|error| self.unreachable(error))?.to_bytes()))
        };
        let answered = tokio::time::timeout(within, exchange).await;
        let (parts, body) = answered.map_err(|elapsed| self.unreachable(elapsed))??;
        if parts.status.is_success() || parts.status == StatusCode::NOT_MODIFIED {
            return Ok((parts.status, parts.headers, body));
        }
        let seconds = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let document = serde_json::from_slice::<ProblemDocument>(&body);
        Err(ServiceError::Refused {
            status: parts.status,
            detail: document.map_or_else(|_| "no problem document".to_owned(), |problem| problem.detail),
            retry_after: seconds.map(Duration::from_secs),
        })
    }

    fn unreachable(&self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> ServiceError {
        ServiceError::Unreachable { url: self.base.as_str().to_owned(), source: source.into() }
    }
}

fn authorization(key: &SecretString) -> Option<HeaderValue> {
    use secrecy::ExposeSecret as _;
    let key = key.expose_secret().trim();
    if key.is_empty() || key.contains(char::is_whitespace) {
        return None;
    }
    let mut value = HeaderValue::try_from(format!("Bearer {key}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}
