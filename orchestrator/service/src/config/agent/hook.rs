use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

/// `[hook]`: what is called for each certificate that is new, before the reload.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HookConfig {
    /// A program and its arguments, to which are added what a deploy hook of acme.sh gets: the name, and the paths of
    /// key, certificate, issuers and full chain. Empty: nothing is called.
    pub command: Vec<String>,
    /// A hook that takes longer has failed, and is killed.
    pub timeout_seconds: NonZeroU32,
}

impl HookConfig {
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.get().into())
    }
}

impl Default for HookConfig {
    fn default() -> Self {
        Self { command: Vec::new(), timeout_seconds: const { NonZeroU32::new(60).unwrap() } }
    }
}
