//! The service put together: which part gets what, in which order they start and stop.

mod bases;
mod ca_link;
mod edge;
mod error;
mod fetches;
mod identity;
mod last_validations;
mod lookout;
pub mod record_trial;
mod records;
mod responses;
pub mod standing_record;
mod traces;
mod vitals;
mod webhooks;
pub mod zone_trials;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use issuance::profile::CaProfile;
use issuance::time::Clock;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::acme::Transport;
use crate::api::users::SignInRules;
use crate::api::{ApiState, ThrottleSettings};
use crate::challenge::http01::{Announcer, Board};
use crate::challenge::preflight::Preflight;
use crate::challenge::probe::ProbeSecret;
use crate::clock::Pace;
use crate::cluster::PrivateCluster;
use crate::config::{Config, Role, ca_profile};
use crate::engine::{Engine, EngineParts, EngineSettings};
use crate::intake::Intake;
use crate::keys::{KeyKind, MasterKey, Sealer};
use crate::oidc::Oidc;
use crate::reconcile::{Lookout, ReconcileParts, ReconcileSettings, Reconcilers};
use crate::records::Records;
use crate::store::Store;
use crate::telemetry::traces::Tracer;
use crate::telemetry::{Exposition, MetricsServer, Readiness, ReadinessGate, readiness};
use crate::webhooks::Deliveries;

use self::bases::{Bases, wait_for_database};
use self::ca_link::{CaLink, timeouts};
use self::edge::Edge;
pub use self::error::AppError;
use self::identity::Identity;
pub use self::identity::IdentityError;
use self::traces::Tracing;

/// Provers per CA permit: a look at a slow site takes far longer than a request to the CA.
const PROVING_PER_PERMIT: u16 = 4;

/// What a service is started with.
#[derive(Debug)]
pub struct Launch {
    pub config: Config,
    pub clock: Arc<dyn Clock>,
    pub pace: Pace,
    /// In place of the CA profile that the configuration names.
    pub profile: Option<CaProfile>,
    /// Where `/metrics` reads; `None` serves none (a test with several services in one process).
    pub exposition: Option<Exposition>,
    /// In place of the ordinary connections to the CA.
    pub transport: Option<Arc<dyn Transport>>,
}

/// Where a running service listens; also written to `endpoints.json` in its data folder, for scripts that let
/// it choose its ports.
#[derive(Debug, Clone, Serialize)]
pub struct Endpoints {
    pub pid: u32,
    pub api: Option<SocketAddr>,
    pub metrics: Option<SocketAddr>,
    pub responder: Option<SocketAddr>,
    /// The name server of our own zone.
    pub authority: Option<SocketAddr>,
}

/// A running service.
#[derive(Debug)]
pub struct App {
    pub endpoints: Endpoints,
    pub store: Store,
    /// Rung by whoever has made orders due.
    pub wake: Arc<Notify>,
    /// What the responder knows, where there is one.
    pub board: Option<Arc<Board>>,
    clock: Arc<dyn Clock>,
    gate: ReadinessGate,
    workers: Option<JoinHandle<Option<Workers>>>,
    deliveries: Option<Deliveries>,
    linking: CancellationToken,
    edge: TaskTracker,
    edge_stop: CancellationToken,
    cluster: Option<PrivateCluster>,
    tracing: Option<Tracing>,
    _identity: Identity,
}

