use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use serde::Deserialize;

use super::cidr::Cidr;

/// `[http01]`: proof over the web (RFC 8555 §8.3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http01Config {
    /// The port at which the fleet's addresses answer challenges, and are probed. A public CA looks at 80 only.
    pub port: NonZeroU16,
    /// The port at which a redirect to https is followed. A public CA goes to 443 only.
    pub https_port: NonZeroU16,
    /// How long one probe of one address may take.
    pub timeout_ms: NonZeroU32,
    /// Whether a name is probed before an order is placed for it.
    pub preflight: bool,
    /// The web servers behind the load balancers: each one is probed for the names that lead to it.
    pub nodes: Vec<NodeConfig>,
    /// Of a thousand names that a check says are not ready, so many are ordered all the same, to learn how often the
    /// check is wrong. Each that it was right about is a failed validation at the CA.
    pub sampled_per_thousand: u16,
}

/// One web server behind a load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// What it is called in findings, which tenants read too; its address where there is none.
    #[serde(default)]
    pub name: Option<String>,
    /// Address and port; need not be public.
    pub address: SocketAddr,
    /// The public addresses that it serves. Empty: all of them.
    #[serde(default)]
    pub behind: Vec<Cidr>,
}

impl Http01Config {
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.get().into())
    }
}

impl Default for Http01Config {
    fn default() -> Self {
        Self {
            port: const { NonZeroU16::new(80).unwrap() },
            https_port: const { NonZeroU16::new(443).unwrap() },
            timeout_ms: const { NonZeroU32::new(5_000).unwrap() },
            preflight: true,
            nodes: Vec::new(),
            sampled_per_thousand: 0,
        }
    }
}
