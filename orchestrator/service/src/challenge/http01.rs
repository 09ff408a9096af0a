//! The HTTP-01 responder: answers the CA and the probe, and nothing else.
//!
//! It stands behind the web servers of the whole fleet, so anybody can send it anything. What it answers
//! depends on the token alone, never on the host, and nothing of a request is ever repeated: RFC 8555 §8.3
//! and §11.5 tell how an echoed token becomes an attack.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::instruments::ResponderInstruments;
use super::preflight::CHALLENGE_PATH;
use super::probe::{ProbeSecret, is_base64url, is_probe};

/// A request line and headers longer than this are answered 431. The least hyper takes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// No CA's token is outside these bounds; RFC 8555 §8.3 asks for 128 bits, which are 22 characters.
const TOKEN_CHARACTERS: std::ops::RangeInclusive<usize> = 16..=128;
/// How long accepting rests when the machine has no socket left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where the responder finds what to say. The same on every replica.
pub trait Responses: Send + Sync {
    /// The key authorization to serve under this token (RFC 8555 §8.1), if there is one.
    fn key_authorization<'a>(
        &'a self,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, ResponsesError>>;
}

#[derive(Debug, thiserror::Error)]
#[error("could not read the challenge responses")]
pub struct ResponsesError {
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl ResponsesError {
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: source.into() }
    }
}

#[derive(Debug, Clone)]
pub struct ResponderConfig {
    /// Connections held at once; more wait in the listener's queue.
    pub connections_max: usize,
    /// How long a client may take for a request's head, and how long a connection may rest between two.
    pub header_timeout: Duration,
    /// How long reading a response may take; then the client is asked to come again. A CA that validates waits
    /// about ten seconds and does not come again: better late than not.
    pub read_timeout: Duration,
}

impl Default for ResponderConfig {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            header_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(8),
        }
    }
}

/// Serves challenge responses from [`Responses`], and probes from the secret.
pub struct Responder {
    config: ResponderConfig,
    responses: Arc<dyn Responses>,
    secret: ProbeSecret,
    instruments: ResponderInstruments,
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Responder {
    pub fn new(config: ResponderConfig, responses: Arc<dyn Responses>, secret: ProbeSecret) -> Self {
        Self { config, responses, secret, instruments: ResponderInstruments::register() }
    }

    /// Serves until `stop`, then lets requests that have begun end, and returns.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let seats = Arc::new(Semaphore::new(self.config.connections_max));
        let connections = TaskTracker::new();
        let responder = Arc::new(self);
        loop {
            let accept = async {
                let seat = Arc::clone(&seats).acquire_owned().await.expect("the semaphore is never closed");
                (seat, listener.accept().await)
            };
            let (seat, stream) = tokio::select! {
                () = stop.cancelled() => break,
                (seat, accepted) = accept => match accepted {
                    Ok((stream, _)) => (seat, stream),
                    Err(error) => {
                        warn!(%error, "Responder cannot accept a connection");
                        sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            let responder = Arc::clone(&responder);
            let stop = stop.clone();
            connections.spawn(async move {
                responder.instruments.connections.increment(1);
                responder.converse(stream, &stop).await;
                responder.instruments.connections.decrement(1);
                drop(seat);
            });
        }
        connections.close();
        connections.wait().await;
    }

    async fn converse(&self, stream: TcpStream, stop: &CancellationToken) {
        let service = service_fn(async |request| Ok::<_, Infallible>(self.answer(&request).await));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.config.header_timeout)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        // How a stranger's connection ends is nobody's concern: slow, broken, cut off, or well.
        tokio::select! {
            _ = connection.as_mut() => {}
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }

    async fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            self.instruments.refused.increment(1);
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let Some(token) = token_in(request.uri()) else {
            self.instruments.refused.increment(1);
            return plain(StatusCode::NOT_FOUND, "");
        };
        if is_probe(token) {
            self.instruments.probe.increment(1);
            return plain(StatusCode::OK, self.secret.answer(token));
        }
        match timeout(self.config.read_timeout, self.responses.key_authorization(token)).await {
            Ok(Ok(Some(key_authorization))) => {
                self.instruments.served.increment(1);
                plain(StatusCode::OK, key_authorization)
            }
            Ok(Ok(None)) => {
                self.instruments.unknown.increment(1);
                plain(StatusCode::NOT_FOUND, "")
            }
            Ok(Err(error)) => {
                warn!(error = &error as &dyn Error, "Responder cannot read a response");
                self.come_again()
            }
            Err(_) => {
                warn!("Responder gave up reading a response after {:?}", self.config.read_timeout);
                self.come_again()
            }
        }
    }

    fn come_again(&self) -> Response<Full<Bytes>> {
        self.instruments.error.increment(1);
        let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, "");
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }
}

/// The token, where the whole target is a challenge's: no query, no further segment, no escapes.
fn token_in(target: &Uri) -> Option<&str> {
    let token = target.path_and_query()?.as_str().strip_prefix(CHALLENGE_PATH)?;
    (TOKEN_CHARACTERS.contains(&token.len()) && is_base64url(token)).then_some(token)
}

fn plain(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
