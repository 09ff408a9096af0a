//! Certificate keys and the requests made with them (RFC 2986).

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::OrderId;
use issuance::key_kind::KeyKind;
use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_RSA_SHA256, PublicKeyData, RsaKeySize,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use secrecy::{SecretSlice, SecretString};
use zeroize::Zeroize;

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("a key of kind {kind} could not be made")]
    Generate { kind: KeyKind },
    #[error("not a private key in PKCS#8")]
    Pkcs8(#[source] rcgen::Error),
    #[error("not a private key in PKCS#8 and PEM (BEGIN PRIVATE KEY)")]
    Pem,
    #[error("the certificate request could not be made")]
    Request(#[source] rcgen::Error),
}

/// Where a certificate key's seal belongs: a sealed key moved to another order does not open.
pub fn key_context(order: OrderId) -> String {
    format!("orders/{order}/key")
}

/// The private key of a certificate.
pub struct CertificateKey(KeyPair);

impl CertificateKey {
    /// A new key. RSA takes some hundred milliseconds of one core, with 4096 bits a second or two.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        let made = match kind {
            KeyKind::EcdsaP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            KeyKind::EcdsaP384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            KeyKind::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            KeyKind::Rsa3072 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
            KeyKind::Rsa4096 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
        };
        made.map(Self).map_err(|_| KeyError::Generate { kind })
    }

    /// From PKCS#8 in DER.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        KeyPair::try_from(&PrivatePkcs8KeyDer::from(der)).map(Self).map_err(KeyError::Pkcs8)
    }

    /// Of what kind it is; `None` where it is none that is made here.
    pub fn kind(&self) -> Option<KeyKind> {
        let algorithm = self.0.algorithm();
        if *algorithm == PKCS_ECDSA_P256_SHA256 {
            return Some(KeyKind::EcdsaP256);
        }
        if *algorithm == PKCS_ECDSA_P384_SHA384 {
            return Some(KeyKind::EcdsaP384);
        }
        // The public key of RSA is a sequence of the modulus, whose length tells the size, and the exponent.
        match self.0.public_key_raw().len() {
            256..384 => Some(KeyKind::Rsa2048),
            384..512 => Some(KeyKind::Rsa3072),
            512..640 => Some(KeyKind::Rsa4096),
            _ => None,
        }
    }

    /// As PKCS#8 in DER: what is sealed and stored.
    pub fn pkcs8(&self) -> SecretSlice<u8> {
        SecretSlice::from(self.0.serialize_der())
    }

    /// As PKCS#8 in PEM: what a web server reads.
    pub fn pkcs8_pem(&self) -> SecretString {
        SecretString::from(self.0.serialize_pem())
    }

    /// A certificate request (DER) for these names: subject alternative names only, no common name.
    pub fn csr_der(&self, names: &Identifiers) -> Result<Vec<u8>, KeyError> {
        let names: Vec<String> = names.iter().map(Hostname::to_string).collect();
        let mut params = CertificateParams::new(names).map_err(KeyError::Request)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&self.0).map_err(KeyError::Request)?;
        Ok(request.der().to_vec())
    }

    /// SHA-256 of the public key's `SubjectPublicKeyInfo`: how a certificate is matched to its key.
    pub fn spki_sha256(&self) -> [u8; 32] {
        spki_sha256(&self.0.subject_public_key_info())
    }
}

impl Drop for CertificateKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for CertificateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateKey").field("algorithm", self.0.algorithm()).finish_non_exhaustive()
    }
}

pub(super) fn spki_sha256(spki_der: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, spki_der).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use x509_parser::certification_request::X509CertificationRequest;
    use x509_parser::extensions::{GeneralName, ParsedExtension};
    use x509_parser::prelude::FromDer;

    use super::*;

    #[test]
    fn a_request_names_the_names_and_nothing_else() {
        let names = ["www.example.com", "*.example.net"].map(|name| Hostname::parse(name).unwrap());
        let names = Identifiers::new(names).unwrap();
        for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::Rsa2048] {
            let key = CertificateKey::generate(kind).unwrap();
            let der = key.csr_der(&names).unwrap();
            let (rest, csr) = X509CertificationRequest::from_der(&der).unwrap();
            assert!(rest.is_empty());
            let info = &csr.certification_request_info;
            assert_eq!(info.subject.iter().count(), 0, "{kind}: no subject");
            assert_eq!(spki_sha256(info.subject_pki.raw), key.spki_sha256(), "{kind}");
            let sans: Vec<_> = csr
                .requested_extensions()
                .unwrap()
                .filter_map(|extension| match extension {
                    ParsedExtension::SubjectAlternativeName(san) => Some(&san.general_names),
                    _ => None,
                })
                .flatten()
                .collect();
            assert_eq!(
                sans,
                [&GeneralName::DNSName("*.example.net"), &GeneralName::DNSName("www.example.com")]
            );
        }
    }

    #[test]
    fn a_key_survives_its_storage_form_and_is_never_printed() {
        for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::Rsa2048] {
            let key = CertificateKey::generate(kind).unwrap();
            let stored = key.pkcs8();
            let again = CertificateKey::from_pkcs8(stored.expose_secret()).unwrap();
            assert_eq!(again.spki_sha256(), key.spki_sha256());
            let pem = key.pkcs8_pem();
            assert!(pem.expose_secret().starts_with("-----BEGIN PRIVATE KEY-----"));
            assert!(!format!("{key:?} {stored:?} {pem:?}").contains("PRIVATE"));
        }
        assert!(matches!(CertificateKey::from_pkcs8(b"no key"), Err(KeyError::Pkcs8(_))));
    }
}
