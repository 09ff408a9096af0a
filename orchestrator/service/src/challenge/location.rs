//! Where a redirect leads, held to what a CA follows.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use http::Uri;

/// What Boulder follows; a longer one would be refused there too.
const PATH_BYTES_MAX: usize = 2_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Name(Box<str>),
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// The ports a request may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    /// Stands in for port 80 everywhere.
    pub(super) http: u16,
    /// Stands in for port 443 everywhere.
    pub(super) https: u16,
}

impl Ports {
    pub(super) fn of(self, scheme: Scheme) -> u16 {
        match scheme {
            Scheme::Http => self.http,
            Scheme::Https => self.https,
        }
    }
}

/// One request's address as the web server sees it. The port follows from the scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    /// Path and query; begins with a slash.
    pub(super) path: Box<str>,
}

impl Location {
    /// Reads a `Location` header that came in answer to a request to `self` (RFC 9110 §10.2.2).
    pub(super) fn redirected(&self, header: &str, ports: Ports) -> Result<Self, LocationFault> {
        let malformed = || LocationFault::Malformed;
        let absolute = self.absolute(header);
        let uri: Uri = absolute.parse().map_err(|_| malformed())?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(LocationFault::Scheme),
        };
        let authority = uri.authority().ok_or_else(malformed)?;
        if authority.as_str().contains('@') {
            return Err(LocationFault::Credentials);
        }
        // Not `Authority::port`: that is silent about a number no port can be.
        let named_port = match authority.as_str()[authority.host().len()..].strip_prefix(':') {
            None | Some("") => None,
            Some(digits) => Some(digits.parse::<u16>().map_err(|_| malformed())?),
        };
        let standard = match scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        if named_port.is_some_and(|port| port != standard && port != ports.of(scheme)) {
            return Err(LocationFault::Port);
        }
        let host = parse_host(authority.host()).ok_or(LocationFault::Host)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        if path.len() > PATH_BYTES_MAX {
            return Err(LocationFault::Length);
        }
        // `http://host?query` has an empty path; on the wire it is a slash.
        let path = if path.starts_with('/') { path.into() } else { format!("/{path}").into() };
        Ok(Self { scheme, host, path })
    }

    fn absolute(&self, reference: &str) -> String {
        let reference = reference.split('#').next().unwrap_or(reference);
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let path = self.path.split('?').next().unwrap_or(&self.path);
        if has_scheme(reference) {
            reference.to_owned()
        } else if reference.starts_with("//") {
            format!("{scheme}:{reference}")
        } else if reference.starts_with('/') {
            format!("{scheme}://{}{reference}", self.host)
        } else if reference.is_empty() || reference.starts_with('?') {
            format!("{scheme}://{}{path}{reference}", self.host)
        } else {
            let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
            format!("{scheme}://{}{folder}{reference}", self.host)
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}{}", self.host, self.path)
    }
}

/// RFC 3986 §3.1.
fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The host of a URL: an address, or a full DNS name.
pub(crate) fn parse_host(text: &str) -> Option<Host> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let address: Ipv6Addr = bracketed.strip_suffix(']')?.parse().ok()?;
        return Some(Host::Address(address.into()));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Host::Address(address));
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label_is_good = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    // One label means nothing outside our own network, and a last label that begins with a digit is an
    // address in one of its other spellings (`0x7f.1`).
    let last = name.rsplit('.').next()?;
    let good = name.len() <= 253
        && name.contains('.')
        && name.split('.').all(label_is_good)
        && last.starts_with(|c: char| c.is_ascii_alphabetic());
    good.then(|| Host::Name(name.into()))
}

/// Why no CA follows a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LocationFault {
    #[error("its Location is missing or is no URL")]
    Malformed,
    #[error("it leads to another scheme than http or https")]
    Scheme,
    #[error("it leads to another port than 80 or 443")]
    Port,
    #[error("it carries a user name or password")]
    Credentials,
    #[error("it leads to a host that is neither a full DNS name nor an address")]
    Host,
    #[error("its path is longer than 2000 bytes")]
    Length,
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: Ports = Ports { http: 5002, https: 443 };

    fn start() -> Location {
        Location {
            scheme: Scheme::Http,
            host: Host::Name("www.shop.com".into()),
            path: "/.well-known/acme-challenge/token?x=1".into(),
        }
    }

    #[test]
    fn references_are_resolved_against_the_request() {
        let cases = [
            ("http://a.com/x?y=1#z", "http://a.com/x?y=1"),
            ("HTTPS://A.com./x", "https://a.com/x"),
            ("https://a.com", "https://a.com/"),
            ("http://a.com:80/x", "http://a.com/x"),
            ("http://a.com:/x", "http://a.com/x"),
            ("http://a.com:5002/x", "http://a.com/x"),
            ("https://a.com:443/x", "https://a.com/x"),
            ("//a.com/x", "http://a.com/x"),
            ("/x", "http://www.shop.com/x"),
            ("x", "http://www.shop.com/.well-known/acme-challenge/x"),
            ("?y=2", "http://www.shop.com/.well-known/acme-challenge/token?y=2"),
            ("http://a.com?y", "http://a.com/?y"),
            ("http://[2a00::1]/x", "http://[2a00::1]/x"),
            ("http://8.8.8.8/x", "http://8.8.8.8/x"),
            ("http://my_host.com/x", "http://my_host.com/x"),
        ];
        for (header, location) in cases {
            let redirected = start().redirected(header, PORTS).expect(header);
            assert_eq!(redirected.to_string(), location, "{header}");
        }
    }

    #[test]
    fn what_no_ca_follows_is_refused() {
        let long = format!("/{}", "a".repeat(PATH_BYTES_MAX));
        let cases = [
            ("ftp://a.com/x", LocationFault::Scheme),
            ("file:///etc/passwd", LocationFault::Malformed),
            ("gopher://a.com/x", LocationFault::Scheme),
            ("http://a.com:8080/x", LocationFault::Port),
            ("http://a.com:443/x", LocationFault::Port),
            ("https://a.com:80/x", LocationFault::Port),
            ("https://a.com:5002/x", LocationFault::Port),
            ("http://user:word@a.com/x", LocationFault::Credentials),
            ("http://a.com@127.0.0.1/x", LocationFault::Credentials),
            ("http://localhost/x", LocationFault::Host),
            ("http://0x7f.1/x", LocationFault::Host),
            ("http://2130706433/x", LocationFault::Host),
            ("http://[fe80::1%25eth0]/x", LocationFault::Host),
            ("http://a..com/x", LocationFault::Host),
            ("http:///x", LocationFault::Malformed),
            ("http://a.com:99999/x", LocationFault::Malformed),
            ("http://a.com/ x", LocationFault::Malformed),
            (long.as_str(), LocationFault::Length),
        ];
        for (header, fault) in cases {
            assert_eq!(start().redirected(header, PORTS), Err(fault), "{header}");
        }
    }
}
