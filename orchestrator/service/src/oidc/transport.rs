//! The way to the provider: few requests, each bounded in time and size, and none that goes where another answer points.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use openidconnect::AsyncHttpClient;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::OidcSetUpError;
use crate::config::ProviderUrl;

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("lockkeeper/", env!("CARGO_PKG_VERSION"), " (oidc)"));
/// What is read of an answer.
const BODY_BYTES_MAX: usize = 1024 * 1024;
const IDLE_MAX: Duration = Duration::from_secs(30);

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A request without an answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("no answer from it")]
    Unanswered(#[source] Cause),
    #[error("no answer from it in time")]
    Timeout,
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("it names an address that is not https")]
    Insecure,
}

pub(super) struct ProviderHttp {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
    /// Whatever the provider says of itself: secrets and codes travel over TLS. Not where it is on this machine itself.
    https_only: bool,
}

impl fmt::Debug for ProviderHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderHttp").field("https_only", &self.https_only).finish_non_exhaustive()
    }
}

impl ProviderHttp {
    pub(super) fn new(
        issuer: &ProviderUrl,
        extra_root_pem: Option<&str>,
        timeout: Duration,
    ) -> Result<Self, OidcSetUpError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(pem) = extra_root_pem {
            let certificates: Vec<CertificateDer<'_>> =
                CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap_or_default();
            if certificates.is_empty() {
                return Err(OidcSetUpError::Root);
            }
            for root in certificates {
                roots.add(root)?;
            }
        }
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let tls = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions().build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .build(connector);
        Ok(Self { client, timeout, https_only: issuer.is_https() })
    }

    async fn exchange(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, HttpError> {
        if self.https_only && request.uri().scheme_str() != Some("https") {
            return Err(HttpError::Insecure);
        }
        let mut request = request.map(|body| Full::new(Bytes::from(body)));
        request.headers_mut().insert(USER_AGENT, AGENT);
        let exchange = async {
            let response =
                self.client.request(request).await.map_err(|error| HttpError::Unanswered(error.into()))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(HttpError::Unanswered)?;
            Ok(Response::from_parts(parts, body.to_bytes().into()))
        };
        let response =
            tokio::time::timeout(self.timeout, exchange).await.map_err(|_| HttpError::Timeout)??;
        // One that is being started anew, or that is busy: not what the document or the token is.
        if response.status().is_server_error() || response.status() == StatusCode::TOO_MANY_REQUESTS {
            return Err(HttpError::Status(response.status()));
        }
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for ProviderHttp {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: Request<Vec<u8>>) -> Self::Future {
        Box::pin(self.exchange(request))
    }
}
