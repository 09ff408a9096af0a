//! Anti-replay nonces (RFC 8555 §6.5): each one good once.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::chance::Chance;

/// Requests in parallel should not queue for one lock.
const SHARDS: usize = 16;
/// A client may hoard nonces; the oldest of a shard are forgotten beyond this many.
const NONCES_PER_SHARD_MAX: usize = 16_384;

#[derive(Debug, Default)]
struct Shard {
    good: HashSet<u64>,
    /// Issue order, including nonces used since.
    issued: VecDeque<u64>,
}

/// The nonces this CA has given out and not seen again.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    shards: [Mutex<Shard>; SHARDS],
}

impl Nonces {
    pub(crate) fn issue(&self, chance: &Chance) -> String {
        let bits = chance.bits();
        let mut shard = self.shard(bits);
        shard.good.insert(bits);
        shard.issued.push_back(bits);
        if shard.issued.len() > NONCES_PER_SHARD_MAX
            && let Some(oldest) = shard.issued.pop_front()
        {
            shard.good.remove(&oldest);
        }
        URL_SAFE_NO_PAD.encode(bits.to_be_bytes())
    }

    /// True exactly once for each nonce that was issued.
    pub(crate) fn redeem(&self, nonce: &str) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
        let Ok(bytes) = <[u8; 8]>::try_from(bytes) else { return false };
        let bits = u64::from_be_bytes(bytes);
        self.shard(bits).good.remove(&bits)
    }

    fn shard(&self, bits: u64) -> std::sync::MutexGuard<'_, Shard> {
        let shard = &self.shards[(bits % SHARDS as u64) as usize];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once() {
        let (nonces, chance) = (Nonces::default(), Chance::new(1));
        let nonce = nonces.issue(&chance);
        assert!(nonces.redeem(&nonce));
        assert!(!nonces.redeem(&nonce));
        assert!(!nonces.redeem("AAAAAAAAAAA"), "never issued");
        assert!(!nonces.redeem("not base64 !"));
    }
}