impl App {
    /// Starts everything the configuration's roles ask for, and returns once the service listens. The CA may
    /// still be out of reach then; the engine starts when it answers.
    ///
    /// Boxed, so that all of it is compiled here once, and not again in each binary that starts one.
    pub fn start(launch: Launch) -> BoxFuture<'static, Result<Self, AppError>> {
        Box::pin(Self::set_up(launch))
    }

    async fn set_up(launch: Launch) -> Result<Self, AppError> {
        let Launch { config, clock, pace, profile, exposition, transport } = launch;
        let profile = match profile {
            Some(profile) => Arc::new(profile),
            None => Arc::new(ca_profile::load(&config.ca.profile)?),
        };
        let identity = Identity::take(&config.data.folder)?;
        let cluster = match &config.database.url {
            Some(_) => None,
            None => Some(PrivateCluster::start(&config.data.folder).await?),
        };
        let url = match (&config.database.url, &cluster) {
            (Some(url), _) => url.expose().to_owned(),
            (None, Some(cluster)) => cluster.url(),
            (None, None) => return Err(AppError::NoDatabase),
        };
        let store = Store::open(&url, config.database.connections.get())?;
        wait_for_database(&store).await;
        let master = MasterKey::load_or_create(&config.data.master_key_path())?;
        let sealer = Arc::new(Sealer::new(&master));
        let secret = ProbeSecret::new(*master.derive("http-01 probes"));
        let bases =
            Bases { config: &config, profile: &profile, store: &store, sealer: &sealer, clock: &clock };
        let link = bases.lay_while_away(identity.replica, transport).await?;

        let (wake, bell) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (edge, edge_stop) = (TaskTracker::new(), CancellationToken::new());
        let (gate, watch) = readiness();
        vitals::register();
        edge.spawn(vitals::watch_connections(store.clone(), edge_stop.clone()));
        let metrics = match exposition {
            Some(exposition) => {
                let server = MetricsServer::bind(config.metrics.listen, exposition, watch).await?;
                let address = server.address();
                let stop = edge_stop.clone();
                edge.spawn(async move {
                    if let Err(error) = server.serve(stop).await {
                        warn!(
                            event = "metrics.closed",
                            error = &error as &dyn std::error::Error,
                            "Metrics are no longer served"
                        );
                    }
                });
                Some(address)
            }
            None => None,
        };
        let (tracer, tracing) = traces::start(&config, &store, &clock, identity.replica)?;
        let plays = |role| config.worker.roles.contains(role);
        let at_the_edge = Edge { tasks: &edge, stop: &edge_stop };
        let (responder, board) = if plays(Role::Responder) {
            let (address, board) =
                at_the_edge.serve_responder(&config, &store, secret.clone(), &clock).await?;
            (Some(address), Some(board))
        } else {
            (None, None)
        };
        let authority = if plays(Role::Responder) {
            records::serve_authority(&config, &store, &edge, &edge_stop).await?
        } else {
            None
        };
        let import_bell = Arc::new(Notify::new());
        if plays(Role::Api) || plays(Role::Worker) {
            let intake = Intake {
                store: store.clone(),
                clock: Arc::clone(&clock),
                pace: pace.clone(),
                replica: identity.replica,
                bell: Arc::clone(&import_bell),
                wake: Arc::clone(&wake),
            };
            edge.spawn(intake.run(config.reconcile.interval(), edge_stop.clone()));
        }
        let api = if plays(Role::Api) {
            let state = ApiState::new(
                store.clone(),
                Arc::clone(&clock),
                Arc::clone(&profile),
                link.record.account,
                Arc::clone(&wake),
                Arc::clone(&sealer),
            );
            let mut state = state.with_own_zone(config.authority.zone.clone(), config.authority.registration);
            state.look = Arc::clone(&bell);
            state.tracer = tracer.clone();
            state.import_bell = import_bell;
            state.publish = config.addresses.publish();
            state.receivers = webhooks::receivers(&config)?;
            state.trusted_proxies = config.api.trusted_proxies.clone().into();
            let oidc = Oidc::new(&config.oidc, Arc::clone(&sealer))?.map(Arc::new);
            state.sign_in = SignInRules {
                provider: oidc.is_some(),
                keep_password_owner: config.oidc.keep_password_owner,
            };
            let state = state.with_throttle(ThrottleSettings {
                requests: NonZeroU32::new(config.api.requests_per_minute),
                failed_authentications: NonZeroU32::new(config.api.failed_authentications_per_minute),
            });
            Some(at_the_edge.serve_api(&config, state, oidc).await?)
        } else {
            None
        };
        let deliveries = if plays(Role::Worker) {
            Some(webhooks::start(&config, &store, &sealer, &clock, &pace, identity.replica)?)
        } else {
            None
        };
        let linking = CancellationToken::new();
        let workers = if plays(Role::Worker) {
            let preflight = lookout::preflight(&config, secret, &link.record.key_thumbprint)?;
            let records = Arc::new(records::records(&config, &store, &clock)?);
            let clock = Arc::clone(&clock);
            let announcer = Announcer::new(board.clone());
            edge.spawn(responses::tell(announcer.clone(), store.clone(), edge_stop.clone()));
            let wake = Arc::clone(&wake);
            let parts = Parts {
                store: store.clone(),
                records,
                profile,
                sealer,
                clock,
                pace,
                wake,
                announcer,
                tracer,
            };
            Some(start_workers(&config, parts, preflight, bell, link, &identity, linking.clone()))
        } else {
            None
        };
        let endpoints = Endpoints { pid: std::process::id(), api, metrics, responder, authority };
        publish(&config, &endpoints)?;
        vitals::runs(Role::Api, api.is_some());
        vitals::runs(Role::Responder, responder.is_some());
        gate.set(Readiness::Ready);
        info!(event = "service.started", ?endpoints, "Service started");
        Ok(Self {
            endpoints,
            store,
            wake,
            board,
            clock,
            gate,
            workers,
            deliveries,
            linking,
            edge,
            edge_stop,
            cluster,
            tracing,
            _identity: identity,
        })
    }

    /// Stops in order: no more work is sent here, what is under way comes to a safe point, the CA gets the responses
    /// it may still ask for, the edge closes, and the private database, which everybody else needs, goes last.
    pub fn stop(self) -> BoxFuture<'static, Result<(), AppError>> {
        Box::pin(self.wind_down())
    }

    async fn wind_down(self) -> Result<(), AppError> {
        self.gate.set(Readiness::NotReady("stopping"));
        self.linking.cancel();
        if let Some(workers) = self.workers
            && let Ok(Some(workers)) = workers.await
        {
            vitals::runs(Role::Worker, false);
            workers.reconcilers.stop().await;
            workers.engine.stop().await;
        }
        if let Some(deliveries) = self.deliveries {
            deliveries.stop().await;
        }
        if self.endpoints.responder.is_some() {
            last_validations::wait_for_them(&self.store, &*self.clock).await;
        }
        self.edge_stop.cancel();
        self.edge.close();
        self.edge.wait().await;
        if let Some(tracing) = self.tracing {
            tracing.stop().await;
        }
        self.store.close().await;
        if let Some(cluster) = self.cluster {
            cluster.stop().await?;
        }
        Ok(())
    }
}

