//! Certificate requests (RFC 2986) that were made elsewhere: whoever sends one keeps the key.
//!
//! What a public CA would refuse is refused at the door, with what to change; an order would spend a place in the queue
//! and authorizations on it otherwise. The policy is that of the CA/Browser Forum's requirements and of Boulder.

mod weakness;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey,
    VerificationAlgorithm,
};
use issuance::identifier::{Hostname, HostnameError, Identifiers, IdentifiersError};
use issuance::key_kind::KeyKind;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use self::weakness::Weakness;
use super::csr::spki_sha256;

/// A request for a hundred names of full length has 30 KiB.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;

const RSA: &str = "1.2.840.113549.1.1.1";
const EC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";
const RSA_SHA256: &str = "1.2.840.113549.1.1.11";
const RSA_SHA384: &str = "1.2.840.113549.1.1.12";
const RSA_SHA512: &str = "1.2.840.113549.1.1.13";
const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
const ECDSA_SHA384: &str = "1.2.840.10045.4.3.3";
/// MD2, MD4, MD5 and SHA-1 with RSA, DSA or ECDSA.
const BROKEN_SIGNATURES: &[&str] = &[
    "1.2.840.113549.1.1.2",
    "1.2.840.113549.1.1.3",
    "1.2.840.113549.1.1.4",
    "1.2.840.113549.1.1.5",
    "1.3.14.3.2.29",
    "1.2.840.10040.4.3",
    "1.2.840.10045.4.1",
];
/// TLS feature (RFC 7633), known as must-staple.
const TLS_FEATURE: &str = "1.3.6.1.5.5.7.1.24";
/// The one exponent that CAs take.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// A request that may be sent to a CA as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedRequest {
    pub der: Vec<u8>,
    pub names: Identifiers,
    pub key_kind: KeyKind,
    /// SHA-256 of the public key's `SubjectPublicKeyInfo`.
    pub spki_sha256: [u8; 32],
}

/// Why a request is not used. Nothing of it is repeated but names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("the request is larger than {} KiB: send one request for at most 100 names", REQUEST_BYTES_MAX >> 10)]
    TooLarge,
    #[error("not a certificate request in PEM: send one block from BEGIN CERTIFICATE REQUEST to END")]
    Pem,
    #[error(
        "this holds a private key: it was not stored; send the certificate request alone, and make a new key"
    )]
    PrivateKey,
    #[error("not a certificate request (PKCS#10, RFC 2986): make it anew")]
    Malformed,
    #[error("the request's signature is not by its key: make the request anew with the key it is for")]
    BadSignature,
    #[error("the request is signed with MD5 or SHA-1: make it anew with SHA-256")]
    BrokenSignature,
    #[error(
        "the request is signed in a way that CAs do not take: make it anew with SHA-256, and with RSA not in PSS"
    )]
    UnknownSignature,
    #[error("the kind of key is not certified by CAs: use ECDSA with P-256 or P-384, or RSA")]
    KeyKind,
    #[error("the curve is not certified by CAs: use P-256 or P-384")]
    Curve,
    #[error("an RSA key of {bits} bits is not certified by CAs: use 2048, 3072 or 4096")]
    RsaSize { bits: usize },
    #[error("the exponent of the RSA key is not 65537: make a new key")]
    RsaExponent,
    #[error("the RSA key is weak, {}: make a new key", .0.as_str())]
    WeakKey(Weakness),
    #[error("the request names nothing: put the names into its subjectAltName extension")]
    NoNames,
    #[error("the request names something other than DNS names (an address, a mailbox, a URI): leave it out")]
    NotDnsName,
    #[error("a name in the request cannot be certified: {0}")]
    Name(#[source] HostnameError),
    #[error("the names in the request cannot be one certificate's: {0}")]
    Names(#[source] IdentifiersError),
    #[error("the common name is none of the subjectAltName's names: leave it out, or add it there")]
    CommonName,
    #[error(
        "the request is for other names: {}", difference(.missing, .extra)
    )]
    OtherNames { missing: Vec<Hostname>, extra: Vec<Hostname> },
    #[error("the request is for a CA (basicConstraints CA:TRUE): make it for a server")]
    CaRequested,
    #[error(
        "the request asks for the TLS feature extension (must-staple), which CAs have given up: leave it out"
    )]
    MustStaple,
}

