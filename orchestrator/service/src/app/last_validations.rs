//! The validations that are under way when the service stops: the CA still comes and asks for their responses.

use std::time::Duration;

use issuance::time::Clock;
use tracing::{info, warn};

use crate::store::authorizations_view::{self, AuthorizationFilter};
use crate::store::page::{LIMIT_MAX, Page};
use crate::store::viewer::Viewer;
use crate::store::{Store, StoreError};

/// How long after its submission a response is kept served. Boulder gives each of its perspectives ten seconds,
/// and begins at once.
const SERVED_FOR: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Returns when no challenge that was submitted within the last [`SERVED_FOR`] awaits its outcome, and after that
/// time at the latest. A name whose response vanished meanwhile would fail at the CA, and rest for nothing.
pub(super) async fn wait_for_them(store: &Store, clock: &dyn Clock) {
    let waiting = async {
        let mut told = false;
        loop {
            match under_way(store, clock).await {
                Ok(0) => return,
                Ok(validations) if !told => {
                    info!(
                        event = "stop.awaits_validations",
                        validations, "The CA may still ask for {validations} responses; they are served on"
                    );
                    told = true;
                }
                Ok(_) => {}
                Err(error) => {
                    warn!(
                        event = "stop.validations_unknown",
                        error = &error as &dyn std::error::Error,
                        "What the CA may still ask for is unknown; nothing is waited for"
                    );
                    return;
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    // The clock may be a test's, and stand still.
    if tokio::time::timeout(SERVED_FOR, waiting).await.is_err() {
        info!(event = "stop.validations_over", "The CA has had its time");
    }
}

async fn under_way(store: &Store, clock: &dyn Clock) -> Result<usize, StoreError> {
    let submitted =
        AuthorizationFilter { open: Some(false), status: Some("pending"), ..AuthorizationFilter::default() };
    // One page is far more than is under way at once.
    let page = Page::new(Some(LIMIT_MAX), None, "").expect("the largest page, from the start");
    let listing = authorizations_view::list(store, Viewer::Operator, &submitted, &page).await?;
    let since = clock.now().before(SERVED_FOR);
    let recent = listing.data.iter().filter(|one| one.submitted_at.is_some_and(|at| at > since));
    Ok(recent.count())
}
