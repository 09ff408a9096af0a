//! A sign-in that is under way: what the browser keeps while it is at the provider, sealed so that nobody reads or makes one.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use issuance::time::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::OidcError;
use crate::keys::{SealError, Sealer};

/// How long somebody may take to sign in there.
const LIFE: Duration = Duration::from_mins(10);
const CONTEXT: &str = "oidc/journey";
/// A way back that is longer is no page's.
const TO_BYTES_MAX: usize = 1_000;
/// What is opened at all.
const COOKIE_BYTES_MAX: usize = 4_096;

/// Opened by whoever has the master key, which all replicas have.
#[derive(Serialize, Deserialize)]
pub struct Journey {
    state: String,
    nonce: String,
    verifier: String,
    to: String,
    /// Seconds since 1970.
    ends_at: i64,
}

/// Secrets, all but the way back.
impl fmt::Debug for Journey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journey").field("ends_at", &self.ends_at).finish_non_exhaustive()
    }
}

/// What the provider had a browser bring back (RFC 6749 §4.1.2, RFC 9207). Anybody may have written it.
#[derive(Default, Deserialize)]
pub struct Answer {
    pub code: Option<String>,
    pub state: Option<String>,
    pub iss: Option<String>,
    pub error: Option<String>,
}

/// A code is as good as a password.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

impl Journey {
    pub(super) fn new(now: Timestamp, state: String, nonce: String, verifier: String, to: &str) -> Self {
        let to = if to.len() > TO_BYTES_MAX { String::new() } else { to.to_owned() };
        Self { state, nonce, verifier, to, ends_at: now.after(LIFE).unix_seconds() }
    }

    pub(super) fn seal(&self, sealer: &Sealer) -> Result<SecretString, SealError> {
        let plain = serde_json::to_vec(self).map_err(|_| SealError::Sealing)?;
        sealer.seal(CONTEXT, &plain).map(|sealed| SecretString::from(URL_SAFE_NO_PAD.encode(sealed)))
    }

    pub(super) fn open(sealer: &Sealer, cookie: &str) -> Option<Self> {
        if cookie.len() > COOKIE_BYTES_MAX {
            return None;
        }
        let opened = sealer.open(CONTEXT, &URL_SAFE_NO_PAD.decode(cookie).ok()?).ok()?;
        serde_json::from_slice(opened.expose_secret()).ok()
    }

    /// Whether an answer is to this one.
    pub(super) fn check(&self, now: Timestamp, answer: &Answer) -> Result<(), OidcError> {
        let told = answer.state.as_deref().unwrap_or_default();
        // Of digests, so that how long it takes tells nothing.
        if Sha256::digest(told) != Sha256::digest(&self.state) {
            return Err(OidcError::Stranger);
        }
        if now >= self.ends_at() { Err(OidcError::TooLate) } else { Ok(()) }
    }

    /// What stands for it where it is written down that it is used.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.state).into()
    }

    pub fn ends_at(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.ends_at)
    }

    /// Where whoever has come back wanted to go.
    pub fn to(&self) -> &str {
        &self.to
    }

    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    pub(super) fn verifier(&self) -> &str {
        &self.verifier
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::MasterKey;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&MasterKey::from_bytes(&[byte; 32]))
    }

    fn journey() -> Journey {
        Journey::new(NOW, "st4te".into(), "n0nce".into(), "v3rifier".into(), "/admin/queue")
    }

    fn answer(state: Option<&str>) -> Answer {
        Answer { state: state.map(str::to_owned), ..Answer::default() }
    }

    #[test]
    fn any_replica_opens_it_and_nobody_else_reads_or_changes_it() {
        let cookie = journey().seal(&sealer(7)).expect("sealed");
        let text = cookie.expose_secret();
        assert_eq!(Journey::open(&sealer(7), text).expect("opened").to(), "/admin/queue");
        assert!(Journey::open(&sealer(8), text).is_none(), "another master key");
        let other = if text.ends_with('A') { 'B' } else { 'A' };
        let altered = format!("{}{other}{}", &text[..20], &text[21..]);
        assert!(altered == text || Journey::open(&sealer(7), &altered).is_none());
        assert!(Journey::open(&sealer(7), &"A".repeat(5_000)).is_none());
        assert!(!format!("{:?}", journey()).contains("v3rifier"));
    }

    #[test]
    fn only_its_own_answer_fits_and_not_for_ever() {
        let fits = |now, state| journey().check(now, &answer(state)).map_err(|error| error.word());
        assert_eq!(fits(NOW, Some("st4te")), Ok(()));
        assert_eq!(fits(NOW, Some("st4tf")), Err("stranger"));
        assert_eq!(fits(NOW, None), Err("stranger"));
        assert_eq!(fits(NOW.after(LIFE), Some("st4te")), Err("too_late"));
        assert_eq!(Journey::new(NOW, "s".into(), "n".into(), "v".into(), &"/".repeat(2_000)).to(), "");
    }
}
