use std::num::NonZeroU16;
use std::path::PathBuf;

use serde::Deserialize;

use super::cidr::Cidr;

/// `[webhooks]`: where events may be sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhooksConfig {
    /// Blocks that may be sent to although they are not public, over plain HTTP too. Whoever may make webhooks reaches
    /// what is in them, tenants among them.
    pub allow: Vec<Cidr>,
    /// A root beside the machine's own that receivers may be known by: a PEM file.
    pub extra_root: Option<PathBuf>,
    /// Attempts of this process under way at once.
    pub at_once: NonZeroU16,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        Self { allow: Vec::new(), extra_root: None, at_once: const { NonZeroU16::new(32).unwrap() } }
    }
}
