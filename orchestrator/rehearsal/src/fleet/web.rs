//! The web servers: one port on every server's address, and a stranger's server beside them.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::fault::{Fault, PROBE_TOKEN_PREFIX};
use super::forward::Forwarder;
use super::hits::HttpReply;
use super::zone::{Host, Zone, canonical};

/// RFC 8555 §8.3.
const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";
/// CAs give up after ten seconds; this body takes a minute.
const SLOW_BODY_BYTES: u8 = 60;
const SLOW_BODY_INTERVAL: Duration = Duration::from_secs(1);
/// Between attempts to accept when file descriptors ran out.
const ACCEPT_RETRY_WAIT: Duration = Duration::from_millis(50);

pub(super) const IT_WORKS: &str = "<!doctype html><title>It works</title><p>It works.</p>\n";
pub(super) const PARKED: &str = "<!doctype html><title>Parked</title><p>This domain may be for sale.</p>\n";

type Page = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Whose server a request has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Fleet,
    /// Answers every name with a parking page.
    Stranger,
}

/// What all web servers share.
pub(super) struct Web {
    zone: Arc<Zone>,
    forwarder: Forwarder,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Web {
    pub(super) fn new(
        zone: Arc<Zone>,
        forwarder: Forwarder,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self { zone, forwarder, tasks, stop })
    }

    pub(super) fn set_responder(&self, responder: SocketAddr) {
        self.forwarder.set_responder(responder);
    }

    pub(super) fn spawn(self: &Arc<Self>, listener: TcpListener, owner: Owner) {
        let web = Arc::clone(self);
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, from)) => web.spawn_connection(stream, from, owner),
                    Err(error) => {
                        warn!(%error, "Web server of the fleet could not accept: {error}");
                        sleep(ACCEPT_RETRY_WAIT).await;
                    }
                }
            }
        }));
    }

    fn spawn_connection(self: &Arc<Self>, stream: TcpStream, from: SocketAddr, owner: Owner) {
        let web = Arc::clone(self);
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(async move {
            // Without it, answers wait for the peer's delayed acknowledgement.
            let _ = stream.set_nodelay(true);
            let service = service_fn(|request| {
                let web = Arc::clone(&web);
                async move { Ok::<_, Infallible>(web.serve(&request, owner).await) }
            });
            if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
                debug!(client.address = %from, %error, "HTTP connection of {from} ended: {error}");
            }
        }));
    }

    async fn serve(&self, request: &Request<Incoming>, owner: Owner) -> Page {
        let authority = authority(request);
        let name = canonical(without_port(&authority));
        let Some(host) = self.zone.host(&name) else {
            return match owner {
                Owner::Fleet => page(StatusCode::NOT_FOUND, "No such site.\n"),
                Owner::Stranger => page(StatusCode::OK, PARKED),
            };
        };
        let fault = host.take_request();
        let answer = match owner {
            Owner::Stranger => Some(page(StatusCode::OK, PARKED)),
            Owner::Fleet => self.serve_site(request, &authority, &host, fault).await,
        };
        let Some(answer) = answer else {
            host.note_http(HttpReply::Silence);
            // Ends when the client goes away or the fleet stops.
            return pending().await;
        };
        host.note_http(HttpReply::Status(answer.status().as_u16()));
        answer
    }

    /// `None`: never answer.
    async fn serve_site(
        &self,
        request: &Request<Incoming>,
        authority: &str,
        host: &Host,
        fault: Option<Fault>,
    ) -> Option<Page> {
        let path = request.uri().path();
        let token = path.strip_prefix(CHALLENGE_PATH);
        match (fault, token) {
            (Some(Fault::Timeout), _) => None,
            (Some(Fault::ServerError), _) => Some(page(StatusCode::INTERNAL_SERVER_ERROR, "Broken.\n")),
            (Some(Fault::RedirectLoop), _) => Some(redirect(authority, path)),
            (Some(Fault::Slow), _) => Some(slow_page()),
            (_, None) | (Some(Fault::WrongBody), _) => Some(page(StatusCode::OK, IT_WORKS)),
            (Some(Fault::NotFound), Some(_)) => Some(page(StatusCode::NOT_FOUND, "Not found.\n")),
            (Some(Fault::RedirectElsewhere), Some(_)) => {
                let Some(other) = self.zone.healthy_name_beside(&host.name) else {
                    return Some(page(StatusCode::SERVICE_UNAVAILABLE, "No healthy site to redirect to.\n"));
                };
                let port = &authority[without_port(authority).len()..];
                Some(redirect(&format!("{other}{port}"), path))
            }
            (Some(Fault::WrongForCa), Some(token)) if !token.starts_with(PROBE_TOKEN_PREFIX) => {
                Some(page(StatusCode::NOT_FOUND, "Not found.\n"))
            }
            // A fault of the DNS does not touch the server: who knows the address is answered.
            (
                None
                | Some(
                    Fault::Nxdomain
                    | Fault::Servfail
                    | Fault::NoAddress
                    | Fault::WrongAddress
                    | Fault::Refused
                    | Fault::ConnectTimeout
                    | Fault::DnsTimeout
                    | Fault::DeadIpv6
                    | Fault::WrongForCa
                    | Fault::BreaksAfter(_),
                ),
                Some(_),
            ) => {
                host.note_forwarded();
                Some(self.forward(request, authority).await)
            }
        }
    }

    async fn forward(&self, request: &Request<Incoming>, authority: &str) -> Page {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return page(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD.\n");
        }
        match self.forwarder.forward(request.method(), authority, request.uri(), request.headers()).await {
            Ok(answer) => answer.map(BodyExt::boxed_unsync),
            Err(error) => {
                warn!(%error, "Challenge request for {authority} was not forwarded: {error}");
                page(StatusCode::BAD_GATEWAY, "The responder does not answer.\n")
            }
        }
    }
}

/// The name the client asked for, as it wrote it, with the port if it wrote one.
fn authority(request: &Request<Incoming>) -> String {
    let of_uri = request.uri().authority().map(http::uri::Authority::as_str);
    let of_header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    of_uri.or(of_header).unwrap_or_default().to_owned()
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    }
}

fn page(status: StatusCode, text: &'static str) -> Page {
    let mut page = Response::new(Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync());
    *page.status_mut() = status;
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    page
}

fn redirect(authority: &str, path: &str) -> Page {
    let Ok(location) = HeaderValue::try_from(format!("http://{authority}{path}")) else {
        return page(StatusCode::BAD_REQUEST, "Bad Host.\n");
    };
    let mut page = page(StatusCode::FOUND, "Moved.\n");
    page.headers_mut().insert(LOCATION, location);
    page
}

fn slow_page() -> Page {
    let body = stream::unfold(0, |sent| async move {
        if sent == SLOW_BODY_BYTES {
            return None;
        }
        sleep(SLOW_BODY_INTERVAL).await;
        Some((Ok(Frame::data(Bytes::from_static(b"."))), sent + 1))
    });
    Response::new(StreamBody::new(body).boxed_unsync())
}
