//! Signed requests (RFC 8555 §6.2): flattened JWS with the account's key.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretSlice};
use serde::Serialize;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;

/// Shorter moduli are refused by every public CA.
const RSA_BITS_MIN: usize = 2048;

/// An account's signing key, parsed once. ES256, ES384 and RS256, because adopted accounts bring RSA keys.
pub struct AccountKey {
    pair: Pair,
    random: SystemRandom,
    /// The public key as JSON in the member order of RFC 7638, so that it is also what the thumbprint hashes.
    jwk: Box<str>,
    thumbprint: Box<str>,
    pkcs8: SecretSlice<u8>,
}

enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

/// Why a key is of no use for an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error(
        "not a PKCS#8 private key of a kind accounts use: EC P-256, EC P-384 or RSA of 2048 bits and more"
    )]
    Unusable,
    #[error("the key could not sign")]
    Signing,
}

impl AccountKey {
    /// From PKCS#8 in DER.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8) {
            Pair::P256(pair)
        } else if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, pkcs8) {
            Pair::P384(pair)
        } else {
            Pair::Rsa(Box::new(RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::Unusable)?))
        };
        let jwk = pair.jwk()?;
        let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, jwk.as_bytes()));
        Ok(Self {
            pair,
            random: SystemRandom::new(),
            jwk: jwk.into(),
            thumbprint: thumbprint.into(),
            pkcs8: SecretSlice::from(pkcs8.to_vec()),
        })
    }

    /// The JWK thumbprint (RFC 7638) with SHA-256, in base64url.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// What a challenge's response must hold (RFC 8555 §8.1).
    pub fn key_authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.thumbprint)
    }

    /// The public key as a JWK (RFC 7517).
    pub fn jwk(&self) -> &str {
        &self.jwk
    }

    /// The PKCS#8 that instant-acme can sign with: it knows P-256 only.
    pub(crate) fn p256_pkcs8(&self) -> Option<&[u8]> {
        matches!(self.pair, Pair::P256(_)).then(|| self.pkcs8.expose_secret())
    }

    /// A request body signed by this key. An empty `payload` makes it a POST-as-GET (RFC 8555 §6.3).
    pub(crate) fn sign(
        &self,
        by: Signer<'_>,
        nonce: &str,
        url: &str,
        payload: &[u8],
    ) -> Result<Bytes, KeyError> {
        let alg = self.pair.alg();
        let header = match by {
            Signer::Key => format!(
                r#"{{"alg":"{alg}","jwk":{},"nonce":"{nonce}","url":{}}}"#,
                self.jwk,
                serde_json::Value::from(url)
            ),
            Signer::Account(kid) => format!(
                r#"{{"alg":"{alg}","kid":{},"nonce":"{nonce}","url":{}}}"#,
                serde_json::Value::from(kid),
                serde_json::Value::from(url)
            ),
        };
        flattened(header.as_bytes(), payload, |input| self.pair.sign(&self.random, input)).map(Bytes::from)
    }
}

/// How a request names its key: by the key itself before there is an account, by the account's URL after.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signer<'a> {
    Key,
    Account(&'a str),
}

/// A binding to an account the CA's operator knows us by (RFC 8555 §7.3.4).
pub struct ExternalAccount {
    pub key_id: String,
    /// The MAC key itself, not its base64url form.
    pub mac_key: SecretSlice<u8>,
}

impl ExternalAccount {
    /// The `externalAccountBinding` member: the account's public key, signed with the MAC key.
    pub(crate) fn binding(
        &self,
        key: &AccountKey,
        new_account_url: &str,
    ) -> Result<serde_json::Value, KeyError> {
        #[derive(Serialize)]
        struct Header<'a> {
            alg: &'a str,
            kid: &'a str,
            url: &'a str,
        }
        let header = Header { alg: "HS256", kid: &self.key_id, url: new_account_url };
        let header = serde_json::to_vec(&header).map_err(|_| KeyError::Signing)?;
        let mac = hmac::Key::new(hmac::HMAC_SHA256, self.mac_key.expose_secret());
        let text =
            flattened(&header, key.jwk.as_bytes(), |input| Ok(hmac::sign(&mac, input).as_ref().to_vec()))?;
        serde_json::from_str(&text).map_err(|_| KeyError::Signing)
    }
}

impl fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalAccount").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

const OPENING: &str = r#"{"protected":""#;
const PAYLOAD: &str = r#"","payload":""#;
const SIGNATURE: &str = r#"","signature":""#;

/// Everything between the quotes is base64url, so nothing needs escaping.
fn flattened(
    header: &[u8],
    payload: &[u8],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, KeyError>,
) -> Result<String, KeyError> {
    let mut input = String::with_capacity((header.len() + payload.len()) * 4 / 3 + 8);
    BASE64_URL_SAFE_NO_PAD.encode_string(header, &mut input);
    let dot = input.len();
    input.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(payload, &mut input);
    let signature = sign(input.as_bytes())?;
    let mut text = String::with_capacity(input.len() + signature.len() * 4 / 3 + 64);
    text.push_str(OPENING);
    text.push_str(&input[..dot]);
    text.push_str(PAYLOAD);
    text.push_str(&input[dot + 1..]);
    text.push_str(SIGNATURE);
    BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    text.push_str("\"}");
    Ok(text)
}

