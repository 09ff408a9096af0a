//! The HTTP-01 responder: answers the CA and the probe, and nothing else.
//!
//! It stands behind the web servers of the whole fleet, so anybody can send it anything. What it answers
//! depends on the token alone, never on the host, and nothing of a request is ever repeated: RFC 8555 §8.3
//! and §11.5 tell how an echoed token becomes an attack.

mod board;
mod fetches;
mod inquiry;
mod seats;

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::instruments::ResponderInstruments;
use super::preflight::CHALLENGE_PATH;
use super::probe::{OWN_LOOK, ProbeSecret, is_base64url, is_probe};
use crate::config::Cidr;

pub use self::board::{Announcer, Board, Presented, Responses, ResponsesError};
pub use self::fetches::{FETCHES_PER_ORDER_MAX, Fetch, FetchLog};

use self::board::{Found, Posted};
use self::inquiry::Unanswered;
use self::seats::{Seat, Seats};

/// A request line and headers longer than this are answered 431. The least hyper takes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// No CA's token is outside these bounds; RFC 8555 §8.3 asks for 128 bits, which are 22 characters.
const TOKEN_CHARACTERS: std::ops::RangeInclusive<usize> = 16..=128;
/// How long accepting rests when the machine has no socket left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Clone)]
pub struct ResponderConfig {
    /// Connections held at once. One more, and the one that has done nothing for longest is closed.
    pub connections_max: usize,
    /// How long a client may take for a request's head, and how long a connection may rest between two.
    pub header_timeout: Duration,
    /// How long reading a response may take; then the client is asked to come again. A CA that validates waits
    /// about ten seconds and does not come again: better late than not.
    pub read_timeout: Duration,
    /// Proxies whose `X-Forwarded-For` is believed, for the log of fetches.
    pub trusted_proxies: Vec<Cidr>,
}

impl Default for ResponderConfig {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            header_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(8),
            trusted_proxies: Vec::new(),
        }
    }
}

/// Serves challenge responses from a [`Board`], and probes from the secret.
pub struct Responder {
    config: ResponderConfig,
    board: Arc<Board>,
    secret: ProbeSecret,
    log: Option<FetchLog>,
    instruments: ResponderInstruments,
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Responder {
    pub fn new(config: ResponderConfig, board: Arc<Board>, secret: ProbeSecret) -> Self {
        Self { config, board, secret, log: None, instruments: ResponderInstruments::register() }
    }

    /// The same, which writes down who fetched what.
    #[must_use]
    pub fn logging(self, log: FetchLog) -> Self {
        Self { log: Some(log), ..self }
    }

    /// Serves until `stop`, then lets requests that have begun end, and returns.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let seats = Arc::new(Seats::new(self.config.connections_max));
        // Somebody who does not read its answer would never let go.
        let goodbye = self.config.header_timeout + self.config.read_timeout;
        let connections = TaskTracker::new();
        let responder = Arc::new(self);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(event = "responder.accept_failed", %error, "Responder cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (seat, evicted) = tokio::select! {
                () = stop.cancelled() => break,
                taken = seats.take() => taken,
            };
            if evicted {
                responder.instruments.evicted.increment(1);
            }
            let responder = Arc::clone(&responder);
            let stop = stop.clone();
            connections.spawn(async move {
                responder.instruments.connections.increment(1);
                responder.converse(stream, peer.ip(), &seat, &stop).await;
                responder.instruments.connections.decrement(1);
            });
        }
        connections.close();
        if timeout(goodbye, connections.wait()).await.is_err() {
            warn!(
                event = "responder.client_slow",
                connections = connections.len(),
                "Responder leaves clients that do not take their answers"
            );
            seats.clear();
            connections.wait().await;
        }
    }

    async fn converse(&self, stream: TcpStream, peer: IpAddr, seat: &Seat, stop: &CancellationToken) {
        let service = service_fn(async |request: Request<_>| {
            let _answering = seat.answering();
            Ok::<_, Infallible>(self.answer(&request, peer).await)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.config.header_timeout)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        // How a stranger's connection ends is nobody's concern: slow, broken, cut off, or well.
        tokio::select! {
            _ = connection.as_mut() => {}
            () = seat.lost() => {}
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    _ = connection => {}
                    () = seat.lost() => {}
                }
            }
        }
    }

    async fn answer<B>(&self, request: &Request<B>, peer: IpAddr) -> Response<Full<Bytes>> {
        let token = token_in(request.uri());
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            self.instruments.refused.increment(1);
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, Bytes::new());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            if let Some((token, posted)) = token.and_then(|token| Some((token, self.board.glance(token)?))) {
                self.note(&posted, token, request, peer, response.status());
            }
            return response;
        }
        let Some(token) = token else {
            self.instruments.refused.increment(1);
            return plain(StatusCode::NOT_FOUND, Bytes::new());
        };
        if is_probe(token) {
            self.instruments.probe.increment(1);
            return plain(StatusCode::OK, self.secret.answer(token).into());
        }
        let (posted, response) = match timeout(self.config.read_timeout, self.board.find(token)).await {
            Ok(Ok(Found::Current(posted))) => {
                self.instruments.served.increment(1);
                let response = plain(StatusCode::OK, posted.key_authorization.clone());
                (posted, response)
            }
            Ok(Ok(Found::Withdrawn(posted))) => {
                self.instruments.unknown.increment(1);
                (posted, plain(StatusCode::NOT_FOUND, Bytes::new()))
            }
            Ok(Ok(Found::Nothing)) => {
                self.instruments.unknown.increment(1);
                return plain(StatusCode::NOT_FOUND, Bytes::new());
            }
            Ok(Err(Unanswered::Crowded)) => {
                self.instruments.crowded.increment(1);
                return come_again();
            }
            Ok(Err(Unanswered::Refused)) => {
                self.instruments.error.increment(1);
                return come_again();
            }
            Err(_) => {
                warn!(
                    event = "responder.read_slow",
                    "Responder gave up reading a response after {:?}", self.config.read_timeout
                );
                self.instruments.error.increment(1);
                return come_again();
            }
        };
        self.note(&posted, token, request, peer, response.status());
        response
    }

    fn note<B>(&self, posted: &Posted, token: &str, request: &Request<B>, peer: IpAddr, status: StatusCode) {
        let Some(log) = &self.log else { return };
        let headers = request.headers();
        let request = fetches::Request {
            token,
            method: request.method(),
            headers,
            source: crate::config::trusted_proxies::origin(peer, headers, &self.config.trusted_proxies),
            own: self.is_own(token, headers),
        };
        log.note(posted, &request, status);
    }

    /// Whether it is one of ours that looks.
    fn is_own(&self, token: &str, headers: &HeaderMap) -> bool {
        headers.get(OWN_LOOK).is_some_and(|mark| self.secret.has_signed_look(token, mark.as_bytes()))
    }
}

fn come_again() -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, Bytes::new());
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The token, where the whole target is a challenge's: no query, no further segment, no escapes.
fn token_in(target: &Uri) -> Option<&str> {
    let token = target.path_and_query()?.as_str().strip_prefix(CHALLENGE_PATH)?;
    (TOKEN_CHARACTERS.contains(&token.len()) && is_base64url(token)).then_some(token)
}

fn plain(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
