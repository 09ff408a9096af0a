//! The way to the CA: the account's key first, then the directory, then the account, then the engine. Each is
//! tried until it succeeds; the rest of the service runs meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use issuance::ids::AccountId;
use issuance::profile::CaProfile;
use issuance::time::Clock;
use secrecy::{ExposeSecret, SecretSlice};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::acme::{
    Account, AccountKey, AcmeError, Authority, AuthorityConfig, ExternalAccount, Registration, Timeouts,
    Transport,
};
use crate::config::Config;
use crate::keys::{KeyKind, Sealer, account_key};
use crate::store::accounts::{AccountRecord, NewAccount};
use crate::store::{Store, StoreError};

use super::AppError;

/// Between two tries to reach a CA that does not answer; doubled up to the maximum.
const RETRY_WAIT: Duration = Duration::from_secs(1);
const RETRY_WAIT_MAX: Duration = Duration::from_mins(1);
/// What a request leaves of its lease.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

/// Everything it takes to reach one CA with one account.
#[derive(Debug)]
pub(super) struct CaLink {
    pub(super) record: AccountRecord,
    authority: AuthorityConfigParts,
    key: SecretSlice<u8>,
    registration: RegistrationParts,
}

#[derive(Debug)]
struct AuthorityConfigParts {
    name: String,
    directory_url: String,
    extra_root_pem: Option<String>,
    profile: Arc<CaProfile>,
    timeouts: Timeouts,
    clock: Arc<dyn Clock>,
    transport: Option<Arc<dyn Transport>>,
}

#[derive(Debug)]
struct RegistrationParts {
    contacts: Vec<String>,
    /// The key's id, and the key.
    external_account: Option<(String, SecretSlice<u8>)>,
}

/// Where a CA account's key seal belongs.
fn key_context(account: AccountId) -> String {
    format!("accounts/{account}/key")
}

/// No request may outlive its lease.
pub(super) fn timeouts(lease: Duration) -> Timeouts {
    let most = lease.saturating_sub(LEASE_MARGIN).max(Duration::from_secs(1));
    let usual = Timeouts::default();
    Timeouts {
        connect: usual.connect.min(most),
        new_order: usual.new_order.min(most),
        finalize: usual.finalize.min(most),
        other: usual.other.min(most),
    }
}

impl CaLink {
    /// Finds the account of the configured directory, or makes its key and commits it.
    pub(super) async fn prepare(
        config: &Config,
        profile: &Arc<CaProfile>,
        store: &Store,
        sealer: &Sealer,
        clock: &Arc<dyn Clock>,
        transport: Option<Arc<dyn Transport>>,
    ) -> Result<Self, AppError> {
        let directory = config.ca.directory(profile).map_err(AppError::Directory)?;
        let directory_url = directory.ok_or(AppError::NoDirectory)?.as_str().to_owned();
        if !config.ca.agree_to_terms {
            return Err(AppError::Terms { directory_url });
        }
        let record = match store.account_of_directory(&directory_url).await? {
            Some(record) => record,
            None => create(config, profile, store, sealer, clock, &directory_url).await?,
        };
        let budget = config.pending.budget(profile);
        store.set_pending_budget(record.account, budget.max, budget.recovery_reserve).await?;
        let key = sealer
            .open(&key_context(record.account), &record.key_sealed)
            .map_err(|source| AppError::AccountKey { account: record.account, source })?;
        let external_account = match config.ca.external_account() {
            Some(external) => {
                let text = read(external.hmac_file)?;
                // CAs hand it out in base64url, some with padding.
                let key = BASE64_URL_SAFE_NO_PAD
                    .decode(text.trim().trim_end_matches('='))
                    .map_err(|source| AppError::ExternalAccountKey { source })?;
                Some((external.kid.to_owned(), SecretSlice::from(key)))
            }
            None => None,
        };
        Ok(Self {
            authority: AuthorityConfigParts {
                name: config.ca.name.clone(),
                directory_url,
                extra_root_pem: config.ca.extra_root.as_deref().map(read).transpose()?,
                profile: Arc::clone(profile),
                timeouts: timeouts(config.worker.lease()),
                clock: Arc::clone(clock),
                transport,
            },
            key,
            registration: RegistrationParts {
                contacts: config.ca.contacts.iter().map(|contact| contact.as_str().to_owned()).collect(),
                external_account,
            },
            record,
        })
    }

