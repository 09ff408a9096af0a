//! One exchange with a CA: request out, response in. Everything else is built on top of this seam, so a test can
//! put a transport of its own below the whole client.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{Request, Response, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tower::Service;

use super::endpoint::Endpoint;
use super::error::{AcmeError, Cause};

/// The longest body read, certificate chains included.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Connections kept idle over HTTP/1.1: one for each order in flight. Over HTTP/2 one connection carries all.
const IDLE_CONNECTIONS_MAX: usize = 64;
const IDLE_MAX: Duration = Duration::from_mins(1);
/// A peer that is gone without a word is noticed after this and the time below, not after the request's timeout.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_MAX: Duration = Duration::from_secs(10);

/// The outcome of one exchange.
pub type Exchange<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, TransportError>> + Send + 'a>>;

/// Sends one request, once, and reads the whole answer (at most [`BODY_BYTES_MAX`]).
///
/// Timeouts are the caller's: it drops the future.
pub trait Transport: fmt::Debug + Send + Sync {
    fn exchange(&self, endpoint: Endpoint, request: Request<Bytes>) -> Exchange<'_>;
}

/// An exchange without an answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No byte of the request reached the CA.
    #[error("no connection to the CA")]
    NotSent(#[source] Cause),
    /// The request, or a part of it, may have reached the CA.
    #[error("the connection to the CA broke")]
    Lost(#[source] Cause),
}

/// The production transport: pooled connections, HTTP/2 where the CA offers it.
pub struct HyperTransport {
    client: Client<TimedConnector, Full<Bytes>>,
}

impl HyperTransport {
    /// Trusts the machine's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` respected) and those in `extra_root_pem`.
    /// A connection that takes longer than `connect_timeout`, TLS included, is given up.
    pub fn new(extra_root_pem: Option<&str>, connect_timeout: Duration) -> Result<Self, AcmeError> {
        let mut roots = RootCertStore::empty();
        // A machine without roots of its own can still reach a CA whose root is configured.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(pem) = extra_root_pem {
            add_roots(&mut roots, pem)?;
        }
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let tls = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map_err(|error| AcmeError::BadConfig {
                what: "no TLS version to speak".into(),
                source: Some(error.into()),
            })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        // Shared among a host's addresses, so that one that does not answer leaves time for the next.
        tcp.set_connect_timeout(Some(connect_timeout));
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        // Left as it is: hyper takes a request to a new connection only where the old one closed before a byte of
        // the request was written.
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_MAX)
            .build(TimedConnector { connector, timeout: connect_timeout });
        Ok(Self { client })
    }
}

/// Connects within a time. The connector's own timeout ends with TCP, and a peer may fall silent in the handshake.
#[derive(Clone)]
struct TimedConnector {
    connector: HttpsConnector<HttpConnector>,
    timeout: Duration,
}

impl Service<Uri> for TimedConnector {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = Cause;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Cause>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.timeout, self.connector.call(uri));
        Box::pin(async move { connecting.await? })
    }
}

fn add_roots(roots: &mut RootCertStore, pem: &str) -> Result<(), AcmeError> {
    let unusable = |source: Cause| AcmeError::BadConfig {
        what: "the extra root is not a PEM certificate".into(),
        source: Some(source),
    };
    let before = roots.len();
    for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(root.map_err(|error| unusable(error.into()))?).map_err(|error| unusable(error.into()))?;
    }
    if roots.len() == before {
        Err(AcmeError::bad_config("the extra root holds no certificate"))
    } else {
        Ok(())
    }
}

impl Transport for HyperTransport {
    fn exchange(&self, _: Endpoint, request: Request<Bytes>) -> Exchange<'_> {
        let sent = self.client.request(request.map(Full::new));
        Box::pin(async move {
            let (parts, body) = sent.await.map_err(classify)?.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(TransportError::Lost)?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        })
    }
}

fn classify(error: hyper_util::client::legacy::Error) -> TransportError {
    if error.is_connect() {
        TransportError::NotSent(error.into())
    } else {
        TransportError::Lost(error.into())
    }
}

impl fmt::Debug for HyperTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperTransport").finish_non_exhaustive()
    }
}
