//! Proof by a TXT record beside the name (RFC 8555 §8.4): what it is to say, and who writes it. Where it is to stand, and
//! whether it is seen where a CA would look, is found by [`propagation`](super::propagation).
//!
//! ```text
//! _acme-challenge.NAME ── Propagation::standing ──▶ owner of the record, aliases followed
//!        owner ── Providers ──▶ the provider whose zone it is in ── Presenter ──▶ its name servers
//!        owner ── Propagation::look ──▶ every authoritative server: is it there?
//! _acme-challenge.NAME ──▶ an alias into our own zone ──▶ Authority answers it
//! ```
//!
//! Nothing in here reads or writes the database; the authority asks a [`authority::Texts`]. What was published, and by
//! whom it is to be removed, is kept by `records`.

pub mod authority;
mod cloud;
mod exec;
mod health;
mod instruments;
mod presenter;
mod provider;
mod record_name;
mod rfc2136;
mod secret;

pub use self::health::Turn;
pub use self::presenter::{Change, PresentError, Presenter};
pub use self::provider::{AUTHORITY, Provider, ProviderSetUpError, Providers};
pub use self::record_name::{RecordName, RecordNameError, label_of};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use issuance::identifier::Hostname;
use sha2::{Digest, Sha256};

/// RFC 8555 §8.4.
const LABEL: &str = "_acme-challenge";

/// Where a CA looks for the record of this name; a wildcard's is its validation target's.
///
/// # Errors
/// With the label in front, it is longer than a name may be (RFC 1035 §2.3.4).
pub fn challenge_name(name: &Hostname) -> Result<RecordName, RecordNameError> {
    RecordName::parse(&format!("{LABEL}.{}", name.validation_target()))
}

/// What the record is to say: the digest of the key authorization, 43 characters of base64url.
pub fn digest(key_authorization: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(key_authorization))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_wildcard_are_proven_at_one_record() {
        let at = |name: &str| challenge_name(&Hostname::parse(name).expect(name)).expect(name).to_string();
        assert_eq!(at("shop.com"), "_acme-challenge.shop.com");
        assert_eq!(at("*.shop.com"), "_acme-challenge.shop.com");
        assert_eq!(at("*.www.Shop.com"), "_acme-challenge.www.shop.com");
        let long =
            format!("{}.com", ["a".repeat(60), "b".repeat(60), "c".repeat(60), "d".repeat(55)].join("."));
        assert!(challenge_name(&Hostname::parse(&long).expect("a long name")).is_err());
    }

    #[test]
    fn the_digest_is_that_of_the_rfc() {
        // Computed with `printf token.thumbprint | openssl dgst -sha256 -binary | basenc --base64url`.
        assert_eq!(digest("token.thumbprint"), EXPECTED);
    }

    const EXPECTED: &str = "61rBZ_4knHblO0MNoxFsXZ_eTFUHum0B6IVRbhvUn5I";
}
