use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

/// `[probe]`: where what is really served is looked at, after a reload and every so often.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbeConfig {
    /// Where this server speaks TLS, as in `127.0.0.1:443`. Empty: nothing is looked at.
    pub addresses: Vec<ServedAt>,
    /// After a reload, for so long is the new certificate waited for.
    pub settle_seconds: u32,
    /// One connection may take so long.
    pub timeout_seconds: NonZeroU32,
    /// How often everything is looked at, and told, though nothing has changed.
    pub every_seconds: NonZeroU32,
}

impl ProbeConfig {
    pub fn settle(&self) -> Duration {
        Duration::from_secs(self.settle_seconds.into())
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.get().into())
    }

    pub fn every(&self) -> Duration {
        Duration::from_secs(self.every_seconds.get().into())
    }
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            settle_seconds: 10,
            timeout_seconds: const { NonZeroU32::new(5).unwrap() },
            every_seconds: const { NonZeroU32::new(3_600).unwrap() },
        }
    }
}

/// An address and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct ServedAt(pub SocketAddr);

impl TryFrom<String> for ServedAt {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
            .map(Self)
            .map_err(|_| "no address: write it with its port, as in 127.0.0.1:443 or [::1]:443")
    }
}
