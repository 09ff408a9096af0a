//! The only place requests go to: scheme, host and port of the directory.

use std::fmt;
use std::net::IpAddr;

use ::http::Uri;

/// Scheme, host and port (RFC 6454 §4). Every URL a CA hands out is held against its directory's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    host: Box<str>,
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Https,
    Http,
}

/// A URL that is never contacted, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    #[error("{url:?} is not an absolute http or https URL")]
    Unreadable { url: Box<str> },
    #[error("{url:?} is plain http: only hosts on loopback may be spoken to without TLS")]
    Plain { url: Box<str> },
    #[error("{url:?} is not at {origin}, where this CA's directory is")]
    Foreign { url: Box<str>, origin: Box<str> },
}

/// What is repeated of a hostile URL in messages.
const SHOWN_CHARS_MAX: usize = 200;

fn shown(url: &str) -> Box<str> {
    url.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect::<String>().into()
}

impl Origin {
    /// The origin of `url`. Plain http is accepted for loopback hosts only.
    pub fn of(url: &str) -> Result<Self, OriginError> {
        let uri: Uri = url.parse().map_err(|_| OriginError::Unreadable { url: shown(url) })?;
        Self::of_uri(&uri)
    }

    fn of_uri(uri: &Uri) -> Result<Self, OriginError> {
        let unreadable = || OriginError::Unreadable { url: shown(&uri.to_string()) };
        let authority = uri.authority().ok_or_else(unreadable)?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(unreadable());
        }
        let host = authority.host().to_ascii_lowercase();
        let scheme = match uri.scheme_str() {
            Some("https") => Scheme::Https,
            Some("http") if is_loopback(&host) => Scheme::Http,
            Some("http") => return Err(OriginError::Plain { url: shown(&uri.to_string()) }),
            _ => return Err(unreadable()),
        };
        let port = authority.port_u16().unwrap_or(match scheme {
            Scheme::Https => 443,
            Scheme::Http => 80,
        });
        Ok(Self { scheme, host: host.into(), port })
    }

    /// Parses `url` if it stays at this origin.
    pub fn admit(&self, url: &str) -> Result<Uri, OriginError> {
        let uri: Uri = url.parse().map_err(|_| OriginError::Unreadable { url: shown(url) })?;
        if Self::of_uri(&uri)? == *self {
            Ok(uri)
        } else {
            Err(OriginError::Foreign { url: shown(url), origin: self.to_string().into() })
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Https => "https",
            Scheme::Http => "http",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_directorys_own_origin_is_admitted() {
        let origin = Origin::of("https://CA.example.com/directory").unwrap();
        assert!(origin.admit("https://ca.example.com/acme/order/1").is_ok());
        assert!(origin.admit("https://ca.example.com:443/acme/order/1").is_ok());
        for foreign in [
            "https://ca.example.com:8443/x",
            "https://evil.example.com/x",
            "https://ca.example.com.evil.net/x",
            "https://10.0.0.1/x",
        ] {
            assert!(matches!(origin.admit(foreign), Err(OriginError::Foreign { .. })), "{foreign}");
        }
        for unreadable in [
            "file:///etc/passwd",
            "/acme/order/1",
            "https://user@ca.example.com/x",
            "",
            "gopher://ca.example.com/",
        ] {
            assert!(matches!(origin.admit(unreadable), Err(OriginError::Unreadable { .. })), "{unreadable}");
        }
        assert!(matches!(origin.admit("http://ca.example.com/x"), Err(OriginError::Plain { .. })));
    }

    #[test]
    fn plain_http_is_for_loopback() {
        for good in ["http://127.0.0.1:4000/dir", "http://[::1]:4000/dir", "http://localhost:4000/dir"] {
            assert!(Origin::of(good).is_ok(), "{good}");
        }
        assert!(matches!(Origin::of("http://192.0.2.1/dir"), Err(OriginError::Plain { .. })));
    }
}
