use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;

use super::cidr::Cidr;

/// `[api]`: the REST API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Plain HTTP: put a proxy that speaks TLS in front before it leaves the machine.
    pub listen: SocketAddr,
    /// Proxies of one's own, whose `X-Forwarded-For` says who asks. Nobody else is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Requests of one key in a minute, on each replica. 0: as many as come.
    pub requests_per_minute: u32,
    /// Requests with a key that opens nothing, of one address in a minute, on each replica; then it is not heard for a
    /// while. 0: as many as come.
    pub failed_authentications_per_minute: u32,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8400)),
            trusted_proxies: Vec::new(),
            requests_per_minute: 6_000,
            failed_authentications_per_minute: 30,
        }
    }
}
