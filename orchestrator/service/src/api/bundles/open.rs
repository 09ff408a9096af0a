//! From a row to a bundle: its key opened, and what it is known by.

use axum::http::HeaderMap;
use axum::http::header::IF_NONE_MATCH;
use issuance::hexadecimal::hexadecimal;
use issuance::ids::OrderId;
use secrecy::{ExposeSecret as _, SecretSlice};

use crate::api::ApiState;
use crate::api::problem::Problem;
use crate::keys::bundle::Bundle;
use crate::keys::csr::key_context;
use crate::keys::{CertificateKey, Sealer};
use crate::store::bundles::StoredBundle;

/// Characters of the fingerprint that stand in an `ETag`: 128 bits, beyond any accident.
const ETAG_DIGITS: usize = 32;

/// A bundle with its key, where that is held here.
pub(in crate::api) fn open(api: &ApiState, stored: &StoredBundle) -> Result<Bundle, Problem> {
    let key = key(&api.sealer, stored)?;
    let pem = key.map(|der| {
        let key = CertificateKey::from_pkcs8(der.expose_secret());
        key.map(|key| key.pkcs8_pem()).map_err(|error| Problem::internal(&error))
    });
    Bundle::new(&stored.chain_pem, pem.transpose()?).ok_or_else(|| Problem::internal(&NoChain(stored.order)))
}

/// The private key in PKCS#8.
pub(in crate::api) fn key(
    sealer: &Sealer,
    stored: &StoredBundle,
) -> Result<Option<SecretSlice<u8>>, Problem> {
    let Some(sealed) = &stored.key_sealed else { return Ok(None) };
    sealer.open(&key_context(stored.order), sealed).map(Some).map_err(|error| Problem::internal(&error))
}

/// The `ETag` of one version in one form: the same bytes exactly as long as it is the same.
pub(in crate::api) fn etag(fingerprint_sha256: &[u8], form: &str, has_key: bool) -> String {
    let digits = hexadecimal(fingerprint_sha256);
    let keyless = if has_key { "" } else { "-keyless" };
    format!("\"{}-{form}{keyless}\"", &digits[..ETAG_DIGITS.min(digits.len())])
}

/// Whether `If-None-Match` names it, by the weak comparison (RFC 9110 §13.1.2).
pub(in crate::api) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let strong = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    let own = strong(etag);
    let values = headers.get_all(IF_NONE_MATCH).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim() == "*" || strong(one) == own)
}

#[derive(Debug, thiserror::Error)]
#[error("the chain of order {0} cannot be read")]
struct NoChain(OrderId);

#[cfg(test)]
mod tests {
    use IF_NONE_MATCH;
    use axum::http::HeaderMap;

    use super::*;

    #[test]
    fn an_etag_tells_form_and_key_apart_and_is_known_again() {
        let print = [0xab_u8; 32];
        let json = etag(&print, "json", true);
        assert_eq!(json, format!("\"{}-json\"", "ab".repeat(16)));
        assert_ne!(json, etag(&print, "json", false));
        let known = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, text.parse().expect("a header"));
            is_known(&headers, &json)
        };
        assert!(known(&json) && known(&format!("\"x\", W/{json}")) && known("*"));
        assert!(!known("\"x\"") && !is_known(&HeaderMap::new(), &json));
    }
}
