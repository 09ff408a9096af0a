//! The outbox, as the configuration wants it.

use std::sync::Arc;
use std::time::Duration;

use issuance::time::Clock;

use crate::challenge::address::AddressPolicy;
use crate::clock::Pace;
use crate::config::Config;
use crate::keys::Sealer;
use crate::store::Store;
use crate::store::leases::Replica;
use crate::webhooks::{Deliveries, DeliveryParts, DeliverySettings, Receivers, Sender, Vault};

use super::{AppError, lookout};

/// Nobody waits for a webhook as an order waits for its worker.
const LOOK_MIN: Duration = Duration::from_millis(250);
/// An attempt takes no longer, whatever the rest of the service is given.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// Where webhooks may lead.
pub(super) fn receivers(config: &Config) -> Result<Receivers, AppError> {
    Ok(Receivers::new(Arc::new(address_policy(config)?)))
}

fn address_policy(config: &Config) -> Result<AddressPolicy, AppError> {
    Ok(AddressPolicy { allowed: lookout::blocks(&config.webhooks.allow)?, expected: Vec::new() })
}

/// Starts what hands events to webhooks. It needs no CA.
pub(super) fn start(
    config: &Config,
    store: &Store,
    sealer: &Arc<Sealer>,
    clock: &Arc<dyn Clock>,
    pace: &Pace,
    replica: Replica,
) -> Result<Deliveries, AppError> {
    let root = config.webhooks.extra_root.as_ref().map(|path| {
        std::fs::read_to_string(path).map_err(|source| AppError::File { path: path.clone(), source })
    });
    let root = root.transpose()?;
    let (resolver, policy) = (Arc::new(lookout::resolver(config)?), Arc::new(address_policy(config)?));
    let parts = DeliveryParts {
        store: store.clone(),
        sender: Arc::new(Sender::new(resolver, policy, root.as_deref())?),
        vault: Vault::new(Arc::clone(sealer)),
        clock: Arc::clone(clock),
        pace: pace.clone(),
        replica,
    };
    let settings = DeliverySettings {
        at_once: config.webhooks.at_once.get(),
        poll_interval: config.worker.poll_interval().max(LOOK_MIN),
        drain: config.worker.drain().min(DRAIN_MAX),
    };
    Ok(Deliveries::start(parts, settings))
}
