//! PKCS#12 (RFC 7292): key and chain in one file under a passphrase, for Windows, Java and appliances.

use p12_keystore::{Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm};
use p12_keystore::{PrivateKey, PrivateKeyChain};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// What OpenSSL 3 and Windows take by themselves. Whoever holds the file can try passphrases, and nobody should choose
/// one that this has to save.
const ITERATIONS: u32 = 10_000;
/// Some readers cut longer ones off without a word.
const PASSPHRASE_CHARS_MAX: usize = 64;
/// Fewer are tried out in hours.
const PASSPHRASE_CHARS_MIN: usize = 8;

/// What opens the file; checked, so that what is written with it can be read everywhere.
#[derive(Debug, Clone)]
pub struct Passphrase(SecretString);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    #[error("the passphrase needs {PASSPHRASE_CHARS_MIN} to {PASSPHRASE_CHARS_MAX} characters")]
    Length,
    #[error(
        "the passphrase may have printable ASCII characters only: others are read differently by each program"
    )]
    Characters,
}

/// Never says what was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Pkcs12Error {
    #[error("the chain cannot be read")]
    Chain,
    #[error("the key cannot be read")]
    Key,
    #[error("the file could not be written")]
    Write,
}

impl Passphrase {
    /// # Errors
    /// It is too short or long, or has characters that are not printable ASCII.
    pub fn parse(text: &str) -> Result<Self, PassphraseError> {
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(PassphraseError::Characters);
        }
        if !(PASSPHRASE_CHARS_MIN..=PASSPHRASE_CHARS_MAX).contains(&text.len()) {
            return Err(PassphraseError::Length);
        }
        Ok(Self(SecretString::from(text)))
    }
}

/// `chain_pem` (leaf first) and its key (PKCS#8 in DER), AES-256 and HMAC-SHA-256, under `name`. Salted, so no two are
/// the same.
pub fn encode(
    chain_pem: &str,
    key_pkcs8: &[u8],
    name: &str,
    passphrase: &Passphrase,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let certificates = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
        .map(|der| Certificate::from_der(&der.ok()?).ok())
        .collect::<Option<Vec<_>>>()
        .filter(|chain| !chain.is_empty())
        .ok_or(Pkcs12Error::Chain)?;
    let key = PrivateKey::from_der(key_pkcs8).map_err(|_| Pkcs12Error::Key)?;
    let mut store = KeyStore::new();
    // The id only ties the key to its certificate within the file.
    store.add_entry(name, KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new("1", key, certificates)));
    store
        .writer(passphrase.0.expose_secret())
        .encryption_algorithm(EncryptionAlgorithm::PbeWithHmacSha256AndAes256)
        .encryption_iterations(ITERATIONS)
        .mac_algorithm(MacAlgorithm::HmacSha256)
        .mac_iterations(ITERATIONS)
        .write()
        .map(Zeroizing::new)
        .map_err(|_| Pkcs12Error::Write)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use issuance::key_kind::KeyKind;

    use super::super::csr::CertificateKey;
    use super::*;

    #[test]
    fn what_is_written_opens_with_its_passphrase_alone() {
        let key = CertificateKey::generate(KeyKind::EcdsaP256).expect("a key");
        let pkcs8 = key.pkcs8();
        let pair = KeyPair::try_from(pkcs8.expose_secret()).expect("the same key");
        let params = CertificateParams::new(vec!["a.com".to_owned()]).expect("a name");
        let chain = params.self_signed(&pair).expect("signed").pem();
        let passphrase = Passphrase::parse("correct horse").expect("a passphrase");
        let file = encode(&chain, pkcs8.expose_secret(), "a.com", &passphrase).expect("written");
        assert_ne!(file, encode(&chain, pkcs8.expose_secret(), "a.com", &passphrase).expect("again"));

        let read = |text| KeyStore::from_pkcs12(&file, text, p12_keystore::Pkcs12ImportPolicy::Strict);
        let opened = read("correct horse").expect("it opens");
        let (name, found) = opened.private_key_chain().expect("a key with its chain");
        assert_eq!((name, found.key().as_der(), found.certs().len()), ("a.com", pkcs8.expose_secret(), 1));
        assert!(read("battery staple").is_err());

        assert_eq!(encode("hello", pkcs8.expose_secret(), "a", &passphrase), Err(Pkcs12Error::Chain));
        assert_eq!(encode(&chain, b"hello", "a", &passphrase), Err(Pkcs12Error::Key));
    }

    #[test]
    fn a_passphrase_that_other_programs_would_read_differently_is_refused() {
        let refused = |text: &str| Passphrase::parse(text).expect_err("refused");
        assert_eq!(refused("short"), PassphraseError::Length);
        assert_eq!(refused(&"x".repeat(65)), PassphraseError::Length);
        assert_eq!(refused("pässphräse"), PassphraseError::Characters);
        assert_eq!(refused("with\nbreaks"), PassphraseError::Characters);
        assert!(!format!("{:?}", Passphrase::parse("correct horse")).contains("horse"));
    }
}
