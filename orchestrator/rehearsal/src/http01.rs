//! HTTP-01 (RFC 8555 §8.3): a fetch from outside, with redirects, as Boulder makes it.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode, Uri, header, uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use crate::any_certificate;
use crate::problem::{Kind, Problem};
use crate::resolver::DnsView;
use crate::validation::Attempt;

const REDIRECTS: [StatusCode; 4] = [
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::FOUND,
    StatusCode::TEMPORARY_REDIRECT,
    StatusCode::PERMANENT_REDIRECT,
];
const REDIRECTS_MAX: usize = 10;
/// A key authorization is shorter; more than this is never read.
const BODY_BYTES_MAX: usize = 128;
const USER_AGENT: &str = "rehearsal-ca-validator/1";

/// Where web servers are asked.
pub(crate) struct Web {
    http_port: u16,
    https_port: u16,
    tls: TlsConnector,
}

impl Web {
    pub(crate) fn new(http_port: u16, https_port: u16) -> Result<Self, rustls::Error> {
        Ok(Self { http_port, https_port, tls: any_certificate::connector()? })
    }

    fn port(&self, scheme: Scheme) -> u16 {
        match scheme {
            Scheme::Http => self.http_port,
            Scheme::Https => self.https_port,
        }
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("http_port", &self.http_port).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn standard_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

pub(crate) async fn validate(
    dns: &DnsView,
    attempt: &Attempt,
    web: &Web,
    timeout: Duration,
) -> Result<(), Problem> {
    let host = attempt.name.validation_target();
    let path = format!("/.well-known/acme-challenge/{}", attempt.token);
    let mut target = Target { scheme: Scheme::Http, host: host.to_owned(), path };
    let deadline = Instant::now() + timeout;
    let mut visited = HashSet::new();
    for hop in 0.. {
        let url = target.url();
        let (address, answer) = fetch(dns, &target, web, deadline).await?;
        match answer {
            Answer::Body(body) => {
                return compare(&body, &attempt.key_authorization)
                    .map_err(|problem| problem.prefixed(&format!("{address}: ")));
            }
            Answer::Redirect(location) => {
                let failed = |why: &str| {
                    Problem::new(Kind::Connection, format!("{address}: Fetching {location}: {why}"))
                };
                if hop >= REDIRECTS_MAX {
                    return Err(failed("Too many redirects"));
                }
                visited.insert(url);
                target = target.redirected(&location, web).map_err(failed)?;
                if visited.contains(&target.url()) {
                    return Err(failed("Redirect loop detected"));
                }
            }
        }
    }
    Err(Problem::new(Kind::Connection, "Too many redirects"))
}

/// Where to fetch from; the port is always the one validation is configured for.
struct Target {
    scheme: Scheme,
    host: String,
    path: String,
}

impl Target {
    fn url(&self) -> String {
        format!("{}://{}{}", self.scheme.as_str(), self.host, self.path)
    }

    /// Follows a `Location` by Boulder's rules: http or https on its well-known port, a name and no address.
    fn redirected(&self, location: &str, web: &Web) -> Result<Self, &'static str> {
        let uri: Uri = location.parse().map_err(|_| "Invalid redirect URL")?;
        let path = uri.path_and_query().map_or("/", uri::PathAndQuery::as_str).to_owned();
        let Some(authority) = uri.authority() else {
            return Ok(Self { scheme: self.scheme, host: self.host.clone(), path });
        };
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => {
                return Err(
                    "Invalid protocol scheme in redirect target. Only \"http\" and \"https\" protocol schemes \
                            are supported",
                );
            }
        };
        let is_well_known = |port| port == scheme.standard_port() || port == web.port(scheme);
        if authority.port_u16().is_some_and(|port| !is_well_known(port)) {
            return Err("Invalid port in redirect target. Only ports 80 and 443 are supported");
        }
        let host = authority.host();
        if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() || !host.contains('.') {
            return Err("Invalid host in redirect target, must be a domain name");
        }
        Ok(Self { scheme, host: host.to_ascii_lowercase(), path })
    }
}

enum Answer {
    Body(Vec<u8>),
    Redirect(String),
}

