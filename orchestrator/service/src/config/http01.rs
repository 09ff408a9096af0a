use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use serde::Deserialize;

/// `[http01]`: proof over the web (RFC 8555 §8.3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http01Config {
    /// The port at which the fleet's addresses answer challenges, and are probed. A public CA looks at 80 only.
    pub port: NonZeroU16,
    /// How long one probe of one address may take.
    pub timeout_ms: NonZeroU32,
    /// Whether a name is probed before an order is placed for it.
    pub preflight: bool,
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
            timeout_ms: const { NonZeroU32::new(5_000).unwrap() },
            preflight: true,
        }
    }
}
