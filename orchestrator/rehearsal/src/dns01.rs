//! DNS-01 (RFC 8555 §8.4): a TXT record with the digest of the key authorization.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::problem::Problem;
use crate::resolver::DnsView;
use crate::validation::Attempt;

pub(crate) async fn validate(dns: &DnsView, attempt: &Attempt) -> Result<(), Problem> {
    let name = format!("_acme-challenge.{}", attempt.name.validation_target());
    let expected = URL_SAFE_NO_PAD.encode(Sha256::digest(&attempt.key_authorization));
    let texts = dns.texts(&name).await?;
    if texts.contains(&expected) {
        return Ok(());
    }
    let Some(first) = texts.first() else {
        return Err(Problem::unauthorized(format!("No TXT record found at {name}")));
    };
    let more = match texts.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    Err(Problem::unauthorized(format!("Incorrect TXT record \"{first}\"{more} found at {name}")))
}
