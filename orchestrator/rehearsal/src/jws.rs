//! The envelope of every ACME request: a flattened JWS (RFC 8555 §6.2, RFC 7515 §7.2.2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::key::Jwk;
use crate::problem::Problem;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flattened {
    protected: String,
    payload: String,
    signature: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Protected {
    pub(crate) alg: String,
    pub(crate) nonce: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) kid: Option<String>,
    pub(crate) jwk: Option<Jwk>,
    /// RFC 7515 §4.1.11: nothing critical is understood here, so its presence is an error.
    crit: Option<Box<RawValue>>,
}

/// A JWS taken apart; its signature has not been checked yet.
#[derive(Debug)]
pub(crate) struct Jws {
    pub(crate) protected: Protected,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    /// What was signed: `protected "." payload`, both still encoded.
    pub(crate) signed: Vec<u8>,
}

impl Jws {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let flattened: Flattened = serde_json::from_slice(body)
            .map_err(|error| Problem::malformed(format!("Parse error reading JWS: {error}")))?;
        Self::unpack(&flattened)
    }

    /// A JWS inside a payload, as key change and external account binding have one.
    pub(crate) fn parse_inner(raw: &RawValue) -> Result<Self, Problem> {
        Self::parse(raw.get().as_bytes())
    }

    fn unpack(flattened: &Flattened) -> Result<Self, Problem> {
        let decode = |what: &str, text: &str| {
            URL_SAFE_NO_PAD
                .decode(text)
                .map_err(|_| Problem::malformed(format!("Parse error reading JWS: {what} is not base64url")))
        };
        let header = decode("protected header", &flattened.protected)?;
        let protected: Protected = serde_json::from_slice(&header)
            .map_err(|error| Problem::malformed(format!("Parse error reading JWS header: {error}")))?;
        if protected.crit.is_some() {
            return Err(Problem::malformed("JWS header \"crit\" is not supported"));
        }
        Ok(Self {
            protected,
            payload: decode("payload", &flattened.payload)?,
            signature: decode("signature", &flattened.signature)?,
            signed: [flattened.protected.as_bytes(), b".", flattened.payload.as_bytes()].concat(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_flattened_jws_is_malformed() {
        for body in ["", "{}", r#"{"protected":"e30","payload":"","signature":"","header":{}}"#] {
            Jws::parse(body.as_bytes()).expect_err(body);
        }
        let crit = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","crit":["b64"]}"#);
        let body = format!(r#"{{"protected":"{crit}","payload":"","signature":""}}"#);
        Jws::parse(body.as_bytes()).expect_err("a critical header");
    }
}
