//! One request of a CA's validator, sent from here: HTTP/1.1 to one given address, redirects and all.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::{ACCEPT, CONNECTION, HOST, HeaderValue, LOCATION, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use issuance::fault::FailureClass;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::address::{AddressPolicy, AddressRefusal};
use super::location::{Host, Location, LocationFault, Ports, Scheme};
use super::probe::{Expected, OWN_LOOK};
use super::resolver::{NameResolver, ResolveFault};
use super::tls;
use super::watched::Watched;

/// What CAs follow at the most.
const REDIRECTS_MAX: usize = 10;
/// What Boulder reads of a body; an answer with more white space behind it fails there.
const ANSWER_BYTES_MAX: usize = 128;
/// What is read to see whether a body ends at all.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// A longer response head is no answer.
const HEAD_BYTES_MAX: usize = 32 * 1024;
const SHOWN_CHARACTERS: usize = 40;
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
        let deadline = Instant::now() + self.deadline;
        let mut location =
            Location { scheme: Scheme::Http, host: Host::Name(name.into()), path: path.into() };
        let mut connect_to = address;
        let mut visited = Vec::new();
        loop {
            let fault_here = |cause| FetchFault::new(cause, &location, visited.len());
            let next = match self.hop(&location, connect_to, expected, deadline).await.map_err(fault_here)? {
                Hop::Answered => return Ok(()),
                Hop::Redirected(next) => next,
            };
            if next == location || visited.contains(&next) {
                return Err(fault_here(FetchCause::Redirect(RedirectFault::Loop)));
            }
            if visited.len() == REDIRECTS_MAX {
                return Err(fault_here(FetchCause::Redirect(RedirectFault::TooMany)));
            }
            visited.push(std::mem::replace(&mut location, next));
            connect_to = timeout_at(deadline, self.address_of(&location, connect_to))
                .await
                .unwrap_or(Err(FetchCause::Redirect(RedirectFault::Unresolved(ResolveFault::Timeout))))
                .map_err(|cause| FetchFault::new(cause, &location, visited.len()))?;
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
        address: IpAddr,
        expected: &Expected,
        deadline: Instant,
    ) -> Result<Hop, FetchCause> {
        let peer = SocketAddr::new(address, self.ports.of(location.scheme));
        let stream = timeout_at(deadline, TcpStream::connect(peer))
            .await
            .map_err(|_| FetchCause::Timeout)?
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
    ) -> Result<Hop, FetchCause>
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
        let heard = Arc::new(AtomicBool::new(false));
        let watched = TokioIo::new(Watched::new(stream, Arc::clone(&heard)));
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(watched)
            .await
            .map_err(|error| FetchCause::of_exchange(&error))?;
        let conversation = std::pin::pin!(async {
            let response =
                sender.send_request(request).await.map_err(|error| FetchCause::of_exchange(&error))?;
            self.judge(response, location, expected).await
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
            Err(_) if heard.load(Ordering::Relaxed) => Err(FetchCause::Slow),
            Err(_) => Err(FetchCause::Timeout),
        }
    }

    async fn judge(
        &self,
        response: http::Response<hyper::body::Incoming>,
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
        if status != StatusCode::OK {
            return Err(FetchCause::Status(status));
        }
        let mut body = response.into_body();
        let mut came = Vec::with_capacity(ANSWER_BYTES_MAX);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| FetchCause::of_exchange(&error))?;
            let Some(data) = frame.data_ref() else { continue };
            came.extend_from_slice(&data[..data.len().min(BODY_BYTES_MAX - came.len())]);
            if came.len() == BODY_BYTES_MAX {
                break;
            }
        }
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

#[derive(Debug, thiserror::Error)]
#[error("could not set up TLS for redirects to https")]
pub struct FetcherSetUpError {
    #[source]
    source: rustls::Error,
}

/// What stands between an address and the answer, and on which hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchFault {
    pub cause: FetchCause,
    /// The URL of the hop that failed, where it is not the first.
    redirected_to: Option<Box<str>>,
}

impl FetchFault {
    fn new(cause: FetchCause, location: &Location, redirects: usize) -> Self {
        let redirected_to = (redirects > 0).then(|| location.to_string().into());
        Self { cause, redirected_to }
    }
}

impl fmt::Display for FetchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)?;
        match &self.redirected_to {
            Some(url) => write!(f, ", after a redirect to {url}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FetchFault {}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchCause {
    #[error("the connection is refused")]
    Refused,
    #[error("the host is unreachable")]
    HostUnreachable,
    #[error("the connection is closed before an answer comes")]
    Closed,
    #[error("nothing comes back in time")]
    Timeout,
    #[error("the answer is not complete in time")]
    Slow,
    #[error("the status is {}", .0.as_u16())]
    Status(StatusCode),
    #[error("{0}")]
    Redirect(RedirectFault),
    #[error("the content is another: {0}")]
    WrongContent(Shown),
    #[error("the answer is no HTTP")]
    NotHttp,
    #[error("the TLS handshake fails: {0}")]
    Tls(Shown),
    #[error("{0}")]
    Forbidden(AddressRefusal),
    /// Ours: this machine has no way to that network (most often none for IPv6), or no socket left.
    #[error("this machine cannot connect there: {0}")]
    Local(io::ErrorKind),
    /// Ours too.
    #[error("{}", ResolveFault::Unreachable)]
    ResolversUnreachable,
}

impl FetchCause {
    /// None where the name is not to blame.
    pub fn class(&self) -> Option<FailureClass> {
        match self {
            Self::Refused => Some(FailureClass::ConnectionRefused),
            Self::HostUnreachable | Self::Closed | Self::Timeout => Some(FailureClass::ConnectionTimeout),
            Self::Slow => Some(FailureClass::SlowResponse),
            Self::Status(_) => Some(FailureClass::HttpStatus),
            Self::Redirect(_) => Some(FailureClass::Redirect),
            Self::WrongContent(_) | Self::NotHttp => Some(FailureClass::WrongContent),
            Self::Tls(_) => Some(FailureClass::Tls),
            Self::Forbidden(refusal) => Some(refusal.class()),
            Self::Local(_) | Self::ResolversUnreachable => None,
        }
    }

    fn of_connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::HostUnreachable => Self::HostUnreachable,
            io::ErrorKind::TimedOut => Self::Timeout,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Self::Closed,
            kind => Self::Local(kind),
        }
    }

    fn of_exchange(error: &hyper::Error) -> Self {
        if error.is_parse() || error.is_parse_too_large() { Self::NotHttp } else { Self::Closed }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectFault {
    #[error("the redirects go in circles")]
    Loop,
    #[error("there are more than {REDIRECTS_MAX} redirects")]
    TooMany,
    #[error("no CA follows a redirect with status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("no CA follows this redirect: {0}")]
    Location(LocationFault),
    #[error("the redirect leads nowhere: {0}")]
    Unresolved(ResolveFault),
}

/// The beginning of something a stranger sent, fit for a log and a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(Box<str>);

impl Shown {
    fn new(text: &str) -> Self {
        // Not only control characters deceive: marks that turn the direction of text do too.
        let is_harmless = |c: &char| *c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric();
        Self(text.chars().filter(is_harmless).take(SHOWN_CHARACTERS).collect())
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("nothing") } else { write!(f, "\"{}\"", self.0) }
    }
}
