use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;

/// `[api]`: the REST API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Plain HTTP: put a proxy that speaks TLS in front before it leaves the machine.
    pub listen: SocketAddr,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8400)) }
    }
}
