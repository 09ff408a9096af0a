//! Account keys, as PKCS#8: made here, stored sealed, and only then registered.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair,
};
use issuance::key_kind::KeyKind;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use secrecy::SecretSlice;

use super::csr::KeyError;

/// A new account key, in DER.
pub fn generate(kind: KeyKind) -> Result<SecretSlice<u8>, KeyError> {
    let random = SystemRandom::new();
    let made = match kind {
        KeyKind::EcdsaP256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
        KeyKind::EcdsaP384 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random),
        KeyKind::Rsa2048 | KeyKind::Rsa3072 | KeyKind::Rsa4096 => {
            let size = match kind {
                KeyKind::Rsa4096 => KeySize::Rsa4096,
                KeyKind::Rsa3072 => KeySize::Rsa3072,
                _ => KeySize::Rsa2048,
            };
            let pair = RsaKeyPair::generate(size).map_err(|_| KeyError::Generate { kind })?;
            let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Generate { kind })?;
            return Ok(SecretSlice::from(der.as_ref().to_vec()));
        }
    };
    made.map(|der| SecretSlice::from(der.as_ref().to_vec())).map_err(|_| KeyError::Generate { kind })
}

/// An account key out of another client's PEM file; only PKCS#8 (`BEGIN PRIVATE KEY`).
pub fn from_pem(pem: &str) -> Result<SecretSlice<u8>, KeyError> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::Pem)?;
    Ok(SecretSlice::from(der.secret_pkcs8_der().to_vec()))
}