async fn fetch(
    dns: &DnsView,
    target: &Target,
    web: &Web,
    deadline: Instant,
) -> Result<(IpAddr, Answer), Problem> {
    let addresses = dns.addresses(&target.host).await?;
    let (address, stream) = connect(&addresses, web.port(target.scheme), target, deadline).await?;
    let url = target.url();
    let fetching = |why: &str| Problem::new(Kind::Connection, format!("{address}: Fetching {url}: {why}"));
    let answer = async {
        match target.scheme {
            Scheme::Http => exchange(stream, target).await,
            Scheme::Https => {
                let name = ServerName::try_from(target.host.clone()).map_err(drop)?;
                exchange(web.tls.connect(name, stream).await.map_err(drop)?, target).await
            }
        }
    };
    match timeout_at(deadline, answer).await {
        Err(_) => Err(fetching("Timeout after connect (your server may be slow or overloaded)")),
        Ok(Err(())) => Err(fetching("Error getting validation data")),
        Ok(Ok((status, _, Some(location)))) if REDIRECTS.contains(&status) => {
            Ok((address, Answer::Redirect(location)))
        }
        Ok(Ok((StatusCode::OK, body, _))) if body.len() <= BODY_BYTES_MAX => {
            Ok((address, Answer::Body(body)))
        }
        Ok(Ok((StatusCode::OK, body, _))) => Err(Problem::unauthorized(format!(
            "{address}: Invalid response from {url}: {:?}",
            String::from_utf8_lossy(&body[..BODY_BYTES_MAX])
        ))),
        Ok(Ok((status, _, _))) => {
            Err(Problem::unauthorized(format!("{address}: Invalid response from {url}: {}", status.as_u16())))
        }
    }
}

/// Boulder tries the first IPv6 address, and the first IPv4 address if that cannot be reached.
async fn connect(
    addresses: &[IpAddr],
    port: u16,
    target: &Target,
    deadline: Instant,
) -> Result<(IpAddr, TcpStream), Problem> {
    let first = |wanted: fn(&&IpAddr) -> bool| addresses.iter().find(wanted).copied();
    let candidates = [first(|address| address.is_ipv6()), first(|address| address.is_ipv4())];
    let mut problem = Problem::new(Kind::Dns, format!("No valid IP addresses found for {}", target.host));
    for address in candidates.into_iter().flatten() {
        let why = match timeout_at(deadline, TcpStream::connect((address, port))).await {
            Ok(Ok(stream)) => return Ok((address, stream)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => "Connection refused",
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => "Connection reset by peer",
            Ok(Err(_)) => "Error getting validation data",
            Err(_) => "Timeout during connect (likely firewall problem)",
        };
        problem = Problem::new(Kind::Connection, format!("{address}: Fetching {}: {why}", target.url()));
    }
    Err(problem)
}

/// One request on a connection of its own; of the body no more is read than needed to see it is too long.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    target: &Target,
) -> Result<(StatusCode, Vec<u8>, Option<String>), ()> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(drop)?;
    // Ends with this exchange, however that ends.
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(&target.path)
        .header(header::HOST, &target.host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Body::empty())
        .unwrap_or_default();
    let response = sender.send_request(request).await.map_err(drop)?;
    let status = response.status();
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let location = location.map(str::to_owned);
    let body = if status == StatusCode::OK {
        read_body(response.into_body()).await.map_err(drop)?
    } else {
        Vec::new()
    };
    Ok((status, body, location))
}

async fn read_body(mut incoming: Incoming) -> Result<Vec<u8>, hyper::Error> {
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        if let Some(data) = frame?.data_ref() {
            body.extend_from_slice(data);
        }
        if body.len() > BODY_BYTES_MAX {
            break;
        }
    }
    Ok(body)
}

fn compare(body: &[u8], expected: &str) -> Result<(), Problem> {
    let found = String::from_utf8_lossy(body);
    let found = found.trim_end();
    if found == expected {
        return Ok(());
    }
    Err(Problem::unauthorized(format!(
        "The key authorization file from the server did not match this challenge. Expected \"{expected}\" \
         (got \"{found}\")"
    )))
}
