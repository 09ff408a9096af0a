//! Seals secrets for storage: AES-256-GCM-SIV (RFC 8452), bound to the row they belong to.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use secrecy::SecretSlice;
use zeroize::Zeroize;

use super::master::MasterKey;

/// The layout below; a later one gets another number.
const FORMAT: u8 = 1;
const KEY_ID_BYTES: usize = 4;
/// Format and key id.
const PREFIX_BYTES: usize = 1 + KEY_ID_BYTES;
/// Format, key id, nonce. What follows is the ciphertext with its tag.
const HEADER_BYTES: usize = PREFIX_BYTES + NONCE_LEN;
const TAG_BYTES: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("not a sealed secret of a known format")]
    Format,
    #[error("sealed with another master key")]
    OtherKey,
    #[error("the sealed secret was altered, or belongs to another row")]
    Altered,
    #[error("the secret could not be sealed")]
    Sealing,
}

/// Seals and opens. Nonces are random, and AES-GCM-SIV forgives one that repeats.
pub struct Sealer {
    key: LessSafeKey,
    key_id: [u8; KEY_ID_BYTES],
}

impl Sealer {
    pub fn new(master: &MasterKey) -> Self {
        let key = UnboundKey::new(&AES_256_GCM_SIV, &master.derive("seal")[..])
            .expect("a derived key has the 32 bytes that AES-256 takes");
        let mut key_id = [0; KEY_ID_BYTES];
        key_id.copy_from_slice(&master.derive("seal key id")[..KEY_ID_BYTES]);
        Self { key: LessSafeKey::new(key), key_id }
    }

    /// `context` names the row the secret belongs to, such as `accounts/acc_…`: the result opens only there.
    pub fn seal(&self, context: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| SealError::Sealing)?;
        let mut sealed = Vec::with_capacity(HEADER_BYTES + secret.len() + TAG_BYTES);
        sealed.push(FORMAT);
        sealed.extend_from_slice(&self.key_id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(secret);
        let aad = Aad::from(bound(&sealed[..PREFIX_BYTES], context));
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed[HEADER_BYTES..])
            .map_err(|_| SealError::Sealing)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens what [`Self::seal`] made under the same `context`.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<SecretSlice<u8>, SealError> {
        if sealed.len() < HEADER_BYTES + TAG_BYTES || sealed[0] != FORMAT {
            return Err(SealError::Format);
        }
        let (header, ciphertext) = sealed.split_at(HEADER_BYTES);
        let (prefix, nonce) = header.split_at(PREFIX_BYTES);
        if prefix[1..] != self.key_id {
            return Err(SealError::OtherKey);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Format)?;
        let mut buffer = ciphertext.to_vec();
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(bound(prefix, context)), &mut buffer)
            .map(|secret| SecretSlice::from(secret.to_vec()))
            .map_err(|_| SealError::Altered);
        buffer.zeroize();
        opened
    }

    /// Which master key this sealer uses, as found in what it seals.
    pub fn key_id(&self) -> [u8; KEY_ID_BYTES] {
        self.key_id
    }
}

fn bound(prefix: &[u8], context: &str) -> Vec<u8> {
    [prefix, context.as_bytes()].concat()
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&MasterKey::from_bytes(&[byte; 32]))
    }

    #[test]
    fn a_secret_opens_only_whole_in_its_place_and_with_its_key() {
        let (sealer, secret) = (sealer(7), b"a private key".as_slice());
        let sealed = sealer.seal("accounts/acc_1", secret).unwrap();
        assert_eq!(sealer.open("accounts/acc_1", &sealed).unwrap().expose_secret(), secret);
        assert_eq!(sealer.open("accounts/acc_2", &sealed).unwrap_err(), SealError::Altered);
        assert_eq!(self::sealer(8).open("accounts/acc_1", &sealed).unwrap_err(), SealError::OtherKey);
        assert_eq!(sealer.open("accounts/acc_1", &sealed[..32]).unwrap_err(), SealError::Format);
        for place in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[place] ^= 1;
            assert!(sealer.open("accounts/acc_1", &altered).is_err(), "byte {place}");
        }
        assert!(!sealed.windows(secret.len()).any(|window| window == secret));
    }

    #[test]
    fn sealing_twice_gives_different_bytes() {
        let sealer = sealer(7);
        assert_ne!(sealer.seal("x", b"s").unwrap(), sealer.seal("x", b"s").unwrap());
        assert_eq!(sealer.open("x", &sealer.seal("x", b"").unwrap()).unwrap().expose_secret(), b"");
    }
}
