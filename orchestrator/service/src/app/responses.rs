//! The responder's board and the database: what is asked for, what replicas tell each other, and the whole of it from
//! time to time.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use issuance::ids::OrderId;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::challenge::http01::{Announcer, Board, Presented, Responses, ResponsesError};
use crate::store::responses::StoredResponse;
use crate::store::{Store, StoreError};

/// Between two tries to reach a database that is away.
const AWAY_WAIT: Duration = Duration::from_millis(500);
/// Between two notices: what is committed meanwhile goes into one.
const NOTICE_PAUSE: Duration = Duration::from_millis(20);
/// Between two readings of the whole. They make up for notices that were lost, and forget what has ended.
const READ_EVERY: Duration = Duration::from_secs(30);
/// More challenges are not open at once at any CA; if they are, the others are looked up when they are asked for.
const RESPONSES_MAX: u32 = 100_000;

#[derive(Debug)]
pub(super) struct StoredResponses(pub(super) Store);

impl Responses for StoredResponses {
    fn look_up(&self, tokens: Vec<String>) -> BoxFuture<'_, Result<Vec<Presented>, ResponsesError>> {
        async move {
            match self.0.responses_to(&tokens).await {
                Ok(found) => Ok(presented(found)),
                // A CA asks once, and waits about ten seconds: a database that restarts is back by then. The
                // responder ends this when its own time is up.
                Err(away) if away.is_unavailable() => Err(ResponsesError::away(away)),
                Err(refused) => Err(ResponsesError::refused(refused)),
            }
        }
        .boxed()
    }
}

fn presented(found: Vec<StoredResponse>) -> Vec<Presented> {
    let presented = found.into_iter().map(|one| Presented {
        order: one.order,
        token: one.token.into(),
        key_authorization: one.key_authorization.into(),
    });
    presented.collect()
}

/// Tells the other replicas of what this one has committed.
pub(super) async fn tell(announcer: Announcer, store: Store, stop: CancellationToken) {
    let telling = async {
        let mut untold: HashSet<OrderId> = HashSet::new();
        loop {
            if untold.is_empty() {
                untold.extend(announcer.next().await);
            }
            let orders: Vec<_> = untold.iter().copied().collect();
            match store.announce_responses(&orders).await {
                Ok(()) => {
                    untold.clear();
                    sleep(NOTICE_PAUSE).await;
                }
                Err(error) => {
                    // They find it when they are asked.
                    debug!(error = &error as &dyn std::error::Error, "Other replicas are not told yet");
                    sleep(AWAY_WAIT).await;
                }
            }
        }
    };
    stop.run_until_cancelled(telling).await;
}

/// Keeps the board as the ledger is.
pub(super) async fn keep(board: Arc<Board>, store: Store, stop: CancellationToken) {
    let keeping = async {
        let mut told = false;
        loop {
            let Err(error) = follow(&board, &store, &mut told).await else { continue };
            if !told {
                told = true;
                warn!(
                    event = "responder.deaf",
                    error = &error as &dyn std::error::Error,
                    "Responder does not hear of new responses; it answers the ones it knows, and looks up others"
                );
            }
            sleep(AWAY_WAIT).await;
        }
    };
    stop.run_until_cancelled(keeping).await;
}

/// Until the connection over which notices come is lost.
async fn follow(board: &Board, store: &Store, told: &mut bool) -> Result<(), StoreError> {
    // Before the reading, so that nothing falls between the two.
    let mut notices = store.listen_for_responses().await?;
    let mut ticks = interval(READ_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // The first is there at once.
            _ = ticks.tick() => {
                board.replace(&presented(store.responses(RESPONSES_MAX).await?));
                *told = false;
            }
            notice = notices.next() => match notice? {
                Some(orders) => board.post(&presented(store.responses_of(&orders).await?)),
                None => return Ok(()),
            },
        }
    }
}