/// Who works on orders, and who looks after them.
#[derive(Debug)]
struct Workers {
    engine: Engine,
    reconcilers: Reconcilers,
}

/// What the workers share with the rest.
struct Parts {
    store: Store,
    records: Arc<Records>,
    profile: Arc<CaProfile>,
    sealer: Arc<Sealer>,
    clock: Arc<dyn Clock>,
    pace: Pace,
    wake: Arc<Notify>,
    announcer: Announcer,
    tracer: Tracer,
}

fn start_workers(
    config: &Config,
    parts: Parts,
    preflight: Option<Preflight>,
    bell: Arc<Notify>,
    link: CaLink,
    identity: &Identity,
    stop: CancellationToken,
) -> JoinHandle<Option<Workers>> {
    let permits = config.worker.permits.get();
    let timeouts = timeouts(config.worker.lease());
    let settings = EngineSettings {
        permits,
        proving: permits.saturating_mul(PROVING_PER_PERMIT),
        lease: config.worker.lease(),
        request_timeout: timeouts.new_order.max(timeouts.finalize).max(timeouts.other),
        drain: config.worker.drain(),
        poll_interval: config.worker.poll_interval(),
        key_kind: KeyKind::EcdsaP256,
        sampled_per_thousand: config.http01.sampled_per_thousand,
    };
    let reconciling = ReconcileSettings {
        interval: config.reconcile.interval(),
        audit_interval: config.reconcile.audit_interval(),
        audit_sample: config.reconcile.audit_sample.get(),
        renewal_interval: config.reconcile.renewal_interval(),
        renewals_max: config.reconcile.renewals_max.get(),
        renewal_polls_max: config.reconcile.renewal_polls_max.get(),
        evidence_interval: config.reconcile.evidence_interval(),
        looks_max: config.reconcile.looks_of_a_pass(),
    };
    let (replica, account_id) = (identity.replica, link.record.account);
    let certificate_profile = config.ca.certificate_profile.as_deref().map(Box::from);
    tokio::spawn(async move {
        let account = link.establish(&parts.store, &stop).await?;
        let looking_after = ReconcileParts {
            store: parts.store.clone(),
            account: Arc::clone(&account),
            account_id,
            profile: Arc::clone(&parts.profile),
            clock: Arc::clone(&parts.clock),
            pace: parts.pace.clone(),
            replica,
            lease: settings.lease,
            wake: Arc::clone(&parts.wake),
        };
        let preflight =
            preflight.map(|preflight| Arc::new(lookout::with_issuer(preflight, &account, &parts.profile)));
        let lookout = Lookout { preflight, bell };
        let parts = EngineParts {
            store: parts.store,
            account,
            account_id,
            preflight: lookout.preflight.clone(),
            records: Arc::clone(&parts.records),
            sealer: parts.sealer,
            profile: parts.profile,
            clock: parts.clock,
            pace: parts.pace,
            replica,
            certificate_profile,
            wake: parts.wake,
            announcer: parts.announcer,
            tracer: parts.tracer,
        };
        let records = Arc::clone(&parts.records);
        let reconcilers = Reconcilers::start(&looking_after, records, reconciling, lookout);
        vitals::runs(Role::Worker, true);
        Some(Workers { engine: Engine::start(parts, settings), reconcilers })
    })
}

fn publish(config: &Config, endpoints: &Endpoints) -> Result<(), AppError> {
    let path = config.data.folder.join("endpoints.json");
    let text = serde_json::to_string(endpoints).map_err(AppError::Endpoints)?;
    identity::write(&path, &text).map_err(|source| AppError::File { path, source })
}
