use std::path::PathBuf;

use serde::Deserialize;

/// `[data]`: what this machine keeps.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Holds the private database cluster and the sealing key. Created where it is missing.
    pub folder: PathBuf,
    /// The 32 bytes that seal every key. Absent: `master.key` in the folder, made at the first start. Replicas
    /// of one database share one.
    pub master_key: Option<PathBuf>,
}

impl DataConfig {
    pub fn master_key_path(&self) -> PathBuf {
        self.master_key.clone().unwrap_or_else(|| self.folder.join("master.key"))
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { folder: PathBuf::from("/var/lib/lockkeeper"), master_key: None }
    }
}