    /// Tries until the CA has shown its directory and knows the account. `None` if asked to stop before.
    pub(super) async fn establish(self, store: &Store, stop: &CancellationToken) -> Option<Arc<Account>> {
        let mut wait = RETRY_WAIT;
        loop {
            let attempt = tokio::select! {
                attempt = self.attempt(store) => attempt,
                () = stop.cancelled() => return None,
            };
            match attempt {
                Ok(account) => {
                    info!(
                        event = "ca.linked",
                        ca.name = self.authority.name,
                        account.url = account.url(),
                        "CA {} knows the account",
                        self.authority.name
                    );
                    return Some(Arc::new(account));
                }
                Err(error) => warn!(
                    event = "ca.not_ready",
                    ca.name = self.authority.name,
                    ca.directory = self.authority.directory_url,
                    error = &error as &dyn std::error::Error,
                    wait_seconds = wait.as_secs(),
                    "CA {} is not ready for us; orders are kept and wait",
                    self.authority.name
                ),
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return None,
            }
            wait = (wait * 2).min(RETRY_WAIT_MAX);
        }
    }

    async fn attempt(&self, store: &Store) -> Result<Account, LinkError> {
        let parts = &self.authority;
        let authority = Authority::connect(AuthorityConfig {
            name: parts.name.clone(),
            directory_url: parts.directory_url.clone(),
            extra_root_pem: parts.extra_root_pem.clone(),
            profile: Arc::clone(&parts.profile),
            timeouts: parts.timeouts,
            clock: Arc::clone(&parts.clock),
            transport: parts.transport.clone(),
        })
        .await?;
        let bound = self.registration.external_account.as_ref();
        let external_account = bound
            .map(|(key_id, mac_key)| ExternalAccount { key_id: key_id.clone(), mac_key: mac_key.clone() });
        let registration = Registration {
            contacts: self.registration.contacts.clone(),
            terms_of_service_agreed: true,
            external_account,
        };
        let key = AccountKey::from_pkcs8(self.key.expose_secret())?;
        // Asking with a key that has an account finds that account: safe to repeat, and it tells whether the
        // CA still knows it.
        let account = Account::register(&authority, key, &registration).await?;
        store.account_registered(self.record.account, account.url()).await?;
        Ok(account)
    }
}

/// Why the CA is not ready for us.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error(transparent)]
    Acme(#[from] AcmeError),
    #[error(transparent)]
    Key(#[from] crate::acme::jws::KeyError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

async fn create(
    config: &Config,
    profile: &CaProfile,
    store: &Store,
    sealer: &Sealer,
    clock: &Arc<dyn Clock>,
    directory_url: &str,
) -> Result<AccountRecord, AppError> {
    let now = clock.now();
    let account = store.mint_account(now);
    let pkcs8 = account_key::generate(KeyKind::EcdsaP256)?;
    let key_sealed = sealer
        .seal(&key_context(account), pkcs8.expose_secret())
        .map_err(|source| AppError::AccountKey { account, source })?;
    let key_thumbprint = AccountKey::from_pkcs8(pkcs8.expose_secret())?.thumbprint().to_owned();
    let budget = config.pending.budget(profile);
    let new = NewAccount {
        account,
        ca: config.ca.name.clone(),
        directory_url: directory_url.to_owned(),
        key_sealed,
        key_thumbprint,
        contacts: config.ca.contacts.iter().map(|contact| contact.as_str().to_owned()).collect(),
        pending_authorizations_max: budget.max,
        recovery_reserve: budget.recovery_reserve,
    };
    Ok(store.create_account(&new, now).await?)
}

fn read(path: &Path) -> Result<String, AppError> {
    std::fs::read_to_string(path).map_err(|source| AppError::File { path: path.to_owned(), source })
}
