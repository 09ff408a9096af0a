use std::fmt::{Display, Formatter, Result as FmtResult};
use std::net::IpAddr;

use http::Uri;
use serde::Deserialize;

/// A directory URL (RFC 8555 §7.1.1): https, or plain http where the traffic cannot leave the machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DirectoryUrl(Box<str>);

impl DirectoryUrl {
    pub fn parse(url: &str) -> Result<Self, DirectoryUrlError> {
        let uri: Uri = url.parse().map_err(|_| DirectoryUrlError::Malformed { url: url.to_owned() })?;
        let host = uri.host().filter(|host| !host.is_empty());
        match (uri.scheme_str(), host) {
            (Some("https"), Some(_)) => Ok(Self(url.into())),
            (Some("http"), Some(host)) if is_loopback(host) => Ok(Self(url.into())),
            (Some("http"), Some(_)) => Err(DirectoryUrlError::PlainHttp { url: url.to_owned() }),
            _ => Err(DirectoryUrlError::Malformed { url: url.to_owned() }),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl TryFrom<String> for DirectoryUrl {
    type Error = DirectoryUrlError;

    fn try_from(url: String) -> Result<Self, DirectoryUrlError> {
        Self::parse(&url)
    }
}

impl Display for DirectoryUrl {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryUrlError {
    #[error("{url:?} is no http or https URL")]
    Malformed { url: String },
    #[error(
        "{url:?} is plain http, which is accepted for localhost and loopback addresses only: write https"
    )]
    PlainHttp { url: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_is_taken_from_anywhere_and_http_from_loopback_only() {
        for good in [
            "https://acme.example.net/directory",
            "http://127.0.0.1:14000/dir",
            "http://127.8.8.8/dir",
            "http://[::1]:4000/directory",
            "http://localhost/dir",
        ] {
            assert_eq!(DirectoryUrl::parse(good).map(|url| url.as_str().to_owned()), Ok(good.to_owned()));
        }
        for plain in
            ["http://10.0.0.1/dir", "http://acme.example.net/dir", "http://localhost.example.net/dir"]
        {
            assert!(
                matches!(DirectoryUrl::parse(plain), Err(DirectoryUrlError::PlainHttp { .. })),
                "{plain}"
            );
        }
        for bad in ["", "acme.example.net", "/directory", "ftp://127.0.0.1/dir", "https://"] {
            assert!(matches!(DirectoryUrl::parse(bad), Err(DirectoryUrlError::Malformed { .. })), "{bad}");
        }
    }
}
