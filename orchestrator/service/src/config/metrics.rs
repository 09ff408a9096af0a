use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;

/// `[metrics]`: metrics and health.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Whoever reaches this port may read: it asks for no token.
    pub listen: SocketAddr,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8401)) }
    }
}
