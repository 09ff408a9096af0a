//! Holds a downloaded chain against what was asked for, before anybody serves it.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use issuance::identifier::{Hostname, Identifiers};
use issuance::time::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use super::csr::spki_sha256;

/// Longer chains are no chains: public CAs send two to four certificates.
const CERTIFICATES_MAX: usize = 10;

/// What a chain that fits its order says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedChain {
    /// In lower-case hex, as the CA and transparency logs write it.
    pub serial: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// SHA-256 of the leaf.
    pub fingerprint_sha256: [u8; 32],
    pub leaf_der: Vec<u8>,
    /// The renewal id, `AKI.serial` in base64url (RFC 9773 §4.1); `None` without an authority key identifier.
    pub renewal_id: Option<String>,
    /// Certificates in the chain, the leaf included.
    pub length: usize,
}

/// Why a chain is never delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error("the chain is not a list of PEM certificates")]
    Pem,
    #[error("the chain has {count} certificates, the most is {CERTIFICATES_MAX}")]
    TooLong { count: usize },
    #[error("certificate {place} of the chain is not X.509")]
    Certificate { place: usize },
    #[error("certificate {place} of the chain was not issued by the next one")]
    Broken { place: usize },
    #[error("the certificate is for another key")]
    OtherKey,
    #[error("the certificate is for other names: {found}")]
    OtherNames { found: Box<str> },
    #[error("the certificate is valid from {not_before} to {not_after}, not now")]
    NotNow { not_before: Timestamp, not_after: Timestamp },
}

impl CheckedChain {
    /// Parses `pem` (leaf first) and checks that the leaf is for this key, for exactly these names and valid at
    /// `now`, and that each certificate is named as issuer by the one before it. Signatures are not checked: the
    /// chain came from the CA over TLS, and which roots a visitor trusts is not ours to say.
    pub fn check(
        pem: &str,
        spki_sha256_wanted: &[u8; 32],
        names: &Identifiers,
        now: Timestamp,
    ) -> Result<Self, ChainError> {
        let ders: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(pem.as_bytes())
            .take(CERTIFICATES_MAX + 1)
            .collect::<Result<_, _>>()
            .map_err(|_| ChainError::Pem)?;
        if ders.len() > CERTIFICATES_MAX {
            return Err(ChainError::TooLong { count: ders.len() });
        }
        let mut certificates = Vec::with_capacity(ders.len());
        for (place, der) in ders.iter().enumerate() {
            match X509Certificate::from_der(der) {
                Ok(([], certificate)) => certificates.push(certificate),
                _ => return Err(ChainError::Certificate { place }),
            }
        }
        let leaf = certificates.first().ok_or(ChainError::Pem)?;
        if spki_sha256(leaf.public_key().raw) != *spki_sha256_wanted {
            return Err(ChainError::OtherKey);
        }
        check_names(leaf, names)?;
        let not_before = Timestamp::from(leaf.validity().not_before.to_datetime());
        let not_after = Timestamp::from(leaf.validity().not_after.to_datetime());
        if now < not_before || now >= not_after {
            return Err(ChainError::NotNow { not_before, not_after });
        }
        if let Some(place) =
            certificates.windows(2).position(|pair| pair[0].issuer().as_raw() != pair[1].subject().as_raw())
        {
            return Err(ChainError::Broken { place });
        }
        let mut fingerprint_sha256 = [0; 32];
        fingerprint_sha256.copy_from_slice(digest(&SHA256, &ders[0]).as_ref());
        Ok(Self {
            serial: hex(leaf.tbs_certificate.raw_serial()),
            not_before,
            not_after,
            issuer: leaf.issuer().to_string(),
            fingerprint_sha256,
            leaf_der: ders[0].to_vec(),
            renewal_id: renewal_id(leaf),
            length: ders.len(),
        })
    }
}

fn check_names(leaf: &X509Certificate<'_>, names: &Identifiers) -> Result<(), ChainError> {
    let general = match leaf.subject_alternative_name() {
        Ok(Some(extension)) => &extension.value.general_names[..],
        _ => &[],
    };
    let found: BTreeSet<String> = general
        .iter()
        .map(|name| match name {
            GeneralName::DNSName(name) => name.to_ascii_lowercase(),
            other => format!("{other:?}"),
        })
        .collect();
    let same =
        found.len() == names.len() && names.iter().map(Hostname::as_str).all(|name| found.contains(name));
    if same {
        return Ok(());
    }
    let shown = found.into_iter().take(5).collect::<Vec<_>>().join(", ");
    Err(ChainError::OtherNames { found: shown.into() })
}

