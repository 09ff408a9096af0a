use std::path::PathBuf;

use serde::Deserialize;

/// `[data]`: what this machine keeps.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Holds the private database cluster and the sealing key. Created where it is missing.
    pub folder: PathBuf,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { folder: PathBuf::from("/var/lib/lockkeeper") }
    }
}
