//! Anti-replay nonces (RFC 8555 §6.5): every answer brings one, so asking for one is the exception.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use issuance::time::Timestamp;

/// Most nonces kept: twice the requests in flight that the connections are sized for.
pub const KEPT_MAX: usize = 128;
/// Older ones are dropped. A busy Boulder forgets a nonce after some 65,000 newer ones.
pub const AGE_MAX: Duration = Duration::from_mins(3);
/// Longer texts are no nonce of a sane CA (Boulder: 51 characters).
const CHARS_MAX: usize = 512;

/// A nonce the CA has issued and nobody has used: base64url text.
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(Box<str>);

impl Nonce {
    /// `None` for anything but base64url text (RFC 8555 §6.5.1 says to ignore such a header).
    pub fn parse(text: &str) -> Option<Self> {
        let plain = !text.is_empty()
            && text.len() <= CHARS_MAX
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        plain.then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The nonces of one CA, newest used first: the newest is the least likely to be forgotten.
#[derive(Debug, Default)]
pub struct NoncePool {
    kept: Mutex<VecDeque<(Timestamp, Nonce)>>,
}

impl NoncePool {
    pub fn put(&self, nonce: Nonce, now: Timestamp) {
        let mut kept = self.lock();
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back((now, nonce));
    }

    /// The newest nonce that is not too old; `None` means that one must be asked for.
    pub fn take(&self, now: Timestamp) -> Option<Nonce> {
        let mut kept = self.lock();
        match kept.pop_back() {
            Some((issued, nonce)) if now.since(issued) <= AGE_MAX => Some(nonce),
            // The newest is too old, so all are.
            _ => {
                kept.clear();
                None
            }
        }
    }

    // A panic while the lock is held cannot leave a queue of nonces inconsistent.
    fn lock(&self) -> MutexGuard<'_, VecDeque<(Timestamp, Nonce)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(text: &str) -> Nonce {
        Nonce::parse(text).expect(text)
    }

    #[test]
    fn each_nonce_is_handed_out_once_newest_first() {
        let (pool, now) = (NoncePool::default(), Timestamp::from_unix_seconds(1_000));
        pool.put(nonce("old"), now);
        pool.put(nonce("new"), now.after(Duration::from_secs(1)));
        assert_eq!(pool.take(now), Some(nonce("new")));
        assert_eq!(pool.take(now), Some(nonce("old")));
        assert_eq!(pool.take(now), None);
    }

    #[test]
    fn old_nonces_are_never_used() {
        let (pool, now) = (NoncePool::default(), Timestamp::from_unix_seconds(1_000));
        pool.put(nonce("a"), now);
        pool.put(nonce("b"), now);
        assert_eq!(pool.take(now.after(AGE_MAX)), Some(nonce("b")));
        assert_eq!(pool.take(now.after(AGE_MAX).after(Duration::from_micros(1))), None);
        assert_eq!(pool.take(now), None, "the older ones went with it");
    }

    #[test]
    fn the_pool_is_bounded_and_drops_the_oldest() {
        let (pool, now) = (NoncePool::default(), Timestamp::EPOCH);
        for number in 0..=KEPT_MAX {
            pool.put(nonce(&number.to_string()), now);
        }
        let taken: Vec<_> = std::iter::from_fn(|| pool.take(now)).collect();
        assert_eq!(taken.len(), KEPT_MAX);
        assert_eq!(taken.last(), Some(&nonce("1")));
    }

    #[test]
    fn what_is_no_base64url_is_no_nonce() {
        for bad in ["", "a b", "a\"b", "a=", "\u{fc}", &"a".repeat(513)] {
            assert_eq!(Nonce::parse(bad), None, "{bad:?}");
        }
    }
}
