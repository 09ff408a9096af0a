//! Proof by TXT records, put together from the configuration: providers, name servers, our own zone.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use issuance::time::Clock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::challenge::dns01::authoritative::Authorities;
use crate::challenge::dns01::authority::{Authority, OwnZone, Texts, TextsError};
use crate::challenge::dns01::{AUTHORITY, Delegations, EveryServer, Providers, RecordName, Watch};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::records::{RecordSettings, Records};
use crate::store::{Store, dns_delegations};

use super::AppError;
use super::lookout::{address_policy, resolver};

/// What looks at name servers, and what writes to them.
pub(super) struct Parts {
    pub(super) providers: Providers,
    pub(super) delegations: Delegations,
    pub(super) watch: Arc<dyn Watch>,
}

pub(super) fn parts(config: &Config, clock: &Arc<dyn Clock>) -> Result<Parts, AppError> {
    // What another machine checks against its own clock is signed by this one's.
    let machine: Arc<dyn Clock> = Arc::new(SystemClock);
    let providers = Providers::new(&config.dns01, &config.authority, Arc::clone(clock), &machine)?;
    let resolver = resolver(config)?;
    let port = config.dns01.port.get();
    let authorities = Arc::new(Authorities::new(Arc::new(resolver), address_policy(config)?, port));
    let watch = Arc::new(EveryServer::new(Arc::clone(&authorities)));
    Ok(Parts { providers, delegations: Delegations::new(authorities), watch })
}

pub(super) fn records(config: &Config, store: &Store, clock: &Arc<dyn Clock>) -> Result<Records, AppError> {
    let Parts { providers, delegations, watch } = parts(config, clock)?;
    let settings = RecordSettings {
        rounds_apart: config.dns01.rounds_apart(),
        propagation_timeout: config.dns01.propagation_timeout(),
    };
    Ok(Records::new(store.clone(), providers, delegations, watch, Arc::clone(clock), settings))
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
