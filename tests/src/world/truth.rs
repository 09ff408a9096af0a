//! What the CA says of authorizations, asked under the service's own account.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use issuance::profile::CaProfile;
use lockkeeper::acme::objects::AuthorizationStatus;
use lockkeeper::acme::{Account, AccountKey, Authority, AuthorityConfig, Timeouts};
use lockkeeper::clock::SystemClock;
use lockkeeper::keys::{MasterKey, Sealer};
use lockkeeper::store::Store;
use secrecy::ExposeSecret as _;

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
        let record =
            store.account_of_directory(directory_url).await?.context("the service has an account")?;
        let sealer = Sealer::new(&MasterKey::load(master_key)?);
        let key = sealer.open(&format!("accounts/{}/key", record.account), &record.key_sealed)?;
        let config = AuthorityConfig {
            name: "truth".into(),
            directory_url: directory_url.to_owned(),
            extra_root_pem: extra_root.map(std::fs::read_to_string).transpose()?,
            profile: Arc::new(profile),
            timeouts: Timeouts::default(),
            clock: Arc::new(SystemClock),
            transport: None,
        };
        let authority = Authority::connect(config).await?;
        let url = record.account_url.context("the account is registered")?;
        let account = Account::restore(authority, &url, AccountKey::from_pkcs8(key.expose_secret())?)?;
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
