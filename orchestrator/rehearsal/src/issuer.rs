//! The signing side: a root, an intermediate below it, and leaves.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use issuance::identifier::Identifiers;
use issuance::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

/// Root and intermediate outlive every rehearsal, also one whose clock is driven through years.
const ROOT_LIFE: Duration = Duration::from_hours(20 * 365 * 24);
/// CAs date certificates back by an hour, for subscribers whose clocks are slow.
const BACKDATE: Duration = Duration::from_hours(1);

/// A certificate or a key could not be made.
#[derive(Debug, thiserror::Error)]
#[error("could not make {what}")]
pub struct IssuerError {
    what: &'static str,
    #[source]
    source: rcgen::Error,
}

fn failed(what: &'static str) -> impl Fn(rcgen::Error) -> IssuerError {
    move |source| IssuerError { what, source }
}

/// What leaves are signed with.
pub(crate) struct Issuer {
    root_pem: String,
    alternate_root_pem: String,
    intermediate: CertifiedIssuer<'static, KeyPair>,
    intermediate_pem: String,
    /// The same intermediate, signed by the alternate root.
    cross_signed_pem: String,
    key_identifier: Vec<u8>,
}

/// A leaf as signed.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) der: Vec<u8>,
    pub(crate) not_after: Timestamp,
}

impl Issuer {
    pub(crate) fn new(now: Timestamp) -> Result<Self, IssuerError> {
        let root = root("Rehearsal Root R1", now)?;
        let alternate = self::root("Rehearsal Root R2", now)?;
        let key = KeyPair::generate().map_err(failed("the intermediate's key"))?;
        let params = authority("Rehearsal Intermediate I1", 0, now);
        let key_identifier = params.key_identifier(&key);
        let cross_signed_pem =
            params.signed_by(&key, &alternate).map_err(failed("the cross-signed intermediate"))?.pem();
        let intermediate =
            CertifiedIssuer::signed_by(params, key, &root).map_err(failed("the intermediate"))?;
        Ok(Self {
            root_pem: root.pem(),
            alternate_root_pem: alternate.pem(),
            intermediate_pem: intermediate.pem(),
            intermediate,
            cross_signed_pem,
            key_identifier,
        })
    }

    pub(crate) fn root_pem(&self) -> &str {
        &self.root_pem
    }

    pub(crate) fn alternate_root_pem(&self) -> &str {
        &self.alternate_root_pem
    }

    /// The authority key identifier of every leaf.
    pub(crate) fn key_identifier(&self) -> &[u8] {
        &self.key_identifier
    }

    pub(crate) fn sign(
        &self,
        names: &Identifiers,
        key: &impl PublicKeyData,
        serial: [u8; 16],
        life: Duration,
        now: Timestamp,
    ) -> Result<Leaf, IssuerError> {
        let not_before = Timestamp::from_unix_seconds(now.before(BACKDATE).unix_seconds());
        // RFC 5280 §4.1.2.5: the last second is part of the validity.
        let not_after = not_before.after(life).before(Duration::from_secs(1));
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.not_before = datetime(not_before);
        params.not_after = datetime(not_after);
        params.distinguished_name = DistinguishedName::new();
        for name in names {
            let name = name.as_str().try_into().map_err(failed("a leaf's name"))?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(key, &self.intermediate).map_err(failed("a leaf"))?;
        Ok(Leaf { der: certificate.der().to_vec(), not_after })
    }

    /// The chain to the first root.
    pub(crate) fn chain_pem(&self, leaf_der: &[u8]) -> String {
        pem(leaf_der) + &self.intermediate_pem
    }

    /// The chain to the second root.
    pub(crate) fn alternate_chain_pem(&self, leaf_der: &[u8]) -> String {
        pem(leaf_der) + &self.cross_signed_pem
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issuer")
    }
}

/// What the CA's own HTTPS endpoint shows, for `127.0.0.1`, `::1` and `localhost`.
pub(crate) struct ServerIdentity {
    pub(crate) root_pem: String,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl ServerIdentity {
    pub(crate) fn new(now: Timestamp) -> Result<Self, IssuerError> {
        let root = root("Rehearsal API Root", now)?;
        let key = KeyPair::generate().map_err(failed("the server's key"))?;
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).map_err(failed("the server's names"))?;
        (params.not_before, params.not_after) = authority_life(now);
        params.distinguished_name = distinguished("localhost");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &root).map_err(failed("the server's certificate"))?;
        Ok(Self {
            root_pem: root.pem(),
            chain: vec![leaf.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }
}

fn root(name: &str, now: Timestamp) -> Result<CertifiedIssuer<'static, KeyPair>, IssuerError> {
    let key = KeyPair::generate().map_err(failed("a root's key"))?;
    CertifiedIssuer::self_signed(authority(name, 1, now), key).map_err(failed("a root"))
}

fn authority(name: &str, below: u8, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = authority_life(now);
    params.distinguished_name = distinguished(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

/// Begins long ago: a machine may check the chain with a clock that is behind a driven one.
fn authority_life(now: Timestamp) -> (OffsetDateTime, OffsetDateTime) {
    (datetime(now.before(ROOT_LIFE)), datetime(now.after(ROOT_LIFE)))
}

fn distinguished(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "Rehearsal CA");
    subject.push(DnType::CommonName, name);
    subject
}

fn datetime(at: Timestamp) -> OffsetDateTime {
    at.to_datetime().unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// RFC 7468 with lines of 64 characters.
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::with_capacity(text.len() + text.len() / 64 + 64);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
