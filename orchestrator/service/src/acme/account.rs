//! One account at one CA.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::OnceCell;

use super::authority::Authority;
use super::endpoint::Endpoint;
use super::error::{AcmeError, Reason};
use super::jws::{AccountKey, Signer};
use super::late::Outliving;
use super::objects::AccountObject;
use super::reply::{Answer, Reply};

/// An account that exists, with its key: whoever holds it can act for it.
#[derive(Debug)]
pub struct Account {
    authority: Arc<Authority>,
    key: AccountKey,
    url: Box<str>,
    pub(super) orders_url: OnceCell<Option<Box<str>>>,
}

impl Account {
    /// An account registered earlier, by its URL. Nothing is sent.
    pub fn restore(authority: Arc<Authority>, url: &str, key: AccountKey) -> Result<Self, AcmeError> {
        authority.http().origin().admit(url).map_err(|error| AcmeError::BadConfig {
            what: "the account's address".into(),
            source: Some(error.into()),
        })?;
        Ok(Self { authority, key, url: url.into(), orders_url: OnceCell::new() })
    }

    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// The address the account is known by, also the `kid` of its signatures.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// See [`AccountKey::thumbprint`].
    pub fn thumbprint(&self) -> &str {
        self.key.thumbprint()
    }

    /// See [`AccountKey::key_authorization`].
    pub fn key_authorization(&self, token: &str) -> String {
        self.key.key_authorization(token)
    }

    /// The account as the CA sees it now.
    pub async fn account_status(&self) -> Result<Reply<AccountObject>, AcmeError> {
        let answer = self.get(Endpoint::Account, &self.url).await?;
        Ok(answer.reply(answer.json()?))
    }

    pub(super) fn key(&self) -> &AccountKey {
        &self.key
    }

    /// A POST-as-GET (RFC 8555 §6.3).
    pub(super) async fn get(&self, endpoint: Endpoint, url: &str) -> Result<Answer, AcmeError> {
        self.send(endpoint, url, &[], None).await
    }

    pub(super) async fn post(
        &self,
        endpoint: Endpoint,
        url: &str,
        payload: &impl Serialize,
    ) -> Result<Answer, AcmeError> {
        self.post_outliving(endpoint, url, payload, None).await
    }

    pub(super) async fn post_outliving(
        &self,
        endpoint: Endpoint,
        url: &str,
        payload: &impl Serialize,
        outliving: Option<&Outliving>,
    ) -> Result<Answer, AcmeError> {
        let payload = serde_json::to_vec(payload)
            .map_err(|error| AcmeError::not_sent(endpoint, Reason::Unwritable(error)))?;
        self.send(endpoint, url, &payload, outliving).await
    }

    async fn send(
        &self,
        endpoint: Endpoint,
        url: &str,
        payload: &[u8],
        outliving: Option<&Outliving>,
    ) -> Result<Answer, AcmeError> {
        // Refused before a nonce or a signature is spent on it.
        self.authority.http().origin().admit(url).map_err(|error| AcmeError::not_sent(endpoint, error))?;
        let by = Signer::Account(&self.url);
        self.authority.post(endpoint, url, &self.key, by, payload, outliving).await
    }
}