fn renewal_id(leaf: &X509Certificate<'_>) -> Option<String> {
    let key_id = leaf.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(identifier) => identifier.key_identifier.as_ref(),
        _ => None,
    })?;
    let base64 = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    Some(format!("{}.{}", base64(key_id.0), base64(leaf.tbs_certificate.raw_serial())))
}

/// Without the zero that DER puts in front of a number whose first bit is set.
fn hex(serial: &[u8]) -> String {
    let digits = if serial.len() > 1 && serial[0] == 0 { &serial[1..] } else { serial };
    digits.iter().fold(String::with_capacity(digits.len() * 2), |mut text, byte| {
        for nibble in [byte >> 4, byte & 0xf] {
            text.extend(char::from_digit(nibble.into(), 16));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    use secrecy::ExposeSecret;
    use time::OffsetDateTime;

    use super::super::{CertificateKey, KeyKind};
    use super::*;

    const START: i64 = 1_795_000_000;
    const END: i64 = 1_800_000_000;

    fn names(names: &[&str]) -> Identifiers {
        Identifiers::new(names.iter().map(|name| Hostname::parse(name).unwrap())).unwrap()
    }

    fn issued(key: &CertificateKey, names: &[&str]) -> String {
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "Test Issuer");
        let issuer = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = OffsetDateTime::from_unix_timestamp(START).unwrap();
        params.not_after = OffsetDateTime::from_unix_timestamp(END).unwrap();
        params.use_authority_key_identifier_extension = true;
        let pair = KeyPair::try_from(key.pkcs8().expose_secret()).unwrap();
        params.signed_by(&pair, &issuer).unwrap().pem() + &issuer.pem()
    }

    #[test]
    fn a_fitting_chain_is_described_and_a_foreign_one_refused() {
        let key = CertificateKey::generate(KeyKind::EcdsaP256).unwrap();
        let spki = key.spki_sha256();
        let now = Timestamp::from_unix_seconds(START + 1);
        let wanted = names(&["a.com", "*.b.com"]);
        let pem = issued(&key, &["a.com", "*.b.com"]);
        let chain = CheckedChain::check(&pem, &spki, &wanted, now).unwrap();
        assert_eq!((chain.length, &*chain.issuer), (2, "CN=Test Issuer"));
        assert_eq!(chain.not_before, Timestamp::from_unix_seconds(START));
        assert_eq!(chain.not_after, Timestamp::from_unix_seconds(END));
        let id =
            instant_acme::CertificateIdentifier::try_from(&CertificateDer::from(&*chain.leaf_der)).unwrap();
        assert_eq!(chain.renewal_id, Some(id.to_string()));

        let check = |pem: &str, spki: &[u8; 32], wanted: &[&str], seconds| {
            CheckedChain::check(pem, spki, &names(wanted), Timestamp::from_unix_seconds(seconds)).unwrap_err()
        };
        let both = ["a.com", "*.b.com"];
        assert_eq!(check(&pem, &[0; 32], &both, START), ChainError::OtherKey);
        for other in [&["a.com"][..], &["a.com", "*.b.com", "c.com"], &["a.com", "b.com"]] {
            assert!(matches!(check(&pem, &spki, other, START), ChainError::OtherNames { .. }), "{other:?}");
        }
        for seconds in [START - 1, END] {
            assert!(matches!(check(&pem, &spki, &both, seconds), ChainError::NotNow { .. }), "{seconds}");
        }
        for garbage in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA"] {
            assert_eq!(check(garbage, &spki, &both, START), ChainError::Pem, "{garbage:?}");
        }
        let no_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(check(no_x509, &spki, &both, START), ChainError::Certificate { place: 0 });
        assert_eq!(check(&pem.repeat(6), &spki, &both, START), ChainError::TooLong { count: 11 });
        assert_eq!(check(&pem.repeat(2), &spki, &both, START), ChainError::Broken { place: 1 });
    }
}
