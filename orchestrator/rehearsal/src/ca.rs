//! Starting and stopping a rehearsal CA.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_resolver::net::NetError;
use issuance::identifier::Hostname;
use issuance::limit::LimitName;
use issuance::time::{Clock, Timestamp};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::activity::Activity;
use crate::audit::{Audit, AuthorizationRecord, CertificateRecord, Filter, OrderRecord};
use crate::chance::Chance;
use crate::clock::{RealClock, SkewedClock};
use crate::endpoint::{Endpoint, Traffic};
use crate::faults::{Effect, FaultReport, Faults, Plan, PlanError, Release, Target};
use crate::http01::Web;
use crate::issuer::{Issuer, IssuerError, ServerIdentity};
use crate::limits::{History, HistoryError, LimitOverride, LimitReport, LimitUsage, OverrideError, Owner};
use crate::load_balancer::LoadBalancer;
use crate::nonce::Nonces;
use crate::resolver::DnsView;
pub use crate::rules::CaRules;
use crate::server;
use crate::state::State;
use crate::validation::{self, Validator};

/// The port HTTP-01 is validated on where nothing else is said; 80 needs privileges.
pub const DEFAULT_HTTP_PORT: u16 = 5_002;

/// What a rehearsal CA needs to start.
#[derive(Debug, Clone)]
pub struct CaConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// HTTPS with a certificate for `localhost`, `127.0.0.1` and `::1` below a root made at start.
    pub tls: bool,
    pub rules: CaRules,
    /// What goes wrong from the start; [`RehearsalCa::set_faults`] replaces it.
    pub faults: Plan,
    /// What happened before it started; [`RehearsalCa::remember`] adds to it.
    pub history: History,
    /// The resolver that validation asks. May be absent only if the rules say `always_valid`.
    pub dns: Option<SocketAddr>,
    /// The port on which HTTP-01 is validated, in place of 80.
    pub http_port: u16,
    /// The port that redirects to https lead to, in place of 443.
    pub https_port: u16,
    /// Two CAs with one seed draw the same tokens, shuffles, refusals and jitter.
    pub seed: u64,
    pub clock: Arc<dyn Clock>,
}

impl Default for CaConfig {
    /// Plain HTTP on a free loopback port, the `rehearsal` rules, the machine's clock, no resolver.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: false,
            rules: CaRules::default(),
            faults: Plan::default(),
            history: History::default(),
            dns: None,
            http_port: DEFAULT_HTTP_PORT,
            https_port: 443,
            seed: 0,
            clock: Arc::new(RealClock),
        }
    }
}

