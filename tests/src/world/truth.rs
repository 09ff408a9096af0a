//! What the CA says of authorizations, asked under the service's own account.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use issuance::profile::CaProfile;
use lockkeeper::acme::objects::AuthorizationStatus;
use lockkeeper::clock::SystemClock;
use lockkeeper::store::Store;

use super::account;

/// Authorizations by their status at the CA.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Truth {
    pub created: usize,
    pub pending: usize,
    pub valid: usize,
    pub invalid: usize,
    pub deactivated: usize,
}

/// A cell of the table of left-overs: **left pending** / created (what became of the others).
impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "**{}** / {}", self.pending, self.created)?;
        let parts: Vec<_> = [(self.valid, 'v'), (self.invalid, 'i'), (self.deactivated, 'd')]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, letter)| format!("{count}{letter}"))
            .collect();
        if parts.is_empty() { Ok(()) } else { write!(f, " ({})", parts.join(" ")) }
    }
}

impl Truth {
    /// Reads each authorization with POST-as-GET (RFC 8555 §6.3).
    pub(super) async fn ask(
        store: &Store,
        master_key: &Path,
        directory_url: &str,
        extra_root: Option<&Path>,
        profile: CaProfile,
        urls: &[String],
    ) -> anyhow::Result<Self> {
        let (profile, clock) = (Arc::new(profile), Arc::new(SystemClock));
        let (_, account) =
            account::restore(store, master_key, directory_url, extra_root, profile, clock, None).await?;
        let mut truth = Self::default();
        for url in urls {
            let status = account.authorization(url).await?.body.status;
            truth.created += 1;
            match status {
                AuthorizationStatus::Pending => truth.pending += 1,
                AuthorizationStatus::Valid => truth.valid += 1,
                AuthorizationStatus::Invalid => truth.invalid += 1,
                AuthorizationStatus::Deactivated => truth.deactivated += 1,
                other => anyhow::bail!("{url} is {other}"),
            }
        }
        Ok(truth)
    }
}
