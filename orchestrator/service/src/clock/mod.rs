//! The clocks: one that reads the machine's, and one that is driven, with what its driver has to know.

mod pace;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use issuance::time::{Clock, Timestamp};

pub use self::pace::{AtWork, Conductor, Looker, Pace};

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp::from_unix_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct DrivenClock(AtomicI64);

impl DrivenClock {
    pub fn starting_at(instant: Timestamp) -> Self {
        Self(AtomicI64::new(instant.unix_micros()))
    }

    /// Moves to `instant`; never backwards.
    pub fn advance_to(&self, instant: Timestamp) {
        self.0.fetch_max(instant.unix_micros(), Ordering::SeqCst);
    }

    pub fn advance(&self, wait: Duration) {
        self.advance_to(self.now().after(wait));
    }
}

impl Clock for DrivenClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.load(Ordering::SeqCst))
    }
}