impl Pair {
    const fn alg(&self) -> &'static str {
        match self {
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Rsa(_) => "RS256",
        }
    }

    fn sign(&self, random: &SystemRandom, input: &[u8]) -> Result<Vec<u8>, KeyError> {
        match self {
            Self::P256(pair) | Self::P384(pair) => {
                pair.sign(random, input).map(|signature| signature.as_ref().to_vec())
            }
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, random, input, &mut signature).map(|()| signature)
            }
        }
        .map_err(|_| KeyError::Signing)
    }

    fn jwk(&self) -> Result<String, KeyError> {
        match self {
            Self::P256(pair) => ec_jwk("P-256", pair.public_key().as_ref()),
            Self::P384(pair) => ec_jwk("P-384", pair.public_key().as_ref()),
            Self::Rsa(pair) => rsa_jwk(pair.public_key().as_ref()),
        }
    }
}

/// From an uncompressed point: 4, then both coordinates (SEC 1 §2.3.3).
fn ec_jwk(curve: &str, point: &[u8]) -> Result<String, KeyError> {
    let coordinates = point.get(1..).ok_or(KeyError::Unusable)?;
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    let [x, y] = [x, y].map(|number| BASE64_URL_SAFE_NO_PAD.encode(number));
    Ok(format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#))
}

/// From an `RSAPublicKey` in DER (RFC 8017 §A.1.1).
fn rsa_jwk(der: &[u8]) -> Result<String, KeyError> {
    let (_, key) = RSAPublicKey::from_der(der).map_err(|_| KeyError::Unusable)?;
    let modulus = without_zeros(key.modulus);
    if modulus.len() * 8 < RSA_BITS_MIN {
        return Err(KeyError::Unusable);
    }
    let [e, n] = [without_zeros(key.exponent), modulus].map(|number| BASE64_URL_SAFE_NO_PAD.encode(number));
    Ok(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#))
}

/// DER puts a zero in front of a number whose first bit is set; a JWK does not (RFC 7518 §6.3.1).
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountKey")
            .field("alg", &self.pair.alg())
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
        VerificationAlgorithm,
    };

    use super::*;

    const URL: &str = "https://ca.test/acme/new-order";

    fn decoded(body: &serde_json::Value, member: &str) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(body[member].as_str().unwrap()).unwrap()
    }

    fn keys() -> Vec<(AccountKey, &'static dyn VerificationAlgorithm, Vec<u8>)> {
        let random = SystemRandom::new();
        let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let p384 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random).unwrap();
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let rsa: aws_lc_rs::encoding::Pkcs8V1Der<'_> = rsa.as_der().unwrap();
        let algorithms: [&dyn VerificationAlgorithm; 3] =
            [&ECDSA_P256_SHA256_FIXED, &ECDSA_P384_SHA384_FIXED, &RSA_PKCS1_2048_8192_SHA256];
        [p256.as_ref(), p384.as_ref(), rsa.as_ref()]
            .into_iter()
            .zip(algorithms)
            .map(|(pkcs8, algorithm)| {
                let key = AccountKey::from_pkcs8(pkcs8).unwrap();
                let public = match &key.pair {
                    Pair::P256(pair) | Pair::P384(pair) => pair.public_key().as_ref().to_vec(),
                    Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
                };
                (key, algorithm, public)
            })
            .collect()
    }

    #[test]
    fn every_key_kind_signs_what_its_public_key_verifies() {
        for (key, algorithm, public) in keys() {
            let body =
                key.sign(Signer::Account("https://ca.test/acct/\"1"), "n0nce", URL, br#"{"a":1}"#).unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let header: serde_json::Value = serde_json::from_slice(&decoded(&body, "protected")).unwrap();
            let expected = serde_json::json!({
                "alg": key.pair.alg(), "kid": "https://ca.test/acct/\"1", "nonce": "n0nce", "url": URL,
            });
            assert_eq!(header, expected);
            assert_eq!(decoded(&body, "payload"), br#"{"a":1}"#);
            let input = [&body["protected"], &body["payload"]].map(|part| part.as_str().unwrap()).join(".");
            let verifier = UnparsedPublicKey::new(algorithm, &public);
            verifier.verify(input.as_bytes(), &decoded(&body, "signature")).unwrap();
            assert!(verifier.verify(b"something else", &decoded(&body, "signature")).is_err());

            let body = key.sign(Signer::Key, "n0nce", URL, b"").unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let header: serde_json::Value = serde_json::from_slice(&decoded(&body, "protected")).unwrap();
            assert_eq!(header["jwk"], serde_json::from_str::<serde_json::Value>(key.jwk()).unwrap());
            assert_eq!((&header["kid"], body["payload"].as_str()), (&serde_json::Value::Null, Some("")));
        }
    }

    /// The key and the thumbprint of RFC 7638 §3.1.
    #[test]
    fn the_thumbprint_is_that_of_the_standard() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let modulus = BASE64_URL_SAFE_NO_PAD.decode(n).unwrap();
        // SEQUENCE { INTEGER 0 || modulus, INTEGER 65537 }
        let mut der = vec![0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00];
        der.extend_from_slice(&modulus);
        der.extend_from_slice(&[0x02, 0x03, 0x01, 0x00, 0x01]);
        let jwk = rsa_jwk(&der).unwrap();
        let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, jwk.as_bytes()));
        assert_eq!(thumbprint, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn a_key_authorization_is_token_dot_thumbprint() {
        for (key, ..) in keys() {
            let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, key.jwk().as_bytes()));
            assert_eq!(key.key_authorization("t0ken"), format!("t0ken.{thumbprint}"));
        }
    }

    #[test]
    fn what_no_account_can_use_is_refused() {
        let weak = [0x30, 0x09, 0x02, 0x02, 0x00, 0xff, 0x02, 0x03, 0x01, 0x00, 0x01];
        assert_eq!(rsa_jwk(&weak), Err(KeyError::Unusable));
        assert!(matches!(AccountKey::from_pkcs8(b"no key"), Err(KeyError::Unusable)));
        assert!(keys().iter().all(|(key, ..)| !format!("{key:?}").contains("pkcs8")));
    }
}
