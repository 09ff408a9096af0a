//! What stands between an address and the right answer.

use std::fmt;
use std::io;

use http::StatusCode;
use issuance::fault::FailureClass;

use super::address::AddressRefusal;
use super::fetch::REDIRECTS_MAX;
use super::location::{Location, LocationFault};
use super::resolver::ResolveFault;

const SHOWN_CHARACTERS: usize = 40;

/// What stands between an address and the answer, and on which hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchFault {
    pub cause: FetchCause,
    /// The URL of the hop that failed, where it is not the first.
    redirected_to: Option<Box<str>>,
    /// How the server that answered calls itself: its `Server` header, or its greeting where it speaks no HTTP.
    server: Option<Shown>,
}

impl FetchFault {
    pub(super) fn new(failure: Failure, location: &Location, redirects: usize) -> Self {
        let redirected_to = (redirects > 0).then(|| location.to_string().into());
        Self { cause: failure.cause, redirected_to, server: failure.server }
    }

    /// None where the name is not to blame.
    ///
    /// What is wrong behind a redirect is mended at the redirect, or where it leads: not at the name's own address, and
    /// not in its records.
    pub fn class(&self) -> Option<FailureClass> {
        let class = self.cause.class()?;
        if self.redirected_to.is_none() {
            return Some(class);
        }
        Some(match self.cause {
            // No CA follows a redirect into a private network.
            FetchCause::Forbidden(_) | FetchCause::Redirect(_) => FailureClass::Redirect,
            FetchCause::Tls(_) => FailureClass::Tls,
            _ => FailureClass::RedirectTarget,
        })
    }

    /// Whether a connection to the address came about.
    pub(super) fn is_behind_the_connection(&self) -> bool {
        let to_nobody = matches!(
            self.cause,
            FetchCause::Refused
                | FetchCause::HostUnreachable
                | FetchCause::ConnectTimeout
                | FetchCause::Local(_)
                | FetchCause::ResolversUnreachable
        );
        self.redirected_to.is_some() || !to_nobody
    }
}

impl fmt::Display for FetchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)?;
        if let Some(server) = &self.server {
            write!(f, " from the server {server}")?;
        }
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
    #[error("the connection is closed before the answer is complete")]
    Closed,
    #[error("the connection does not come about in time (a firewall, most often)")]
    ConnectTimeout,
    #[error("the connection is taken, and nothing comes back in time")]
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
    #[error("the server expects TLS where plain HTTP is spoken")]
    TlsOnly,
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
    /// What it is where it is met at the name's own address.
    fn class(&self) -> Option<FailureClass> {
        match self {
            Self::Refused => Some(FailureClass::ConnectionRefused),
            Self::HostUnreachable | Self::ConnectTimeout | Self::Timeout => {
                Some(FailureClass::ConnectionTimeout)
            }
            Self::Closed => Some(FailureClass::ConnectionClosed),
            Self::Slow => Some(FailureClass::SlowResponse),
            Self::Status(_) => Some(FailureClass::HttpStatus),
            Self::Redirect(_) => Some(FailureClass::Redirect),
            Self::NotHttp | Self::TlsOnly => Some(FailureClass::NotHttp),
            Self::WrongContent(_) => Some(FailureClass::WrongContent),
            Self::Tls(_) => Some(FailureClass::Tls),
            Self::Forbidden(refusal) => Some(refusal.class()),
            Self::Local(_) | Self::ResolversUnreachable => None,
        }
    }

    pub(super) fn of_connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::HostUnreachable => Self::HostUnreachable,
            io::ErrorKind::TimedOut => Self::ConnectTimeout,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Self::Closed,
            kind => Self::Local(kind),
        }
    }

    pub(super) fn of_exchange(error: &hyper::Error) -> Self {
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
    pub(super) fn new(text: &str) -> Self {
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

/// Why a hop came to nothing, and who says so.
pub(super) struct Failure {
    pub(super) cause: FetchCause,
    pub(super) server: Option<Shown>,
}

impl From<FetchCause> for Failure {
    fn from(cause: FetchCause) -> Self {
        Self { cause, server: None }
    }
}
