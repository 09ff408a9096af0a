//! Public keys as JWKs (RFC 7517): account keys, and the keys of certificates that revoke themselves.

use std::fmt;

use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::problem::{Kind, Problem};

/// What the algorithm-refusal problem lists (RFC 8555 §6.2).
pub(crate) const ALGORITHMS: &[&str] = &["RS256", "ES256", "ES384"];

/// A key on the wire. Members are in the order RFC 7638 wants for a thumbprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Jwk {
    Elliptic { crv: String, kty: String, x: String, y: String },
    Rsa { e: String, kty: String, n: String },
}

enum Verifier {
    Elliptic { alg: &'static str, key: ParsedPublicKey },
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// A key that can check signatures.
pub(crate) struct PublicKey {
    jwk: Jwk,
    thumbprint: Box<str>,
    /// What a certificate's `subjectPublicKey` bit string holds for the same key.
    raw: Box<[u8]>,
    verifier: Verifier,
}

impl PublicKey {
    pub(crate) fn parse(jwk: Jwk) -> Result<Self, Problem> {
        let refused = |what: &str| Problem::new(Kind::BadPublicKey, format!("JWK is not usable: {what}"));
        let bytes = |text: &str| {
            URL_SAFE_NO_PAD.decode(text).map_err(|_| refused("a member is not unpadded base64url"))
        };
        let (raw, verifier) = match &jwk {
            Jwk::Elliptic { crv, kty, x, y } => {
                let (alg, algorithm, size): (_, &'static dyn signature::VerificationAlgorithm, _) =
                    match (kty.as_str(), crv.as_str()) {
                        ("EC", "P-256") => ("ES256", &ECDSA_P256_SHA256_FIXED, 32),
                        ("EC", "P-384") => ("ES384", &ECDSA_P384_SHA384_FIXED, 48),
                        _ => return Err(refused("only the curves P-256 and P-384 are accepted")),
                    };
                let (x, y) = (bytes(x)?, bytes(y)?);
                if x.len() != size || y.len() != size {
                    return Err(refused("a coordinate has the wrong length"));
                }
                let point = [&[4_u8][..], &x, &y].concat();
                let key = ParsedPublicKey::new(algorithm, &point)
                    .map_err(|_| refused("the point is not on its curve"))?;
                (point, Verifier::Elliptic { alg, key })
            }
            Jwk::Rsa { e, kty, n } => {
                if kty != "RSA" {
                    return Err(refused("the key type is neither EC nor RSA"));
                }
                let (n, e) = (bytes(n)?, bytes(e)?);
                if !(256..=512).contains(&n.len()) || n.first() == Some(&0) || e.is_empty() {
                    return Err(refused("an RSA modulus has 2048 to 4096 bits"));
                }
                (rsa_public_key_der(&n, &e), Verifier::Rsa { n, e })
            }
        };
        // RFC 7638: the members in lexicographic order, no white space, which is how `Jwk` serializes.
        let canonical = serde_json::to_vec(&jwk).map_err(|_| refused("it cannot be written down"))?;
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)).into();
        Ok(Self { jwk, thumbprint, raw: raw.into(), verifier })
    }

    pub(crate) fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    pub(crate) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Checks a JWS signature; `alg` must be the one this key is for.
    pub(crate) fn verify(&self, alg: &str, message: &[u8], signature: &[u8]) -> Result<(), Problem> {
        let expected = match &self.verifier {
            Verifier::Elliptic { alg, .. } => *alg,
            Verifier::Rsa { .. } => "RS256",
        };
        if alg != expected {
            return Err(bad_algorithm(&format!("JWS signature algorithm {alg:?} does not fit the key")));
        }
        let checked = match &self.verifier {
            Verifier::Elliptic { key, .. } => key.verify_sig(message, signature),
            Verifier::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        };
        checked.map_err(|_| Problem::malformed("JWS verification error"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.thumbprint).finish()
    }
}

pub(crate) fn bad_algorithm(detail: &str) -> Problem {
    Problem::new(Kind::BadSignatureAlgorithm, detail).with_algorithms(ALGORITHMS)
}

/// `RSAPublicKey` of RFC 8017 §A.1.1: a sequence of two positive integers.
fn rsa_public_key_der(n: &[u8], e: &[u8]) -> Vec<u8> {
    let integer = |value: &[u8]| {
        let sign: &[u8] = if value.first().is_some_and(|byte| byte & 0x80 != 0) { &[0] } else { &[] };
        tagged(0x02, &[sign, value].concat())
    };
    tagged(0x30, &[integer(n), integer(e)].concat())
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut der = vec![tag];
    match length {
        0..=0x7f => der.push(length as u8),
        0x80..=0xff => der.extend([0x81, length as u8]),
        _ => der.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    der.extend_from_slice(content);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7638 §3.1.
    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        let jwk: Jwk = serde_json::from_str(
            r#"{"kty": "RSA",
                "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
                "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}"#,
        )
        .expect("a key");
        let key = PublicKey::parse(jwk).expect("a good key");
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn a_point_off_the_curve_is_no_key() {
        let zero = URL_SAFE_NO_PAD.encode([0; 32]);
        let jwk = Jwk::Elliptic { crv: "P-256".into(), kty: "EC".into(), x: zero.clone(), y: zero };
        let refusal = PublicKey::parse(jwk).expect_err("off the curve").to_string();
        assert!(refusal.starts_with("badPublicKey: "), "{refusal}");
    }
}
