//! Proof by TXT records, put together from the configuration: providers, name servers, our own zone.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use issuance::time::Clock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::challenge::dns01::authority::{Authority, OwnZone, Texts, TextsError};
use crate::challenge::dns01::{AUTHORITY, Providers, RecordName};
use crate::challenge::propagation::{Propagation, PropagationConfig};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::records::Records;
use crate::store::{Store, dns_delegations};

use super::AppError;
use super::lookout::{address_policy, resolver};

/// What writes to name servers, and what looks at them.
pub(super) struct Parts {
    pub(super) providers: Providers,
    pub(super) propagation: Propagation,
}

pub(super) fn parts(config: &Config, clock: &Arc<dyn Clock>) -> Result<Parts, AppError> {
    // What another machine checks against its own clock is signed by this one's.
    let machine: Arc<dyn Clock> = Arc::new(SystemClock);
    let providers = Providers::new(&config.dns01, &config.authority, Arc::clone(clock), &machine)?;
    Ok(Parts { providers, propagation: propagation(config)? })
}

/// What looks at name servers.
pub(super) fn propagation(config: &Config) -> Result<Propagation, AppError> {
    let looks =
        PropagationConfig { port: config.resolver.authority_port.get(), ..PropagationConfig::default() };
    let policy = Arc::new(address_policy(config)?);
    Ok(Propagation::new(&looks, Arc::new(resolver(config)?), policy))
}

pub(super) fn records(config: &Config, store: &Store, clock: &Arc<dyn Clock>) -> Result<Records, AppError> {
    let Parts { providers, propagation } = parts(config, clock)?;
    Ok(Records::new(store.clone(), providers, propagation, Arc::clone(clock), config.dns01.pace()))
}

/// Serves our own zone, where there is one.
pub(super) async fn serve_authority(
    config: &Config,
    store: &Store,
    edge: &TaskTracker,
    stop: &CancellationToken,
) -> Result<Option<SocketAddr>, AppError> {
    let Some(zone) = OwnZone::of(&config.authority)? else { return Ok(None) };
    let texts = Arc::new(StoredTexts { store: store.clone(), apex: zone.apex().clone() });
    let listen = config.authority.listen;
    let authority = Authority::bind(listen, zone, texts).await.map_err(|source| AppError::Listen {
        what: "authority",
        listen,
        source,
    })?;
    let address = authority.address();
    edge.spawn(authority.serve(stop.clone()));
    Ok(Some(address))
}

/// What our own zone says, out of the store: the same on every replica, the moment it is committed.
struct StoredTexts {
    store: Store,
    apex: RecordName,
}

impl Texts for StoredTexts {
    fn texts<'a>(&'a self, owner: &'a RecordName) -> BoxFuture<'a, Result<Option<Vec<String>>, TextsError>> {
        async move {
            let label = owner.labels_below(&self.apex).unwrap_or_default();
            dns_delegations::texts(&self.store, AUTHORITY, owner.as_str(), label)
                .await
                .map_err(TextsError::new)
        }
        .boxed()
    }
}
