//! The responder's answers out of the store: the same on every replica, the moment they are committed.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::challenge::http01::{Responses, ResponsesError};
use crate::store::Store;

/// Between two tries to reach a database that is away.
const AWAY_WAIT: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct StoredResponses(pub(super) Store);

impl Responses for StoredResponses {
    fn key_authorization<'a>(
        &'a self,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, ResponsesError>> {
        async move {
            loop {
                match self.0.key_authorization(token).await {
                    // A CA asks once, and waits about ten seconds: a database that restarts is back by then. The
                    // responder ends this when its own time is up.
                    Err(away) if away.is_unavailable() => tokio::time::sleep(AWAY_WAIT).await,
                    answer => return answer.map_err(ResponsesError::new),
                }
            }
        }
        .boxed()
    }
}
