use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use issuance::selector::Selector;
use serde::{Deserialize, Deserializer};

/// `[service]`: whom the agent asks, as whom, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceConfig {
    /// The API. Required.
    pub url: Option<ServiceUrl>,
    /// Holds the agent's API key; nobody but the agent may read it. Required.
    pub key_file: Option<KeyFile>,
    /// A further root certificate (PEM) to trust, for an API with a certificate of one's own.
    pub extra_root: Option<PathBuf>,
    /// Labels of the certificates that this server needs, as in `server=web17`. Required.
    #[serde(deserialize_with = "selector")]
    pub selector: Option<Selector>,
    /// What this server is called in deployments; the machine's name if absent.
    pub target: Option<String>,
    /// How long the service may hold a question until something changes.
    pub wait_seconds: NonZeroU32,
    /// The longest rest after the service could not be reached; it begins with a second, and doubles.
    pub retry_seconds_max: NonZeroU32,
}

impl ServiceConfig {
    pub fn wait(&self) -> Duration {
        Duration::from_secs(self.wait_seconds.get().into())
    }

    pub fn retry_max(&self) -> Duration {
        Duration::from_secs(self.retry_seconds_max.get().into())
    }
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            url: None,
            key_file: None,
            extra_root: None,
            selector: None,
            target: None,
            wait_seconds: const { NonZeroU32::new(50).unwrap() },
            retry_seconds_max: const { NonZeroU32::new(300).unwrap() },
        }
    }
}

/// A file with a secret in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct KeyFile(pub PathBuf);

/// `https://`, or `http://` within this machine: keys never travel in the clear.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ServiceUrl(String);

impl ServiceUrl {
    /// Without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ServiceUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let url = text.trim_end_matches('/');
        let uri: http::Uri = url.parse().map_err(|_| "no URL: write https://host or https://host:port")?;
        let host = uri.host().ok_or("no host in it: write https://host or https://host:port")?;
        if uri.query().is_some() || !matches!(uri.path(), "" | "/") || url.contains('@') {
            return Err("write https://host or https://host:port, and nothing behind it");
        }
        match uri.scheme_str() {
            Some("https") => Ok(Self(url.to_owned())),
            Some("http") if is_loopback(host) => Ok(Self(url.to_owned())),
            _ => Err(
                "private keys never travel in the clear: write https:// (http:// within this machine only)",
            ),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn selector<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Selector>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Selector::parse(&text).map(Some).map_err(serde::de::Error::custom)
}
