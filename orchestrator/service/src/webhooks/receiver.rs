//! Where a webhook is sent: its URL, parsed at the door.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use issuance::webhook::Outcome;

use crate::challenge::address::{AddressPolicy, AddressRefusal};
use crate::challenge::location::{Host, Scheme, parse_host};

/// A longer one is a mistake.
const URL_BYTES_MAX: usize = 2_048;

/// A URL that may be sent to. A name's addresses are held to the policy whenever it is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    pub(super) port: u16,
    /// Path and query; begins with a slash.
    pub(super) path: Box<str>,
}

/// Why a URL cannot be sent to, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiverError {
    #[error("this is no URL: write one such as https://panel.example.com/hooks")]
    Malformed,
    #[error("the URL is longer than {URL_BYTES_MAX} bytes")]
    Length,
    #[error(
        "events are sent over https only: plain http goes to addresses that the operator has allowed, \
         written as addresses"
    )]
    Scheme,
    #[error("a URL with a user name or password is not accepted: what you receive is signed instead")]
    Credentials,
    #[error("a fragment (#) never leaves the client: remove it")]
    Fragment,
    #[error(
        "the host is neither a full DNS name nor an address; names that are not ASCII are written as xn--…"
    )]
    Host,
    #[error("the port must be between 1 and 65535")]
    Port,
    #[error("{0}: the operator allows others under [webhooks] allow")]
    Address(#[from] AddressRefusal),
}

impl ReceiverError {
    /// How an attempt went that was never made.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Address(_) | Self::Scheme => Outcome::Forbidden,
            _ => Outcome::Unreachable,
        }
    }
}

