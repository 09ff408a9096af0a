//! Wakes whoever waits for a bundle, whichever replica has it issued.
//!
//! No notice in the transaction that issues, and no question by each who waits: those who wait here take turns to look at
//! what was issued lately, once for all of them.

use std::collections::HashSet;
use std::time::Duration;

use issuance::ids::OrderId;
use issuance::time::Timestamp;
use tokio::sync::{Mutex, broadcast};
use tokio::time::Instant;

use crate::store::bundles::{self, IssuedLately};
use crate::store::{Store, StoreError};

/// Between two looks.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What is committed late was issued so long ago at the most.
const OVERLAP: Duration = Duration::from_mins(2);
/// More than that within the overlap, and everybody is woken.
const ROWS_MAX: i64 = 2_000;
/// Those who are this far behind are woken without a reason.
const KEPT: usize = 1_024;

/// What was seen by the last look.
#[derive(Debug, Default)]
struct Seen {
    looked: Option<(Instant, Timestamp)>,
    orders: HashSet<OrderId>,
}

/// Shared by all who wait at this replica.
#[derive(Debug)]
pub(in crate::api) struct BundleWatch {
    issued: broadcast::Sender<IssuedLately>,
    seen: Mutex<Seen>,
}

impl Default for BundleWatch {
    fn default() -> Self {
        Self { issued: broadcast::channel(KEPT).0, seen: Mutex::default() }
    }
}

impl BundleWatch {
    /// To be called before the first question, so that nothing falls in between.
    pub(super) fn listen(&self) -> broadcast::Receiver<IssuedLately> {
        self.issued.subscribe()
    }

    /// Looks, if nobody has within [`LOOK_EVERY`], and tells all who listen.
    pub(super) async fn look(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        // Whoever looks, looks for all: the others need not wait for it.
        let Ok(mut seen) = self.seen.try_lock() else { return Ok(()) };
        if seen.looked.is_some_and(|(looked, _)| looked.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        // Since the last look, however far the clock has come meanwhile.
        let since = seen.looked.map_or(now, |(_, at)| at.min(now)).before(OVERLAP);
        let issued = bundles::issued_after(store, since, ROWS_MAX).await?;
        let orders = issued.iter().map(|one| one.order).collect();
        let before = std::mem::replace(&mut seen.orders, orders);
        seen.looked = Some((Instant::now(), now));
        for one in issued.into_iter().filter(|one| !before.contains(&one.order)) {
            // Nobody listens: nobody waits.
            let _ = self.issued.send(one);
        }
        Ok(())
    }
}
