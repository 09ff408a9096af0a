use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;

/// Where a responder is: `http://host` or `http://host:port`, and nothing that could break out of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponderUrl {
    https: bool,
    /// A DNS name, an IPv4 address, or an IPv6 address in brackets.
    host: Box<str>,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of a responder: write http://host or http://host:port, and nothing behind it")]
pub struct ResponderUrlError(String);

impl ResponderUrl {
    pub(super) fn is_https(&self) -> bool {
        self.https
    }

    /// CAs follow redirects to port 80 and 443 only, whatever the scheme.
    pub(super) fn is_on_a_port_of_cas(&self) -> bool {
        matches!(self.port(), 80 | 443)
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or(if self.https { 443 } else { 80 })
    }

    /// `host:port`.
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port())
    }
}

impl FromStr for ResponderUrl {
    type Err = ResponderUrlError;

    fn from_str(text: &str) -> Result<Self, ResponderUrlError> {
        let malformed = || ResponderUrlError(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| malformed())?;
        let authority = uri.authority().ok_or_else(malformed)?;
        let host = authority.host();
        let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_good = bare.map_or(is_name, |address| address.parse::<IpAddr>().is_ok());
        let https = uri.scheme() == Some(&Scheme::HTTPS);
        let is_http = https || uri.scheme() == Some(&Scheme::HTTP);
        let ends_there = uri.path_and_query().is_none_or(|rest| rest.as_str() == "/");
        // Whatever else stands in the authority: a user, a port that is no number.
        let port = authority.port_u16();
        let whole = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        if !(is_good && is_http && ends_there) || host.is_empty() || whole != authority.as_str() {
            return Err(malformed());
        }
        Ok(Self { https, host: host.into(), port })
    }
}

impl fmt::Display for ResponderUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}
