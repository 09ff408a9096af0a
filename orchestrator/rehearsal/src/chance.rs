//! The one seeded source of everything a CA leaves to chance, so that a run can be repeated.
//!
//! Nothing secret comes from here except in a rehearsal: tokens and nonces of a known seed can be foretold.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use issuance::time::Fraction;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

pub(crate) struct Chance(Mutex<StdRng>);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    fn draw<T>(&self, with: impl FnOnce(&mut StdRng) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn fraction(&self) -> Fraction {
        Fraction::new(self.draw(Rng::random::<f64>))
    }

    /// Whether an event of this probability happens now.
    pub(crate) fn happens(&self, share: f64) -> bool {
        share > 0.0 && self.draw(Rng::random::<f64>) < share
    }

    pub(crate) fn bits(&self) -> u64 {
        self.draw(Rng::random)
    }

    /// 256 bits in base64url: RFC 8555 §8.1 wants at least 128 in a token.
    pub(crate) fn token(&self) -> String {
        let bytes: [u8; 32] = self.draw(Rng::random);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// A certificate serial number of 16 bytes whose first is never zero, so that its length is fixed.
    pub(crate) fn serial(&self) -> [u8; 16] {
        let mut serial: [u8; 16] = self.draw(Rng::random);
        serial[0] = serial[0].max(1);
        serial
    }

    pub(crate) fn shuffle<T>(&self, items: &mut [T]) {
        self.draw(|rng| items.shuffle(rng));
    }

    /// `base` within `share` on either side.
    pub(crate) fn around(&self, base: Duration, share: f64) -> Duration {
        base.mul_f64(1.0 - share) + self.fraction().of(base, 2.0 * share)
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chance")
    }
}
