//! When the CA wants a certificate renewed (ARI, RFC 9773).

use std::borrow::Cow;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use instant_acme::CertificateIdentifier;
use issuance::time::Timestamp;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::account::Account;
use super::authority::Authority;
use super::bridge;
use super::endpoint::Endpoint;
use super::error::AcmeError;
use super::jws::KeyError;
use super::reply::Reply;

/// The name of the first certificate of a chain in PEM: `AKI.serial` in base64url (RFC 9773 §4.1). `None` where it has no
/// authority key identifier, or is no certificate.
pub fn renewal_id(chain_pem: &str) -> Option<String> {
    let leaf = CertificateDer::from_pem_slice(chain_pem.as_bytes()).ok()?;
    CertificateIdentifier::try_from(&leaf).ok().map(|id| id.to_string())
}

/// The window in which the CA wants the renewal, as it stands: it may lie in the past or be upside down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalWindow {
    pub start: Timestamp,
    pub end: Timestamp,
    /// A page that explains the window, where the CA has a reason to explain.
    pub explanation_url: Option<Box<str>>,
}

impl Account {
    /// Whether the CA tells when it wants certificates renewed, and so takes `replaces`.
    pub fn has_renewal_info(&self) -> bool {
        self.authority().directory().renewal_info.is_some()
    }

    /// Asks for the window of one certificate by its renewal id, `AKI.serial` in base64url (RFC 9773 §4.1).
    /// `retry_after` is always there: six hours where the CA names none.
    pub async fn renewal_info(&self, certificate_id: &str) -> Result<Reply<RenewalWindow>, AcmeError> {
        let Some((authority_key_identifier, serial)) = certificate_id.split_once('.') else {
            return Err(AcmeError::bad_config("a renewal id is two base64url words with a dot between them"));
        };
        let failed = |error| bridge::error_of(Endpoint::RenewalInfo, error);
        let client = anonymous(self.authority()).await?;
        let id = CertificateIdentifier {
            authority_key_identifier: Cow::Borrowed(authority_key_identifier),
            serial: Cow::Borrowed(serial),
        };
        let (info, wait) = client.renewal_info(&id).await.map_err(failed)?;
        let window = RenewalWindow {
            start: info.suggested_window.start.into(),
            end: info.suggested_window.end.into(),
            explanation_url: info.explanation_url.map(Into::into),
        };
        Ok(Reply { body: window, retry_after: Some(wait), ca_time: None })
    }
}

/// The request is not signed (RFC 9773 §4.1), yet instant-acme makes it through an account. One with a throw-away key
/// serves accounts of every key kind.
async fn anonymous(authority: &Arc<Authority>) -> Result<instant_acme::Account, AcmeError> {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
        .map_err(|_| KeyError::Signing)?;
    bridge::builder(authority)
        .from_parts(
            String::new(),
            PrivatePkcs8KeyDer::from(pkcs8.as_ref()),
            authority.directory_url().to_owned(),
        )
        .await
        .map_err(|error| bridge::error_of(Endpoint::RenewalInfo, error))
}
