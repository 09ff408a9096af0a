//! A clock that runs like the machine's and can be put forward: waits of hours take no time, and everything that
//! happens in between happens at its own pace.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use issuance::time::{Clock, Timestamp};
use lockkeeper::clock::SystemClock;

#[derive(Debug, Default)]
pub struct LeapingClock {
    ahead_micros: AtomicI64,
}

impl LeapingClock {
    /// Puts the clock forward; it never goes back.
    pub fn leap(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.ahead_micros.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for LeapingClock {
    fn now(&self) -> Timestamp {
        let micros = SystemClock.now().unix_micros();
        Timestamp::from_unix_micros(micros.saturating_add(self.ahead_micros.load(Ordering::SeqCst)))
    }
}
