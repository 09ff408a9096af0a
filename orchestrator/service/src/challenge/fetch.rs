//! One request of a CA's validator, sent from here: HTTP/1.1 to one given address, redirects and all.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::{ACCEPT, CONNECTION, HOST, HeaderValue, LOCATION, SERVER, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::address::AddressPolicy;
use super::fetch_fault::Failure;
pub use super::fetch_fault::{FetchCause, FetchFault, RedirectFault, Shown};
use super::location::{Host, Location, LocationFault, Ports, Scheme};
use super::probe::{Expected, OWN_LOOK};
use super::resolver::{NameResolver, ResolveFault};
use super::tls;
use super::watched::{Heard, Watched};

/// What CAs follow at the most.
pub(super) const REDIRECTS_MAX: usize = 10;
/// What Boulder reads of a body; an answer with more white space behind it fails there.
const ANSWER_BYTES_MAX: usize = 128;
/// What is read to see whether a body ends at all.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// A longer response head is no answer.
const HEAD_BYTES_MAX: usize = 32 * 1024;
const AGENT: HeaderValue = HeaderValue::from_static(concat!(
    "Mozilla/5.0 (compatible; lockkeeper/",
    env!("CARGO_PKG_VERSION"),
    "; HTTP-01 preflight)"
));

/// Where and how long a CA would ask.
#[derive(Debug, Clone)]
pub struct FetchConfig {
    /// The port HTTP-01 is served on; 80 at every public CA. Wherever a URL says 80, this port is asked.
    pub http_port: u16,
    /// Asked where a redirect leads to https; 443 at every public CA.
    pub https_port: u16,
    /// From the first connect to the last byte, redirects and their lookups included.
    pub deadline: Duration,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self { http_port: 80, https_port: 443, deadline: Duration::from_secs(10) }
    }
}

/// Fetches challenge responses. No proxy, no cookies, no decompression, no connection kept.
pub struct Fetcher {
    ports: Ports,
    deadline: Duration,
    resolver: Arc<NameResolver>,
    policy: Arc<AddressPolicy>,
    tls: TlsConnector,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("ports", &self.ports).finish_non_exhaustive()
    }
}

impl Fetcher {
    pub fn new(
        config: &FetchConfig,
        resolver: Arc<NameResolver>,
        policy: Arc<AddressPolicy>,
    ) -> Result<Self, FetcherSetUpError> {
        let tls = tls::connector().map_err(|source| FetcherSetUpError { source })?;
        let ports = Ports { http: config.http_port, https: config.https_port };
        Ok(Self { ports, deadline: config.deadline, resolver, policy, tls })
    }

    /// Whether `address` answers `path` on `name` as `expected`, with nothing but white space after it
    /// (RFC 8555 §8.3).
    ///
    /// The caller has checked `address`; those that redirects lead to are resolved and checked here.
    pub async fn check(
        &self,
        name: &str,
        address: IpAddr,
        path: &str,
        expected: &Expected,
    ) -> Result<(), FetchFault> {
        self.follow(name, SocketAddr::new(address, self.ports.http), path, expected).await
    }

    /// The same at one of the provider's own servers, which the operator has declared: it stands behind the name's
    /// addresses, and may have one that is not public and a port of its own. Where it redirects to, a CA would go too.
    pub async fn check_node(
        &self,
        name: &str,
        node: SocketAddr,
        path: &str,
        expected: &Expected,
    ) -> Result<(), FetchFault> {
        self.follow(name, node, path, expected).await
    }

    async fn follow(
        &self,
        name: &str,
        first: SocketAddr,
        path: &str,
        expected: &Expected,
    ) -> Result<(), FetchFault> {
        let deadline = Instant::now() + self.deadline;
        let mut location =
            Location { scheme: Scheme::Http, host: Host::Name(name.into()), path: path.into() };
        let mut peer = first;
        let mut visited = Vec::new();
        loop {
            let fault_here = |failure| FetchFault::new(failure, &location, visited.len());
            let next = match self.hop(&location, peer, expected, deadline).await.map_err(fault_here)? {
                Hop::Answered => return Ok(()),
                Hop::Redirected(next) => next,
            };
            if next == location || visited.contains(&next) {
                return Err(fault_here(FetchCause::Redirect(RedirectFault::Loop).into()));
            }
            if visited.len() == REDIRECTS_MAX {
                return Err(fault_here(FetchCause::Redirect(RedirectFault::TooMany).into()));
            }
            visited.push(std::mem::replace(&mut location, next));
            let address = timeout_at(deadline, self.address_of(&location, peer.ip()))
                .await
                .unwrap_or(Err(FetchCause::Redirect(RedirectFault::Unresolved(ResolveFault::Timeout))))
                .map_err(|cause| FetchFault::new(cause.into(), &location, visited.len()))?;
            peer = SocketAddr::new(address, self.ports.of(location.scheme));
        }
    }

    /// Every address of a redirect's host is resolved anew and checked; the one returned is connected to, so
    /// that DNS cannot answer differently in between.
    async fn address_of(&self, location: &Location, current: IpAddr) -> Result<IpAddr, FetchCause> {
        let name = match &location.host {
            Host::Address(address) => {
                self.policy.check_reachable(*address).map_err(FetchCause::Forbidden)?;
                return Ok(*address);
            }
            Host::Name(name) => name,
        };
        let addresses = self.resolver.lookup_name(name).await.map_err(|fault| match fault {
            ResolveFault::Unreachable => FetchCause::ResolversUnreachable,
            fault => FetchCause::Redirect(RedirectFault::Unresolved(fault)),
        })?;
        for address in addresses.iter() {
            self.policy.check_reachable(address).map_err(FetchCause::Forbidden)?;
        }
        // From http to https on the same server is judged on that server, not on one beside it.
        Ok(if addresses.contains(current) { current } else { addresses.preferred() })
    }

