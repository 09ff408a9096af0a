//! The log of fetches, from the responder into the database: a batch at a time, when there is time.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::challenge::http01::{FETCHES_PER_ORDER_MAX, Fetch};
use crate::store::Store;
use crate::store::fetches::{FetchEntry, FetchFacts};

const BATCH_MAX: usize = 256;
/// Between two batches. A few requests for one order come together.
const PAUSE: Duration = Duration::from_millis(500);

/// Writes until the responder has ended and everything is written.
pub(super) async fn write(mut fetched: mpsc::Receiver<Fetch>, store: Store, stop: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while fetched.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let entries: Vec<_> = batch.drain(..).map(entry).collect();
        while let Err(error) = store.record_fetches(&entries, FETCHES_PER_ORDER_MAX).await {
            // A service that stops waits for no database.
            if !error.is_unavailable() || stop.is_cancelled() {
                warn!(
                    event = "fetches.not_noted",
                    fetches = entries.len(),
                    error = &error as &dyn std::error::Error,
                    "Who has fetched responses is not written down"
                );
                break;
            }
            stop.run_until_cancelled(sleep(PAUSE)).await;
        }
        stop.run_until_cancelled(sleep(PAUSE)).await;
    }
}

fn entry(fetch: Fetch) -> FetchEntry {
    FetchEntry::new(FetchFacts {
        order: fetch.order,
        token: fetch.token.into(),
        at: fetch.at,
        source: fetch.source.to_string(),
        method: fetch.method,
        host: fetch.host.map(String::from),
        user_agent: fetch.user_agent.map(String::from),
        status: fetch.status,
        own: fetch.own,
    })
}