/// Why a rehearsal CA did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("could not listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("could not prepare the resolver {server}")]
    Resolver {
        server: SocketAddr,
        #[source]
        source: NetError,
    },
    #[error("no resolver to validate with: configure one, or rules that say always_valid")]
    NoResolver,
    #[error("the overrides make no sense")]
    Overrides(#[from] OverrideError),
    #[error("the history makes no sense")]
    History(#[from] HistoryError),
    #[error("the fault plan makes no sense")]
    Faults(#[from] PlanError),
    #[error("could not make the CA's keys and certificates")]
    Issuer(#[from] IssuerError),
    #[error("could not set up TLS")]
    Tls(#[from] rustls::Error),
}

/// A running rehearsal CA. Dropping it stops the server; [`RehearsalCa::stop`] also waits for it.
#[derive(Debug)]
pub struct RehearsalCa {
    ca: Arc<Ca>,
    tls_root_pem: Option<String>,
}

impl RehearsalCa {
    pub async fn start(config: CaConfig) -> Result<Self, StartError> {
        let now = config.clock.now();
        let dns = match config.dns {
            _ if config.rules.always_valid => None,
            Some(server) => {
                Some(DnsView::new(server).map_err(|source| StartError::Resolver { server, source })?)
            }
            None => return Err(StartError::NoResolver),
        };
        let listener = TcpListener::bind(config.listen).await;
        let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) =
            bound.map_err(|source| StartError::Listen { address: config.listen, source })?;
        let (tls, tls_root_pem) = if config.tls {
            let identity = ServerIdentity::new(now)?;
            (Some(acceptor(identity.chain, identity.key)?), Some(identity.root_pem))
        } else {
            (None, None)
        };
        let mut state = State::new(&config.rules, now);
        state.limits.set_overrides(config.rules.overrides.clone())?;
        state.remember(config.history, now)?;
        let ca = Arc::new(Ca {
            address,
            scheme: if tls.is_some() { "https" } else { "http" },
            state: Mutex::new(state),
            validator: Validator::new(dns, Web::new(config.http_port, config.https_port)?, &config.rules),
            load_balancer: LoadBalancer::new(&config.rules.request_rates),
            rules: config.rules,
            clock: SkewedClock::new(config.clock),
            faults: Faults::new(),
            chance: Chance::new(config.seed),
            nonces: Nonces::default(),
            traffic: Traffic::default(),
            issuer: Issuer::new(now)?,
            tasks: TaskTracker::new(),
            activity: Activity::default(),
            stop: CancellationToken::new(),
        });
        ca.set_faults(config.faults)?;
        ca.tasks.spawn(server::serve(Arc::clone(&ca), listener, tls));
        Ok(Self { ca, tls_root_pem })
    }

    pub fn directory_url(&self) -> String {
        format!("{}://{}/directory", self.ca.scheme, self.ca.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.ca.address
    }

    /// The root that issued chains verify against.
    pub fn root_pem(&self) -> &str {
        self.ca.issuer.root_pem()
    }

    /// The root that alternate chains verify against.
    pub fn alternate_root_pem(&self) -> &str {
        self.ca.issuer.alternate_root_pem()
    }

    /// The root that the CA's own endpoint verifies against; `None` without TLS.
    pub fn tls_root_pem(&self) -> Option<&str> {
        self.tls_root_pem.as_deref()
    }

    /// What `GET /audit` says.
    pub fn audit(&self) -> Audit {
        self.ca.audit()
    }

    /// What `GET /audit/authorizations?status=` says; without a status, all of them.
    pub fn authorizations(&self, status: Option<&str>) -> Vec<AuthorizationRecord> {
        self.ca.authorization_records(&Filter { status: status.map(str::to_owned) })
    }

    /// What `GET /audit/orders?status=` says; without a status, all of them.
    pub fn orders(&self, status: Option<&str>) -> Vec<OrderRecord> {
        self.ca.order_records(status)
    }

    /// Every certificate ever signed.
    pub fn certificates(&self) -> Vec<CertificateRecord> {
        self.ca.certificate_records()
    }

    /// What `PUT /faults` does: these faults and no others from now on.
    pub fn set_faults(&self, plan: Plan) -> Result<(), PlanError> {
        self.ca.set_faults(plan)
    }

    /// What `GET /faults` says.
    pub fn faults(&self) -> FaultReport {
        self.ca.fault_report()
    }

    /// Returns when at least so many requests, answers and validations are held.
    pub async fn holding(&self, count: usize) {
        // Fails only if the sender is gone, and `self` holds it.
        drop(self.ca.faults.held().wait_for(|held| *held >= count).await);
    }

    /// Returns when no validation is under way: every submitted challenge has its verdict, or a fault keeps the
    /// verdict back until a time to come.
    pub async fn idle(&self) {
        self.ca.activity.no_validation().await;
    }

    /// Whether no request is being answered and no challenge looked at. What a fault holds or delays counts as being
    /// answered; a verdict that is kept back until a time to come, or an order that is `processing` until then, does
    /// not: nothing happens to it before the clock moves. A request that its client has sent and the CA has not read
    /// yet is not seen: who drives a clock must also know that no client waits.
    pub fn is_quiet(&self) -> bool {
        self.ca.activity.is_quiet()
    }

    /// Returns when [`RehearsalCa::is_quiet`].
    pub async fn quiet(&self) {
        self.ca.activity.quiet().await;
    }

    /// What `POST /incidents` does: these certificates, of any of these names or all that were issued so far, should be
    /// replaced at once, and `url` says why. Returns how many they are.
    pub fn declare_incident(&self, url: &str, names: &[Hostname]) -> usize {
        self.ca.declare_incident(url, names)
    }

    /// What `PUT /limits` does: these overrides and no others from now on.
    pub fn set_overrides(&self, overrides: Vec<LimitOverride>) -> Result<(), OverrideError> {
        self.ca.set_overrides(overrides)
    }

    /// What `POST /history` does: what is to have happened before.
    pub fn remember(&self, history: History) -> Result<(), HistoryError> {
        self.ca.remember(history)
    }

    /// What `GET /limits` says.
    pub fn limits(&self) -> LimitReport {
        self.ca.limit_report()
    }

    /// What one bucket would have given and what was taken from it, hour by hour since the start: of
    /// [`LimitName::NewOrdersPerAccount`] by account, or of [`LimitName::CertificatesPerRegisteredDomain`] by domain.
    /// `None` where nothing is limited.
    pub fn usage(&self, limit: LimitName, owner: &Owner) -> Option<LimitUsage> {
        self.ca.limit_usage(limit, owner)
    }

    /// Whose buckets of that limit anything was taken from.
    pub fn owners(&self, limit: LimitName) -> Vec<Owner> {
        self.ca.limit_owners(limit)
    }

    /// Serves in the foreground until `signal` comes, then stops as [`RehearsalCa::stop`] does.
    pub async fn serve_until(self, signal: impl Future<Output = ()>) {
        signal.await;
        self.stop().await;
    }

    /// Stops accepting, drops validations under way, and waits until every connection is closed.
    pub async fn stop(self) {
        self.ca.stop.cancel();
        self.ca.tasks.close();
        self.ca.tasks.wait().await;
    }
}

impl Drop for RehearsalCa {
    fn drop(&mut self) {
        self.ca.stop.cancel();
    }
}

fn acceptor(
    chain: Vec<rustls_pki_types::CertificateDer<'static>>,
    key: rustls_pki_types::PrivateKeyDer<'static>,
) -> Result<TlsAcceptor, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What every request sees.
#[derive(Debug)]
pub(crate) struct Ca {
    pub(crate) address: SocketAddr,
    pub(crate) scheme: &'static str,
    /// Held for table look-ups only: no signature is checked or made, and nothing awaited, under it.
    state: Mutex<State>,
    pub(crate) validator: Validator,
    pub(crate) rules: CaRules,
    pub(crate) clock: SkewedClock,
    pub(crate) faults: Faults,
    pub(crate) chance: Chance,
    pub(crate) nonces: Nonces,
    pub(crate) traffic: Traffic,
    pub(crate) load_balancer: LoadBalancer,
    pub(crate) issuer: Issuer,
    pub(crate) tasks: TaskTracker,
    pub(crate) activity: Activity,
    pub(crate) stop: CancellationToken,
}

impl Ca {
    /// The state as of now: verdicts that were kept back have been entered in it, and whatever expired meanwhile has
    /// expired.
    pub(crate) fn state(&self) -> (MutexGuard<'_, State>, Timestamp) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        while let Some((due_at, verdict)) = state.verdicts.take_due(now) {
            state.ledger.sweep(due_at);
            validation::conclude(&mut state, verdict, &self.rules, due_at);
        }
        state.ledger.sweep(now);
        (state, now)
    }

    pub(crate) fn set_faults(&self, plan: Plan) -> Result<(), PlanError> {
        plan.check()?;
        self.clock.set_skew_ms(plan.clock_skew_ms);
        let held = if plan.drop_held { Release::Drop } else { Release::Go };
        self.faults.replace(plan.faults, held, self.clock.now());
        Ok(())
    }

    /// The fault that strikes here, of those that apply.
    pub(crate) fn draw(
        &self,
        endpoint: Endpoint,
        peer: Option<IpAddr>,
        applies: impl Fn(&Effect) -> bool,
    ) -> Option<Effect> {
        let target = Target { endpoint, peer, now: self.clock.now() };
        self.faults.draw(target, &self.chance, applies)
    }

    /// Real time; a CA that is stopped waits no longer.
    pub(crate) async fn wait(&self, delay: Duration) {
        tokio::select! {
            () = tokio::time::sleep(delay) => (),
            () = self.stop.cancelled() => (),
        }
    }

    /// Until the faults are replaced; a CA that is stopped holds nothing.
    pub(crate) async fn hold(&self) -> Release {
        tokio::select! {
            release = self.faults.hold() => release,
            () = self.stop.cancelled() => Release::Go,
        }
    }
}