    async fn hop(
        &self,
        location: &Location,
        peer: SocketAddr,
        expected: &Expected,
        deadline: Instant,
    ) -> Result<Hop, Failure> {
        let stream = timeout_at(deadline, TcpStream::connect(peer))
            .await
            .map_err(|_| FetchCause::ConnectTimeout)?
            .map_err(|error| FetchCause::of_connect(&error))?;
        match location.scheme {
            Scheme::Http => self.exchange(stream, location, expected, deadline).await,
            Scheme::Https => {
                let name = tls::server_name(&location.host)
                    .ok_or(FetchCause::Redirect(RedirectFault::Location(LocationFault::Host)))?;
                let stream = timeout_at(deadline, self.tls.connect(name, stream))
                    .await
                    .map_err(|_| FetchCause::Timeout)?
                    .map_err(|error| FetchCause::Tls(Shown::new(&error.to_string())))?;
                self.exchange(stream, location, expected, deadline).await
            }
        }
    }

    async fn exchange<S>(
        &self,
        stream: S,
        location: &Location,
        expected: &Expected,
        deadline: Instant,
    ) -> Result<Hop, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut request = Request::get(&*location.path)
            .header(HOST, location.host.to_string())
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, HeaderValue::from_static("*/*"))
            .header(CONNECTION, HeaderValue::from_static("close"));
        if let Some(mark) = expected.look() {
            request = request.header(OWN_LOOK, mark);
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|_| FetchCause::Redirect(RedirectFault::Location(LocationFault::Malformed)))?;
        let heard = Arc::new(Heard::default());
        let watched = TokioIo::new(Watched::new(stream, Arc::clone(&heard)));
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(watched)
            .await
            .map_err(|error| FetchCause::of_exchange(&error))?;
        let conversation = std::pin::pin!(async {
            let response = sender.send_request(request).await.map_err(|error| {
                let cause = FetchCause::of_exchange(&error);
                if cause == FetchCause::NotHttp && heard.is_tls() {
                    return FetchCause::TlsOnly.into();
                }
                let greeting = (cause == FetchCause::NotHttp).then(|| Shown::new(&heard.first_line()));
                Failure { cause, server: greeting }
            })?;
            let server = response.headers().get(SERVER).map(|server| Shown::new(&text_of(server)));
            self.judge(response, location, expected).await.map_err(|cause| Failure { cause, server })
        });
        let talk = async {
            match select(conversation, std::pin::pin!(connection)).await {
                Either::Left((outcome, _)) => outcome,
                // The connection may end first and leave the last of the body to be read.
                Either::Right((_, conversation)) => conversation.await,
            }
        };
        match timeout_at(deadline, talk).await {
            Ok(outcome) => outcome,
            Err(_) if heard.anything() => Err(FetchCause::Slow.into()),
            Err(_) => Err(FetchCause::Timeout.into()),
        }
    }

    async fn judge(
        &self,
        response: http::Response<Incoming>,
        location: &Location,
        expected: &Expected,
    ) -> Result<Hop, FetchCause> {
        let status = response.status();
        if status.is_redirection() {
            if !matches!(status.as_u16(), 301 | 302 | 307 | 308) {
                return Err(FetchCause::Redirect(RedirectFault::Status(status)));
            }
            let header = response.headers().get(LOCATION).and_then(|header| header.to_str().ok());
            let next = header
                .ok_or(LocationFault::Malformed)
                .and_then(|header| location.redirected(header, self.ports))
                .map_err(|fault| FetchCause::Redirect(RedirectFault::Location(fault)))?;
            return Ok(Hop::Redirected(next));
        }
        let body = response.into_body();
        if status == StatusCode::BAD_REQUEST {
            let is_tls_only = read(body).await.is_ok_and(|came| complains_of_plain_http(&came));
            return Err(if is_tls_only { FetchCause::TlsOnly } else { FetchCause::Status(status) });
        }
        if status != StatusCode::OK {
            return Err(FetchCause::Status(status));
        }
        let came = read(body).await?;
        if came.len() <= ANSWER_BYTES_MAX && expected.is_met_by(came.trim_ascii_end()) {
            Ok(Hop::Answered)
        } else {
            Err(FetchCause::WrongContent(Shown::new(&String::from_utf8_lossy(&came))))
        }
    }
}

enum Hop {
    Answered,
    Redirected(Location),
}

/// As far as it is read.
async fn read(mut body: Incoming) -> Result<Vec<u8>, FetchCause> {
    let mut came = Vec::with_capacity(ANSWER_BYTES_MAX);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| FetchCause::of_exchange(&error))?;
        let Some(data) = frame.data_ref() else { continue };
        came.extend_from_slice(&data[..data.len().min(BODY_BYTES_MAX - came.len())]);
        if came.len() == BODY_BYTES_MAX {
            break;
        }
    }
    Ok(came)
}

/// What nginx, Apache and servers in Go say, with status 400, where they expect TLS.
fn complains_of_plain_http(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body);
    [
        "plain HTTP request was sent to HTTPS port",
        "speaking plain HTTP to an SSL-enabled server port",
        "sent an HTTP request to an HTTPS server",
    ]
    .iter()
    .any(|words| body.contains(words))
}

fn text_of(header: &HeaderValue) -> String {
    String::from_utf8_lossy(header.as_bytes()).into_owned()
}

#[derive(Debug, thiserror::Error)]
#[error("could not set up TLS for redirects to https")]
pub struct FetcherSetUpError {
    #[source]
    source: rustls::Error,
}
