//! Hands challenge requests to the responder, as a host's reverse proxy would.

use std::net::SocketAddr;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

/// A key authorization has 88 bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);
const IDLE_MAX: Duration = Duration::from_secs(30);
const IDLE_CONNECTIONS_MAX: usize = 64;

/// A pool of kept connections to the responder.
pub(super) struct Forwarder {
    responder: RwLock<SocketAddr>,
    client: Client<HttpConnector, Empty<Bytes>>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ForwardError {
    #[error("not a request that can be forwarded")]
    Request(#[source] http::Error),
    #[error("no connection to the responder at {responder}")]
    Responder {
        responder: SocketAddr,
        #[source]
        source: hyper_util::client::legacy::Error,
    },
    #[error("the responder's answer broke off or has more than {BODY_BYTES_MAX} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the responder at {responder} did not answer within {ANSWER_WAIT_MAX:?}")]
    Timeout { responder: SocketAddr },
}

impl Forwarder {
    pub(super) fn new(responder: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(connector);
        Self { responder: RwLock::new(responder), client }
    }

    pub(super) fn set_responder(&self, responder: SocketAddr) {
        *self.responder.write().unwrap_or_else(PoisonError::into_inner) = responder;
    }

    /// Sends path, query and headers as the client wrote them.
    pub(super) async fn forward(
        &self,
        method: &Method,
        host: &str,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Response<Full<Bytes>>, ForwardError> {
        let responder = *self.responder.read().unwrap_or_else(PoisonError::into_inner);
        let answer = timeout(ANSWER_WAIT_MAX, self.ask(responder, method, host, uri, headers)).await;
        answer.map_err(|_| ForwardError::Timeout { responder })?
    }

    async fn ask(
        &self,
        responder: SocketAddr,
        method: &Method,
        host: &str,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Response<Full<Bytes>>, ForwardError> {
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let request = || {
            let mut request = Request::builder()
                .method(method)
                .uri(format!("http://{responder}{path}"))
                .body(Empty::new())
                .map_err(ForwardError::Request)?;
            *request.headers_mut() = headers.clone();
            // Of this connection, and of a body that is not sent on.
            for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE] {
                request.headers_mut().remove(name);
            }
            let host = HeaderValue::try_from(host).map_err(|error| ForwardError::Request(error.into()))?;
            request.headers_mut().insert(HOST, host);
            Ok(request)
        };
        // A kept connection may have died with an earlier responder; asking again is harmless.
        let answer = match self.client.request(request()?).await {
            Ok(answer) => answer,
            Err(_) => self
                .client
                .request(request()?)
                .await
                .map_err(|source| ForwardError::Responder { responder, source })?,
        };
        let status = answer.status();
        let content_type = answer.headers().get(CONTENT_TYPE).cloned();
        let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await;
        let mut forwarded = Response::new(Full::new(body.map_err(ForwardError::Body)?.to_bytes()));
        *forwarded.status_mut() = status;
        if let Some(content_type) = content_type {
            forwarded.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        Ok(forwarded)
    }
}
