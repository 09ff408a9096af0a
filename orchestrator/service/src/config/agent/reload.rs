use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

/// `[reload]`: what makes the server read its files again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReloadConfig {
    /// A program and its arguments; no shell is between. Empty: nothing is reloaded.
    pub command: Vec<String>,
    /// After a change, others are waited for that long: one reload for all of them.
    pub debounce_seconds: u32,
    /// A reload that takes longer has failed, and is killed.
    pub timeout_seconds: NonZeroU32,
}

impl ReloadConfig {
    pub fn debounce(&self) -> Duration {
        Duration::from_secs(self.debounce_seconds.into())
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.get().into())
    }
}

impl Default for ReloadConfig {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            debounce_seconds: 10,
            timeout_seconds: const { NonZeroU32::new(60).unwrap() },
        }
    }
}
