use std::net::SocketAddr;
use std::num::NonZeroU16;

use serde::Deserialize;

/// `[resolver]`: who is asked about the DNS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResolverConfig {
    /// Empty: the machine's own (`/etc/resolv.conf`).
    pub servers: Vec<SocketAddr>,
    /// The port at which authoritative servers answer. A public CA asks at 53 only.
    pub authority_port: NonZeroU16,
}

impl Default for ResolverConfig {
    fn default() -> Self {
        Self { servers: Vec::new(), authority_port: const { NonZeroU16::new(53).unwrap() } }
    }
}
