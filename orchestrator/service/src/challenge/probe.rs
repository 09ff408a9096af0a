//! The probe: a token whose answer only this service can compute, so that an answer proves the way to us.
//!
//! Every process that shares the secret can ask and answer; nothing is stored. An answer is worth nothing at
//! a CA: it carries no account thumbprint (RFC 8555 §8.1).

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{HeaderName, HeaderValue};
use rand::RngCore as _;

const PREFIX: &str = "lockkeeper-probe-";
/// Goes with our own look at a challenge's response, so that the log of fetches can tell it from a CA's.
pub(super) const OWN_LOOK: HeaderName = HeaderName::from_static("lockkeeper-look");
/// What is signed of a look. No token begins like this, so that a look never answers a probe.
const LOOK_PREFIX: &str = "look:";
/// 32 bytes in unpadded base64url.
const NONCE_CHARACTERS: usize = 43;

/// What tokens are answered with. The same on every replica.
#[derive(Clone)]
pub struct ProbeSecret(hmac::Key);

impl ProbeSecret {
    pub fn new(secret: [u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &secret))
    }

    /// `<token>.<HMAC-SHA256 of the token>`, in the shape of a key authorization.
    pub fn answer(&self, token: &str) -> String {
        let tag = hmac::sign(&self.0, token.as_bytes());
        let mut answer = String::with_capacity(token.len() + 1 + NONCE_CHARACTERS);
        answer.push_str(token);
        answer.push('.');
        URL_SAFE_NO_PAD.encode_string(tag, &mut answer);
        answer
    }

    /// The value of [`OWN_LOOK`] that goes with this token. Whoever sees it can pass for us in the log, for this token,
    /// and gains nothing else.
    pub(super) fn sign_look(&self, token: &str) -> HeaderValue {
        HeaderValue::try_from(URL_SAFE_NO_PAD.encode(self.look(token))).expect("base64url is visible ASCII")
    }

    pub(super) fn has_signed_look(&self, token: &str, mark: &[u8]) -> bool {
        is_answer(&URL_SAFE_NO_PAD.encode(self.look(token)), mark)
    }

    fn look(&self, token: &str) -> hmac::Tag {
        hmac::sign(&self.0, format!("{LOOK_PREFIX}{token}").as_bytes())
    }
}

impl fmt::Debug for ProbeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProbeSecret(..)")
    }
}

/// Draws a token nobody has asked for before, so that no cache can hold its answer.
pub fn draw_token() -> String {
    let mut nonce = [0; 32];
    rand::rng().fill_bytes(&mut nonce);
    let mut token = String::with_capacity(PREFIX.len() + NONCE_CHARACTERS);
    token.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(nonce, &mut token);
    token
}

/// Whether a token is a probe's. No CA's token is: they have no such beginning.
pub fn is_probe(token: &str) -> bool {
    token.strip_prefix(PREFIX).is_some_and(|nonce| nonce.len() == NONCE_CHARACTERS && is_base64url(nonce))
}

pub(super) fn is_base64url(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// What is asked of an address: any of these answers will do.
#[derive(Debug, Clone)]
pub struct Expected {
    answers: Vec<String>,
    look: Option<HeaderValue>,
}

impl Expected {
    pub fn of(answer: String) -> Self {
        Self { answers: vec![answer], look: None }
    }

    /// This one is as good.
    #[must_use]
    pub fn or(mut self, answer: String) -> Self {
        self.answers.push(answer);
        self
    }

    /// Asked with [`OWN_LOOK`].
    #[must_use]
    pub(super) fn looking(self, mark: HeaderValue) -> Self {
        Self { look: Some(mark), ..self }
    }

    pub(super) fn look(&self) -> Option<&HeaderValue> {
        self.look.as_ref()
    }

    pub(super) fn is_met_by(&self, came: &[u8]) -> bool {
        self.answers.iter().any(|answer| is_answer(answer, came))
    }
}

/// Compares what came with what must come, in a time that tells nothing about where they differ.
pub(super) fn is_answer(expected: &str, came: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(expected.as_bytes(), came).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_belongs_to_one_token_and_one_secret() {
        let (ours, theirs) = (ProbeSecret::new([1; 32]), ProbeSecret::new([2; 32]));
        let (first, second) = (draw_token(), draw_token());
        assert_ne!(first, second);
        assert!(is_answer(&ours.answer(&first), ours.answer(&first).as_bytes()));
        assert!(!is_answer(&ours.answer(&first), theirs.answer(&first).as_bytes()));
        assert!(!is_answer(&ours.answer(&first), ours.answer(&second).as_bytes()));
        assert!(!is_answer(&ours.answer(&first), first.as_bytes()));
    }

    /// Boulder reads no more than 128 bytes of an answer.
    #[test]
    fn an_answer_is_as_short_as_a_key_authorization() {
        let token = draw_token();
        let answer = ProbeSecret::new([7; 32]).answer(&token);
        assert!(is_probe(&token));
        assert_eq!(answer.len(), token.len() + 1 + NONCE_CHARACTERS);
        assert!(answer.len() <= 128);
    }

    #[test]
    fn only_whole_tokens_are_probes() {
        let token = draw_token();
        for other in ["", "lockkeeper-probe-", "lockkeeper-probe-short", &token[1..], &format!("{token}x")] {
            assert!(!is_probe(other), "{other}");
        }
        assert!(!is_probe(&format!("{PREFIX}{}", "/".repeat(NONCE_CHARACTERS))));
    }

    #[test]
    fn the_secret_is_not_printed() {
        assert_eq!(format!("{:?}", ProbeSecret::new([9; 32])), "ProbeSecret(..)");
    }
}
