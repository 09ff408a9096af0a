use std::net::SocketAddr;

use serde::Deserialize;

/// `[resolver]`: who is asked about the DNS.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResolverConfig {
    /// Empty: the machine's own (`/etc/resolv.conf`).
    pub servers: Vec<SocketAddr>,
}
