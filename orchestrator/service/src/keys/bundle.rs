//! A certificate as web servers want it: leaf, intermediates and key, each by itself and together.

use aws_lc_rs::digest::{SHA256, digest};
use issuance::time::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use secrecy::{ExposeSecret, SecretString};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use super::csr::{CertificateKey, spki_sha256};

const END: &str = "-----END CERTIFICATE-----";

/// A chain, and the key where it is ours to give away.
#[derive(Debug)]
pub struct Bundle {
    /// The leaf alone, in PEM.
    pub cert: String,
    /// What stands between the leaf and a root; empty where the CA sent nothing.
    pub chain: String,
    /// In PKCS#8 and PEM; `None` where whoever made the request has kept it.
    pub key: Option<SecretString>,
}

/// What the leaf of a chain says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// SHA-256 of its public key.
    pub spki_sha256: [u8; 32],
    pub not_after: Timestamp,
}

impl Bundle {
    /// Takes a chain apart (PEM, leaf first); `None` if there is no certificate in it.
    pub fn new(fullchain: &str, key: Option<SecretString>) -> Option<Self> {
        let end = fullchain.find(END)? + END.len();
        let (cert, rest) = fullchain.split_at(end);
        Some(Self { cert: format!("{}\n", cert.trim()), chain: rest.trim_start().to_owned(), key })
    }

    /// Leaf and intermediates, as nginx's `ssl_certificate` and RFC 8446 §4.4.2 have them.
    pub fn fullchain(&self) -> String {
        format!("{}{}", self.cert, self.chain)
    }

    /// Chain and key in one file, as `HAProxy` reads it; `None` without a key.
    pub fn combined(&self) -> Option<Zeroizing<String>> {
        let key = self.key.as_ref()?;
        Some(Zeroizing::new(format!("{}{}", self.fullchain(), key.expose_secret())))
    }

    /// Whether the leaf can be read and the key is its own; where there is no key, whether it can be read.
    pub fn fits(&self) -> bool {
        let Some(leaf) = Leaf::read(&self.cert) else { return false };
        self.key.as_ref().is_none_or(|key| key_is_for(key, &leaf.spki_sha256) == Ok(true))
    }
}

/// Whether a key in PKCS#8 and PEM has that public key.
pub fn key_is_for(key_pem: &SecretString, spki: &[u8; 32]) -> Result<bool, NoKey> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(key_pem.expose_secret().as_bytes()).map_err(|_| NoKey)?;
    let key = CertificateKey::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| NoKey)?;
    Ok(key.spki_sha256() == *spki)
}

/// A text that is no private key in PKCS#8 and PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a private key in PKCS#8 and PEM (BEGIN PRIVATE KEY)")]
pub struct NoKey;

impl Leaf {
    /// Of the first certificate in a PEM text.
    pub fn read(pem: &str) -> Option<Self> {
        Self::of(&CertificateDer::from_pem_slice(pem.as_bytes()).ok()?)
    }

    pub fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, der).as_ref());
        Some(Self {
            fingerprint,
            spki_sha256: spki_sha256(certificate.public_key().raw),
            not_after: Timestamp::from(certificate.validity().not_after.to_datetime()),
        })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use issuance::key_kind::KeyKind;

    #[test]
    fn a_chain_comes_apart_and_a_foreign_key_is_told() {
        let key = CertificateKey::generate(KeyKind::EcdsaP256).expect("a key");
        let pair = KeyPair::try_from(key.pkcs8().expose_secret()).expect("the same key");
        let sign = |name: &str| {
            let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
            params.self_signed(&pair).expect("signed").pem().replace("\r\n", "\n")
        };
        let (leaf, issuer) = (sign("a.com"), sign("issuer.com"));
        let whole = format!("{leaf}\n{issuer}");
        let bundle = Bundle::new(&whole, Some(key.pkcs8_pem())).expect("a chain");
        assert_eq!((&bundle.cert, &bundle.chain), (&leaf, &issuer));
        assert_eq!(bundle.fullchain(), format!("{leaf}{issuer}"));
        assert!(bundle.fits());
        assert!(bundle.combined().expect("a key").ends_with("-----END PRIVATE KEY-----\n"));

        let other = CertificateKey::generate(KeyKind::EcdsaP256).expect("a key").pkcs8_pem();
        assert!(!Bundle::new(&whole, Some(other)).expect("a chain").fits());
        let alone = Bundle::new(&leaf, None).expect("a chain");
        assert!(alone.fits() && alone.chain.is_empty() && alone.combined().is_none());
        assert!(Bundle::new("hello", None).is_none());
    }
}