impl Receiver {
    /// Reads a URL that a person or a panel wrote.
    pub fn parse(text: &str, policy: &AddressPolicy) -> Result<Self, ReceiverError> {
        if text.len() > URL_BYTES_MAX {
            return Err(ReceiverError::Length);
        }
        if text.contains('#') {
            return Err(ReceiverError::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| ReceiverError::Malformed)?;
        let scheme = match uri.scheme_str() {
            Some("https") => Scheme::Https,
            Some("http") => Scheme::Http,
            Some(_) => return Err(ReceiverError::Scheme),
            None => return Err(ReceiverError::Malformed),
        };
        let authority = uri.authority().ok_or(ReceiverError::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(ReceiverError::Credentials);
        }
        let host = parse_host(authority.host()).ok_or(ReceiverError::Host)?;
        // Not `Authority::port`: that is silent about a number no port can be.
        let port = match authority.as_str()[authority.host().len()..].strip_prefix(':') {
            None => {
                if scheme == Scheme::Https {
                    443
                } else {
                    80
                }
            }
            Some(digits) => digits.parse().ok().filter(|port| *port > 0).ok_or(ReceiverError::Port)?,
        };
        match (&host, scheme) {
            (Host::Address(address), Scheme::Https) => policy.check_reachable(*address)?,
            (Host::Address(address), Scheme::Http) if !is_allowed(policy, *address) => {
                policy.check_reachable(*address)?;
                return Err(ReceiverError::Scheme);
            }
            (Host::Name(_), Scheme::Http) => return Err(ReceiverError::Scheme),
            (Host::Name(_), Scheme::Https) | (Host::Address(_), Scheme::Http) => {}
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.into() } else { format!("/{path}").into() };
        Ok(Self { scheme, host, port, path })
    }

    /// The `Host` header.
    pub(super) fn authority(&self) -> String {
        match (self.scheme, self.port) {
            (Scheme::Https, 443) | (Scheme::Http, 80) => self.host.to_string(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

/// Where webhooks may lead, for whoever enters them.
#[derive(Debug, Clone, Default)]
pub struct Receivers(Arc<AddressPolicy>);

impl Receivers {
    pub fn new(policy: Arc<AddressPolicy>) -> Self {
        Self(policy)
    }

    /// # Errors
    /// Nothing is ever sent there.
    pub fn check(&self, url: &str) -> Result<(), ReceiverError> {
        Receiver::parse(url, &self.0).map(drop)
    }
}

/// In one of the operator's own blocks.
fn is_allowed(policy: &AddressPolicy, address: IpAddr) -> bool {
    policy.allowed.iter().any(|block| block.contains(address))
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.scheme == Scheme::Https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, allowed: &[&str]) -> Result<String, ReceiverError> {
        let allowed = allowed.iter().map(|block| block.parse().expect("a block")).collect();
        let policy = AddressPolicy { allowed, expected: Vec::new() };
        Receiver::parse(text, &policy).map(|receiver| receiver.to_string())
    }

    #[test]
    fn a_url_is_kept_as_it_is_sent_to() {
        for (text, kept) in [
            ("https://Panel.Example.com/hooks?x=1", "https://panel.example.com/hooks?x=1"),
            ("https://panel.example.com", "https://panel.example.com/"),
            ("https://panel.example.com:8443/a", "https://panel.example.com:8443/a"),
            ("https://panel.example.com:443/a", "https://panel.example.com/a"),
            ("https://hooks.corp.internal/a", "https://hooks.corp.internal/a"),
            ("https://8.8.8.8/a", "https://8.8.8.8/a"),
            ("https://[2a00::1]:8443/a", "https://[2a00::1]:8443/a"),
        ] {
            assert_eq!(parsed(text, &[]).as_deref(), Ok(kept), "{text}");
        }
        assert_eq!(
            parsed("http://10.1.2.3:9000/a", &["10.0.0.0/8"]).as_deref(),
            Ok("http://10.1.2.3:9000/a")
        );
    }

    #[test]
    fn what_must_not_be_sent_to_says_why() {
        let long = format!("https://a.com/{}", "a".repeat(URL_BYTES_MAX));
        for (text, error) in [
            ("panel.example.com", ReceiverError::Malformed),
            ("/hooks", ReceiverError::Malformed),
            ("", ReceiverError::Malformed),
            ("https:///hooks", ReceiverError::Malformed),
            ("https://a.com/ x", ReceiverError::Malformed),
            ("https://a.com/\r\nHost: b.com", ReceiverError::Malformed),
            ("http://a.com/x", ReceiverError::Scheme),
            ("ftp://a.com/x", ReceiverError::Scheme),
            ("http://8.8.8.8/x", ReceiverError::Scheme),
            ("https://user:word@a.com/", ReceiverError::Credentials),
            ("https://a.com@127.0.0.1/", ReceiverError::Credentials),
            ("https://a.com/#x", ReceiverError::Fragment),
            ("https://localhost/", ReceiverError::Host),
            ("https://0x7f.1/", ReceiverError::Host),
            ("https://2130706433/", ReceiverError::Host),
            ("https://017700000001/", ReceiverError::Host),
            ("https://127.1/", ReceiverError::Host),
            ("https://[fe80::1%25eth0]/", ReceiverError::Host),
            ("https://a.com:0/", ReceiverError::Port),
            ("https://a.com:99999/", ReceiverError::Port),
            (long.as_str(), ReceiverError::Length),
        ] {
            let told = parsed(text, &[]).expect_err(text);
            assert!(
                told == error || (told == ReceiverError::Malformed && text.contains(":99999")),
                "{text}: {told}"
            );
        }
    }

    #[test]
    fn an_address_that_is_not_public_is_refused_unless_it_is_allowed() {
        for literal in
            ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "[fd00:ec2::254]"]
        {
            for scheme in ["http", "https"] {
                let told = parsed(&format!("{scheme}://{literal}/"), &[]).expect_err(literal);
                assert!(matches!(told, ReceiverError::Address(_)), "{literal}: {told}");
            }
        }
        assert!(parsed("https://127.0.0.1/", &["127.0.0.0/8"]).is_ok());
        assert!(parsed("https://10.0.0.1/", &["127.0.0.0/8"]).is_err());
    }
}
