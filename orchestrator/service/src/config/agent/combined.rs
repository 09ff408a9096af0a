use std::path::PathBuf;

use serde::Deserialize;

/// `[haproxy]`: chain and key in one file for each certificate, as `crt` with a folder reads them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CombinedConfig {
    /// `NAME.pem` in it; absent, this layout is not written.
    pub folder: Option<PathBuf>,
}
