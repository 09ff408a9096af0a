//! Secrets of webhooks, and what they sign: Standard Webhooks 1.0.0, `v1`.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use issuance::ids::WebhookId;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::keys::{SealError, Sealer};

/// The specification asks for 24 to 64.
const SECRET_BYTES: usize = 32;
const PREFIX: &str = "whsec_";

/// What a receiver knows a message of ours by.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// A new one.
    pub fn draw() -> Result<Self, SealError> {
        let mut bytes = Zeroizing::new(vec![0; SECRET_BYTES]);
        rand::fill(&mut bytes).map_err(|_| SealError::Sealing)?;
        Ok(Self(bytes))
    }

    /// `whsec_` and base64: shown once, when it is made.
    pub fn reveal(&self) -> SecretString {
        format!("{PREFIX}{}", STANDARD.encode(&*self.0)).into()
    }

    /// The signature of one message: `v1,` and the HMAC-SHA256 of `id.timestamp.body`.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let mut context = hmac::Context::with_key(&key);
        context.update(id.as_bytes());
        context.update(format!(".{timestamp}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Where secrets lie: sealed, each to the row of its webhook.
#[derive(Debug, Clone)]
pub struct Vault(Arc<Sealer>);

impl Vault {
    pub fn new(sealer: Arc<Sealer>) -> Self {
        Self(sealer)
    }

    pub fn seal(&self, webhook: WebhookId, secret: &Secret) -> Result<Vec<u8>, SealError> {
        self.0.seal(&context(webhook), &secret.0)
    }

    pub fn open(&self, webhook: WebhookId, sealed: &[u8]) -> Result<Secret, SealError> {
        let opened = self.0.open(&context(webhook), sealed)?;
        Ok(Secret(Zeroizing::new(opened.expose_secret().to_vec())))
    }
}

fn context(webhook: WebhookId) -> String {
    format!("webhooks/{webhook}")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::keys::MasterKey;

    /// The example of the specification's reference libraries.
    #[test]
    fn a_signature_is_the_specifications() {
        let bytes = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let secret = Secret(Zeroizing::new(bytes));
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_opens_in_its_own_row_alone_and_is_not_printed() {
        let vault = Vault::new(Arc::new(Sealer::new(&MasterKey::from_bytes(&[7; 32]))));
        let secret = Secret::draw().unwrap();
        let (one, other) = (WebhookId(Uuid::from_u128(1)), WebhookId(Uuid::from_u128(2)));
        let sealed = vault.seal(one, &secret).unwrap();
        let opened = vault.open(one, &sealed).unwrap();
        assert_eq!(opened.reveal().expose_secret(), secret.reveal().expose_secret());
        assert!(secret.reveal().expose_secret().starts_with("whsec_"));
        assert_eq!(vault.open(other, &sealed).unwrap_err(), SealError::Altered);
        assert_ne!(Secret::draw().unwrap().reveal().expose_secret(), secret.reveal().expose_secret());
        assert_eq!(format!("{secret:?} {vault:?}").matches("whsec").count(), 0);
    }
}