impl RequestError {
    /// The stable word for this reason, as the API writes it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "csr-too-large",
            Self::Pem => "csr-not-pem",
            Self::PrivateKey => "csr-is-private-key",
            Self::Malformed => "csr-malformed",
            Self::BadSignature => "csr-bad-signature",
            Self::BrokenSignature => "csr-broken-signature-algorithm",
            Self::UnknownSignature => "csr-unknown-signature-algorithm",
            Self::KeyKind => "csr-key-type",
            Self::Curve => "csr-key-curve",
            Self::RsaSize { .. } => "csr-key-size",
            Self::RsaExponent => "csr-key-exponent",
            Self::WeakKey(_) => "csr-weak-key",
            Self::NoNames => "csr-without-names",
            Self::NotDnsName => "csr-not-dns-name",
            Self::Name(_) => "csr-bad-name",
            Self::Names(_) => "csr-bad-names",
            Self::CommonName => "csr-common-name",
            Self::OtherNames { .. } => "csr-other-names",
            Self::CaRequested => "csr-for-ca",
            Self::MustStaple => "csr-must-staple",
        }
    }
}

fn difference(missing: &[Hostname], extra: &[Hostname]) -> String {
    let some = |names: &[Hostname]| {
        let shown: Vec<&str> = names.iter().take(5).map(Hostname::as_str).collect();
        let more = if names.len() > 5 { ", …" } else { "" };
        format!("{}{more}", shown.join(", "))
    };
    match (missing.is_empty(), extra.is_empty()) {
        (false, true) => format!("it lacks {}", some(missing)),
        (true, false) => format!("it has {} too", some(extra)),
        _ => format!("it lacks {} and has {} too", some(missing), some(extra)),
    }
}

/// Tags of DER (X.690 §8).
const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;

