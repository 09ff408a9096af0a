//! The two clocks a rehearsal can run on, and the one that a CA makes of either.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use issuance::time::{Clock, Timestamp};

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::EPOCH.after(since)
    }
}

/// A clock that stands still until it is driven.
#[derive(Debug)]
pub struct DrivenClock(AtomicI64);

impl DrivenClock {
    pub fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.unix_micros()))
    }

    /// Moves the clock forward; it never goes back.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for DrivenClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A CA's own clock: ahead of the true one, or behind it.
#[derive(Debug)]
pub(crate) struct SkewedClock {
    truth: Arc<dyn Clock>,
    skew_ms: AtomicI64,
}

impl SkewedClock {
    pub(crate) fn new(truth: Arc<dyn Clock>) -> Self {
        Self { truth, skew_ms: AtomicI64::new(0) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let skew = self.skew_ms();
        let wait = Duration::from_millis(skew.unsigned_abs());
        let truth = self.truth.now();
        if skew < 0 { truth.before(wait) } else { truth.after(wait) }
    }

    pub(crate) fn set_skew_ms(&self, ms: i64) {
        self.skew_ms.store(ms, Ordering::SeqCst);
    }

    pub(crate) fn skew_ms(&self) -> i64 {
        self.skew_ms.load(Ordering::SeqCst)
    }
}
