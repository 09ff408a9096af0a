use std::path::PathBuf;

use serde::Deserialize;

/// `[certbot]`: the layout of `/etc/letsencrypt`, so that what was configured for certbot stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CertbotConfig {
    /// `live/NAME/{cert,chain,fullchain,privkey}.pem` below it; absent, this layout is not written.
    pub folder: Option<PathBuf>,
}
