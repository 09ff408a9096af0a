//! Registers accounts (RFC 8555 §7.3) with a key that is already in safe keeping.

use std::sync::Arc;

use instant_acme::Key;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::Serialize;

use super::account::Account;
use super::authority::Authority;
use super::bridge;
use super::endpoint::Endpoint;
use super::error::{AcmeError, Reason};
use super::jws::{AccountKey, ExternalAccount, Signer};

/// What a new account says about its owner.
#[derive(Debug, Default)]
pub struct Registration {
    /// As URLs: `mailto:ops@example.com`.
    pub contacts: Vec<String>,
    /// Whether the operator agreed to the terms in the directory.
    pub terms_of_service_agreed: bool,
    pub external_account: Option<ExternalAccount>,
}

impl Registration {
    /// instant-acme registers a given key without contacts or binding, always agreeing to the terms.
    fn is_plain(&self) -> bool {
        self.contacts.is_empty() && self.external_account.is_none() && self.terms_of_service_agreed
    }
}

impl Account {
    /// Registers `key`, or finds the account it has already: running it again after any failure is safe. The caller
    /// has stored the key *before*, so that no account exists whose key is lost.
    pub async fn register(
        authority: &Arc<Authority>,
        key: AccountKey,
        registration: &Registration,
    ) -> Result<Self, AcmeError> {
        let url = match key.p256_pkcs8() {
            Some(pkcs8) if registration.is_plain() => through_instant_acme(authority, pkcs8).await?,
            _ => directly(authority, &key, registration).await?,
        };
        authority
            .http()
            .origin()
            .admit(&url)
            .map_err(|error| AcmeError::lost(Endpoint::NewAccount, error))?;
        Self::restore(Arc::clone(authority), &url, key)
    }
}

async fn through_instant_acme(authority: &Arc<Authority>, pkcs8: &[u8]) -> Result<String, AcmeError> {
    let failed = |error| bridge::error_of(Endpoint::NewAccount, error);
    let pkcs8 = PrivatePkcs8KeyDer::from(pkcs8.to_vec());
    let key = Key::from_pkcs8_der(pkcs8.clone_key()).map_err(failed)?;
    let (account, _) = bridge::builder(authority)
        .create_from_key((key, PrivateKeyDer::Pkcs8(pkcs8)), authority.directory_url().to_owned())
        .await
        .map_err(failed)?;
    Ok(account.id().to_owned())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewAccount<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    contact: &'a [String],
    terms_of_service_agreed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_account_binding: Option<serde_json::Value>,
}

async fn directly(
    authority: &Arc<Authority>,
    key: &AccountKey,
    registration: &Registration,
) -> Result<String, AcmeError> {
    let directory = authority.directory();
    let url = &*directory.new_account;
    let binding =
        registration.external_account.as_ref().map(|external| external.binding(key, url)).transpose()?;
    let wish = NewAccount {
        contact: &registration.contacts,
        terms_of_service_agreed: registration.terms_of_service_agreed,
        external_account_binding: binding,
    };
    let payload = serde_json::to_vec(&wish)
        .map_err(|error| AcmeError::not_sent(Endpoint::NewAccount, Reason::Unwritable(error)))?;
    let answer = authority.post(Endpoint::NewAccount, url, key, Signer::Key, &payload, None).await?;
    let missing = || AcmeError::lost(Endpoint::NewAccount, Reason::MissingHeader("Location"));
    answer.header("location").map(str::to_owned).ok_or_else(missing)
}
