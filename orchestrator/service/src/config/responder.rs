use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use serde::Deserialize;

use super::cidr::Cidr;

/// `[responder]`: answers HTTP-01 challenges.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResponderConfig {
    /// The web servers forward `/.well-known/acme-challenge/` to it, or it listens on port 80 itself.
    pub listen: SocketAddr,
    /// Most connections at once. One more, and the one that has done nothing for longest is closed.
    pub connections_max: NonZeroU32,
    /// Proxies of one's own, whose `X-Forwarded-For` says who has fetched a response. Nobody else is believed.
    pub trusted_proxies: Vec<Cidr>,
}

impl Default for ResponderConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8402)),
            connections_max: const { NonZeroU32::new(1024).unwrap() },
            trusted_proxies: Vec::new(),
        }
    }
}
