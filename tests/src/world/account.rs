//! The service's own account at the CA, for whoever asks beside the service.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use issuance::ids::AccountId;
use issuance::profile::CaProfile;
use issuance::time::Clock;
use lockkeeper::acme::{Account, AccountKey, Authority, AuthorityConfig, Timeouts, Transport};
use lockkeeper::keys::{MasterKey, Sealer};
use lockkeeper::store::Store;
use secrecy::ExposeSecret as _;

/// The account that the service has registered.
pub(super) async fn restore(
    store: &Store,
    master_key: &Path,
    directory_url: &str,
    extra_root: Option<&Path>,
    profile: Arc<CaProfile>,
    clock: Arc<dyn Clock>,
    transport: Option<Arc<dyn Transport>>,
) -> anyhow::Result<(AccountId, Account)> {
    let record = store.account_of_directory(directory_url).await?.context("the service has an account")?;
    let sealer = Sealer::new(&MasterKey::load(master_key)?);
    let key = sealer.open(&format!("accounts/{}/key", record.account), &record.key_sealed)?;
    let config = AuthorityConfig {
        name: "test".into(),
        directory_url: directory_url.to_owned(),
        extra_root_pem: extra_root.map(std::fs::read_to_string).transpose()?,
        profile,
        timeouts: Timeouts::default(),
        clock,
        transport,
    };
    let authority = Authority::connect(config).await?;
    let url = record.account_url.context("the account is registered")?;
    let account = Account::restore(authority, &url, AccountKey::from_pkcs8(key.expose_secret())?)?;
    Ok((record.account, account))
}