impl CheckedRequest {
    /// Reads a request in PEM, one block with either of the two labels in use.
    pub fn from_pem(pem: &str) -> Result<Self, RequestError> {
        if pem.len() > REQUEST_BYTES_MAX {
            return Err(RequestError::TooLarge);
        }
        if pem.contains("PRIVATE KEY-----") {
            return Err(RequestError::PrivateKey);
        }
        let mut blocks = Pem::iter_from_buffer(pem.as_bytes());
        let (Some(Ok(block)), None) = (blocks.next(), blocks.next()) else { return Err(RequestError::Pem) };
        if !matches!(block.label.as_str(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
            return Err(RequestError::Pem);
        }
        Self::from_der(block.contents)
    }

    /// The same, in DER.
    pub fn from_der(der: Vec<u8>) -> Result<Self, RequestError> {
        if der.len() > REQUEST_BYTES_MAX {
            return Err(RequestError::TooLarge);
        }
        let Ok(([], request)) = X509CertificationRequest::from_der(&der) else {
            return Err(RequestError::Malformed);
        };
        let info = &request.certification_request_info;
        // The parser takes whatever stands for an identifier there; a CA does not.
        let signed = info.raw.as_ptr() as usize - der.as_ptr() as usize + info.raw.len();
        if !matches!(&der[signed..], [SEQUENCE, _, OBJECT_IDENTIFIER, ..]) {
            return Err(RequestError::Malformed);
        }
        // What it is signed with first: a broken one proves nothing, whatever the key is.
        let signature = request.signature_algorithm.algorithm.to_id_string();
        if BROKEN_SIGNATURES.contains(&signature.as_str()) {
            return Err(RequestError::BrokenSignature);
        }
        let key_kind = key_kind(&info.subject_pki)?;
        let algorithm = algorithm(key_kind, &signature).ok_or(RequestError::UnknownSignature)?;
        UnparsedPublicKey::new(algorithm, &info.subject_pki.subject_public_key.data)
            .verify(info.raw, &request.signature_value.data)
            .map_err(|_| RequestError::BadSignature)?;
        let names = names(&request)?;
        let spki_sha256 = spki_sha256(info.subject_pki.raw);
        Ok(Self { der, names, key_kind, spki_sha256 })
    }

    /// Whether it is for exactly these names, as a CA wants it (RFC 8555 §7.4).
    pub fn check_names(&self, wanted: &Identifiers) -> Result<(), RequestError> {
        let missing: Vec<Hostname> =
            wanted.iter().filter(|name| !self.names.contains(name)).cloned().collect();
        let extra: Vec<Hostname> = self.names.iter().filter(|name| !wanted.contains(name)).cloned().collect();
        if missing.is_empty() && extra.is_empty() {
            return Ok(());
        }
        Err(RequestError::OtherNames { missing, extra })
    }
}

/// SHA-256 of the public key in a request that was checked before it was stored; `None` where it is damaged.
pub fn spki_sha256_of(der: &[u8]) -> Option<[u8; 32]> {
    let (_, request) = X509CertificationRequest::from_der(der).ok()?;
    Some(spki_sha256(request.certification_request_info.subject_pki.raw))
}

fn key_kind(spki: &SubjectPublicKeyInfo<'_>) -> Result<KeyKind, RequestError> {
    match spki.algorithm.algorithm.to_id_string().as_str() {
        EC => {
            let curve = spki.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
            match curve.map(|curve| curve.to_id_string()).as_deref() {
                Some(P256) => Ok(KeyKind::EcdsaP256),
                Some(P384) => Ok(KeyKind::EcdsaP384),
                _ => Err(RequestError::Curve),
            }
        }
        RSA => {
            let Ok(([], key)) = RSAPublicKey::from_der(&spki.subject_public_key.data) else {
                return Err(RequestError::Malformed);
            };
            rsa_kind(&key)
        }
        _ => Err(RequestError::KeyKind),
    }
}

fn rsa_kind(key: &RSAPublicKey<'_>) -> Result<KeyKind, RequestError> {
    let modulus = without_leading_zeros(key.modulus);
    let leading = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let kind = match modulus.len() * 8 - leading {
        2048 => KeyKind::Rsa2048,
        3072 => KeyKind::Rsa3072,
        4096 => KeyKind::Rsa4096,
        bits => return Err(RequestError::RsaSize { bits }),
    };
    if without_leading_zeros(key.exponent) != EXPONENT {
        return Err(RequestError::RsaExponent);
    }
    match weakness::find(modulus) {
        Some(weakness) => Err(RequestError::WeakKey(weakness)),
        None => Ok(kind),
    }
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    &number[first..]
}

fn algorithm(kind: KeyKind, signature: &str) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (kind, signature) {
        (KeyKind::EcdsaP256, ECDSA_SHA256) => &ECDSA_P256_SHA256_ASN1,
        (KeyKind::EcdsaP256, ECDSA_SHA384) => &ECDSA_P256_SHA384_ASN1,
        (KeyKind::EcdsaP384, ECDSA_SHA256) => &ECDSA_P384_SHA256_ASN1,
        (KeyKind::EcdsaP384, ECDSA_SHA384) => &ECDSA_P384_SHA384_ASN1,
        (KeyKind::Rsa2048 | KeyKind::Rsa3072 | KeyKind::Rsa4096, RSA_SHA256) => &RSA_PKCS1_2048_8192_SHA256,
        (KeyKind::Rsa2048 | KeyKind::Rsa3072 | KeyKind::Rsa4096, RSA_SHA384) => &RSA_PKCS1_2048_8192_SHA384,
        (KeyKind::Rsa2048 | KeyKind::Rsa3072 | KeyKind::Rsa4096, RSA_SHA512) => &RSA_PKCS1_2048_8192_SHA512,
        _ => return None,
    })
}

/// The names of its subjectAltName, each once. A common name adds none: the CA would certify it too.
fn names(request: &X509CertificationRequest<'_>) -> Result<Identifiers, RequestError> {
    let mut names = BTreeSet::new();
    for extension in request.requested_extensions().into_iter().flatten() {
        match extension {
            ParsedExtension::SubjectAlternativeName(alternatives) => {
                for name in &alternatives.general_names {
                    let GeneralName::DNSName(name) = name else { return Err(RequestError::NotDnsName) };
                    names.insert(Hostname::parse(name).map_err(RequestError::Name)?);
                }
            }
            ParsedExtension::BasicConstraints(constraints) if constraints.ca => {
                return Err(RequestError::CaRequested);
            }
            ParsedExtension::UnsupportedExtension { oid } if oid.to_id_string() == TLS_FEATURE => {
                return Err(RequestError::MustStaple);
            }
            // What could not be parsed may hide names that the CA would see.
            ParsedExtension::ParseError { .. } => return Err(RequestError::Malformed),
            _ => {}
        }
    }
    if names.is_empty() {
        return Err(RequestError::NoNames);
    }
    for common_name in request.certification_request_info.subject.iter_common_name() {
        let known = common_name.as_str().ok().and_then(|text| Hostname::parse(text).ok());
        if known.is_none_or(|name| !names.contains(&name)) {
            return Err(RequestError::CommonName);
        }
    }
    Identifiers::new(names).map_err(RequestError::Names)
}
