//! What is read and written in the database before anything else.

use std::sync::Arc;
use std::time::Duration;

use issuance::profile::CaProfile;
use issuance::time::Clock;
use tracing::warn;

use crate::acme::Transport;
use crate::config::Config;
use crate::keys::Sealer;
use crate::store::leases::Replica;
use crate::store::{Store, api_keys};

use super::AppError;
use super::ca_link::CaLink;

/// Between two tries to reach a database that does not answer yet.
const DATABASE_WAIT: Duration = Duration::from_millis(500);

pub(super) async fn wait_for_database(store: &Store) {
    while let Err(error) = store.reach().await {
        warn!(
            event = "database.awaited",
            error = &error as &dyn std::error::Error,
            "The database does not answer yet; asking again"
        );
        tokio::time::sleep(DATABASE_WAIT).await;
    }
}

/// What is read and written in the database before anything else.
pub(super) struct Bases<'a> {
    pub(super) config: &'a Config,
    pub(super) profile: &'a Arc<CaProfile>,
    pub(super) store: &'a Store,
    pub(super) sealer: &'a Sealer,
    pub(super) clock: &'a Arc<dyn Clock>,
}

impl Bases<'_> {
    /// Tries again where the database goes away in between; all of it may be done twice.
    pub(super) async fn lay_while_away(
        &self,
        replica: Replica,
        transport: Option<Arc<dyn Transport>>,
    ) -> Result<CaLink, AppError> {
        loop {
            match self.lay(replica, transport.clone()).await {
                Err(away) if away.is_database_away() => {
                    warn!(
                        event = "database.went_away",
                        error = &away as &dyn std::error::Error,
                        "The database went away; asking again"
                    );
                    tokio::time::sleep(DATABASE_WAIT).await;
                }
                laid => return laid,
            }
        }
    }

    async fn lay(&self, replica: Replica, transport: Option<Arc<dyn Transport>>) -> Result<CaLink, AppError> {
        let Self { config, profile, store, sealer, clock } = *self;
        store.migrate().await?;
        let taken_up = store.take_up_own_leases(replica, clock.now()).await?;
        if taken_up > 0 {
            warn!(
                event = "leases.taken_up",
                orders = taken_up,
                "The last run ended with {taken_up} orders in hand; they are taken up again"
            );
        }
        let link = CaLink::prepare(config, profile, store, sealer, clock, transport).await?;
        api_keys::ensure_operator(store, clock.now(), &config.data.folder).await?;
        Ok(link)
    }
}
