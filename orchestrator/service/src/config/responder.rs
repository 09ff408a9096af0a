use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use serde::Deserialize;

/// `[responder]`: answers HTTP-01 challenges.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResponderConfig {
    /// The web servers forward `/.well-known/acme-challenge/` to it, or it listens on port 80 itself.
    pub listen: SocketAddr,
    /// Most connections at once; more wait in the listen queue.
    pub connections_max: NonZeroU32,
}

impl Default for ResponderConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8402)),
            connections_max: const { NonZeroU32::new(1024).unwrap() },
        }
    }
}
