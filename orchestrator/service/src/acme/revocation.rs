//! Revokes certificates (RFC 8555 §7.6) in the name of the account that ordered them.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
pub use instant_acme::RevocationReason;
use instant_acme::RevocationRequest;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde::Serialize;

use super::account::Account;
use super::bridge;
use super::endpoint::Endpoint;
use super::error::AcmeError;

#[derive(Serialize)]
struct Revocation<'a> {
    certificate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a RevocationReason>,
}

impl Account {
    /// Revokes a certificate (DER). `alreadyRevoked` comes back as a refusal, which a caller takes for success.
    pub async fn revoke(
        &self,
        certificate_der: &[u8],
        reason: Option<RevocationReason>,
    ) -> Result<(), AcmeError> {
        let directory = self.authority().directory();
        let Some(url) = directory.revoke_cert.as_deref() else {
            return Err(AcmeError::Unsupported { what: "revocation" });
        };
        let Some(pkcs8) = self.key().p256_pkcs8() else {
            let certificate = BASE64_URL_SAFE_NO_PAD.encode(certificate_der);
            let request = Revocation { certificate, reason: reason.as_ref() };
            return self.post(Endpoint::RevokeCert, url, &request).await.map(drop);
        };
        let failed = |error| bridge::error_of(Endpoint::RevokeCert, error);
        let client = bridge::builder(self.authority())
            .from_parts(
                self.url().to_owned(),
                PrivatePkcs8KeyDer::from(pkcs8),
                self.authority().directory_url().to_owned(),
            )
            .await
            .map_err(failed)?;
        let certificate = CertificateDer::from(certificate_der);
        client.revoke(&RevocationRequest { certificate: &certificate, reason }).await.map_err(failed)
    }
}
