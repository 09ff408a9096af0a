//! A world: a fake fleet, a CA, a database, and services between them, all of its own and on loopback.

mod account;
mod ca;
pub(crate) mod order;
mod preflight;
mod sites;
mod truth;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use issuance::time::Clock;
use lockkeeper::acme::Transport;
use lockkeeper::api::imports::ImportReport;
use lockkeeper::app::{App, Launch};
use lockkeeper::cli::api_client::{ApiClient, operator_token};
use lockkeeper::clock::Pace;
use lockkeeper::config::{Config, ca_profile};
use lockkeeper::reconcile::ReconcileParts;
use lockkeeper::store::Store;
use lockkeeper::store::leases::Replica;
use lockkeeper::store::summary::{self, Summary};
use lockkeeper::store::viewer::Viewer;
use rehearsal::audit::Audit;
use rehearsal::fleet::{Fleet, FleetConfig, Site};
use rehearsal::rules::CaRules;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

pub use self::ca::{CaChoice, QUICK_PEBBLE, WorldCa};
pub use self::order::OrderSeen;
pub use self::sites::{csv, hostname, pairs};
pub use self::truth::Truth;
use crate::clock::LeapingClock;
use crate::database::Database;
use crate::fate::PlannedFate;
use crate::mortal_service::MortalService;
use crate::proxy::AcmeProxy;
use crate::service_process::ServiceProcess;
use crate::settings::{Settings, Surroundings};

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A wait shorter than this is left to pass by itself.
const LEAP_MIN: Duration = Duration::from_millis(500);

/// What a world is made of.
#[derive(Debug)]
pub struct Plan {
    pub sites: Vec<Site>,
    pub ca: CaChoice,
    pub settings: Settings,
    /// In place of a new database in the server named by `DATABASE_URL`.
    pub database_url: Option<String>,
    /// Whom CA and services ask about names, in place of the fleet.
    pub dns: Option<SocketAddr>,
    /// Whom the CA asks, where it sees another DNS than the services.
    pub ca_dns: Option<SocketAddr>,
    /// Authoritative name servers of the fleet; with none, its one DNS server plays all parts.
    pub name_servers: u8,
    /// The CA's profile as text, in place of the one that is shipped for its kind.
    pub profile: Option<String>,
}

impl Plan {
    /// The rehearsal CA with its own rules, and ordinary settings.
    pub fn new(sites: Vec<Site>) -> Self {
        let ca = CaChoice::Rehearsal(CaRules::default());
        Self {
            sites,
            ca,
            settings: Settings::default(),
            database_url: None,
            dns: None,
            ca_dns: None,
            name_servers: 0,
            profile: None,
        }
    }
}

#[derive(Debug)]
pub struct World {
    pub fleet: Fleet,
    pub ca: WorldCa,
    dns: SocketAddr,
    /// Rules services in this process and the rehearsal CA.
    pub clock: Arc<LeapingClock>,
    pub store: Store,
    pub settings: Settings,
    /// Child processes go by the machine's clock: nobody leaps beside them.
    keeps_time: AtomicBool,
    /// By the service's name.
    responders: Mutex<HashMap<String, SocketAddr>>,
    database: Option<Database>,
    pub database_url: String,
    profile: String,
    folder: TempDir,
}

impl World {
    /// Everything but services.
    pub async fn start(plan: Plan) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let clock = Arc::new(LeapingClock::default());
        let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let (sites, name_servers) = (plan.sites, plan.name_servers);
        let fleet = Fleet::start(FleetConfig { sites, name_servers, ..FleetConfig::new(nobody) }).await?;
        let dns = plan.dns.unwrap_or(fleet.dns_addr());
        let ports = (fleet.http_port(), plan.settings.https_port.unwrap_or(443));
        let ca = WorldCa::start(plan.ca, ports, plan.ca_dns.unwrap_or(dns), &clock, folder.path()).await?;
        let database = match plan.database_url {
            Some(_) => None,
            None => Some(Database::migrated().await?),
        };
        let database_url = plan.database_url.or_else(|| database.as_ref().map(|one| one.url.clone()));
        let database_url = database_url.context("one or the other")?;
        let store = Store::open(&database_url, 4)?;
        store.migrate().await?;
        let settings = plan.settings;
        let profile = match plan.profile {
            None => ca.profile().to_owned(),
            Some(text) => {
                let path = folder.path().join("ca-profile.toml");
                std::fs::write(&path, text)?;
                path.display().to_string()
            }
        };
        Ok(Self {
            fleet,
            ca,
            dns,
            clock,
            store,
            settings,
            keeps_time: AtomicBool::new(false),
            responders: Mutex::default(),
            database,
            database_url,
            profile,
            folder,
        })
    }

    /// The data folder of the service of that name.
    pub fn data_folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name).join("data")
    }

    fn configuration(
        &self,
        name: &str,
        settings: &Settings,
        responder: SocketAddr,
    ) -> anyhow::Result<PathBuf> {
        let surroundings = Surroundings {
            database_url: self.database_url.clone(),
            profile: self.profile.clone(),
            directory_url: self.ca.directory_url(),
            extra_root: self.ca.extra_root().map(Path::to_owned),
            dns: self.dns,
            http_port: self.fleet.http_port(),
            responder,
        };
        settings.write(&surroundings, &self.folder.path().join(name))
    }

    /// The address of that service's responder: chosen once, so that it is found again after a restart.
    fn responder(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let mut responders = self.responders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = responders.get(name) {
            return Ok(*address);
        }
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        responders.insert(name.to_owned(), address);
        Ok(address)
    }

    /// Starts a service in this process, and has the fleet's web servers forward challenges to it.
    pub async fn service(&self, name: &str) -> anyhow::Result<App> {
        self.service_through(name, None).await
    }

    /// The same, with a way to the CA of the test's own.
    pub async fn service_through(
        &self,
        name: &str,
        transport: Option<Arc<dyn Transport>>,
    ) -> anyhow::Result<App> {
        let responder = self.responder(name)?;
        self.fleet.set_responder(responder);
        self.launch(&self.configuration(name, &self.settings, responder)?, transport).await
    }

    /// Starts a service in this process that answers challenges for all others, and does nothing else.
    pub async fn responder_alone(&self, name: &str) -> anyhow::Result<App> {
        let responder = self.responder(name)?;
        self.fleet.set_responder(responder);
        let settings = Settings { roles: &["responder"], ..self.settings.clone() };
        self.launch(&self.configuration(name, &settings, responder)?, None).await
    }

    async fn launch(&self, config: &Path, transport: Option<Arc<dyn Transport>>) -> anyhow::Result<App> {
        Ok(App::start(self.launch_of(config, transport)?).await?)
    }

    fn launch_of(&self, config: &Path, transport: Option<Arc<dyn Transport>>) -> anyhow::Result<Launch> {
        let config = Config::load(Some(config), std::iter::empty())?;
        let clock: Arc<dyn Clock> = self.clock.clone();
        Ok(Launch { config, clock, pace: Pace::REAL, profile: None, exposition: None, transport })
    }

    /// Starts a service that takes imports and answers challenges, and leaves the orders to others.
    pub async fn front(&self, name: &str) -> anyhow::Result<App> {
        let responder = self.responder(name)?;
        self.fleet.set_responder(responder);
        let settings = Settings { roles: &["api", "responder"], ..self.settings.clone() };
        self.launch(&self.configuration(name, &settings, responder)?, None).await
    }

    /// Starts a worker that can die and stand still, on the data folder of that name.
    pub async fn replica(
        &self,
        name: &str,
        transport: Arc<dyn Transport>,
        fate: Arc<PlannedFate>,
    ) -> anyhow::Result<MortalService> {
        let settings = Settings { roles: &["worker"], ..self.settings.clone() };
        let config = self.configuration(name, &settings, self.responder(name)?)?;
        MortalService::start(self.launch_of(&config, Some(transport))?, fate).await
    }

    /// What seals the keys of all services of this world.
    pub fn master_key(&self) -> PathBuf {
        self.folder.path().join("master.key")
    }

    /// Starts a service as a process of its own; the fleet's web servers forward challenges to it if it plays that
    /// role.
    pub async fn process(&self, name: &str) -> anyhow::Result<ServiceProcess> {
        self.process_with_fate(name, "").await
    }

    /// The same, with what is to happen to it at which of its points.
    pub async fn process_with_fate(&self, name: &str, fate: &str) -> anyhow::Result<ServiceProcess> {
        self.keeps_time.store(true, Ordering::SeqCst);
        let responder = self.responder(name)?;
        if self.settings.roles.contains(&"responder") {
            self.fleet.set_responder(responder);
        }
        let config = self.configuration(name, &self.settings, responder)?;
        ServiceProcess::start_with_fate(&config, fate).await
    }

    /// Imports sites through a service that is a process.
    pub async fn import_by(
        &self,
        name: &str,
        process: &ServiceProcess,
        csv: String,
    ) -> anyhow::Result<ImportReport> {
        self.import(name, process.at.api, csv).await
    }

    /// A client of a service in this process, with the operator's token.
    pub fn client(&self, name: &str, app: &App) -> anyhow::Result<ApiClient> {
        let api = app.endpoints.api.context("it plays the role")?;
        let token = operator_token(&self.data_folder(name))?;
        Ok(ApiClient::new(&format!("http://{api}"), &token)?)
    }

    /// The file that the service of that name was started with.
    pub fn config_file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name).join("lockkeeper.toml")
    }

    async fn import(&self, name: &str, api: Option<SocketAddr>, csv: String) -> anyhow::Result<ImportReport> {
        let api = api.context("it plays the role")?;
        let token = operator_token(&self.data_folder(name))?;
        let api = ApiClient::new(&format!("http://{api}"), &token)?;
        Ok(api.post_csv("/v1/imports", csv.into()).await?)
    }

    /// Imports sites through a service in this process.
    pub async fn import_into(&self, name: &str, app: &App, csv: String) -> anyhow::Result<ImportReport> {
        self.import(name, app.endpoints.api, csv).await
    }

    pub async fn summary(&self) -> anyhow::Result<Summary> {
        Ok(summary::read(&self.store, Viewer::Operator).await?)
    }

    /// Waits until `reached` holds. While nothing is in any worker's hands, the clock leaps to the instant at which
    /// an order that is not parked is due.
    pub async fn wait_until(
        &self,
        what: &str,
        within: Duration,
        mut reached: impl AsyncFnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let outcome = reached().await;
            if matches!(outcome, Ok(true)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let orders = order::read(&self.store).await.map_or_else(
                    |error| error.to_string(),
                    |orders| {
                        orders.iter().fold(String::new(), |mut text, order| {
                            let _ = writeln!(text, "{order:?}");
                            text
                        })
                    },
                );
                bail!("not within {within:?}: {what} ({outcome:?})\n{orders}");
            }
            // A database that is away has nothing to leap to.
            if !self.keeps_time.load(Ordering::SeqCst)
                && let Ok(Some(wait)) = order::idle_for(&self.store, self.clock.now()).await
                && wait > LEAP_MIN
            {
                // It may have come true since the look, and nothing has moved since it was idle.
                if matches!(reached().await, Ok(true)) {
                    return Ok(());
                }
                self.clock.leap(wait);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until every order rests or is parked and everything is settled; see [`World::wait_until`].
    pub async fn wait_until_done(&self, within: Duration) -> anyhow::Result<()> {
        self.wait_until("all orders rest", within, async || Ok(order::moving(&self.store).await? == 0)).await
    }

    /// Every order, oldest first.
    pub async fn orders(&self) -> anyhow::Result<Vec<OrderSeen>> {
        Ok(order::read(&self.store).await?)
    }

    /// The stage and fault class of the latest order for exactly these names.
    pub async fn fate_of(&self, names: &[&str]) -> anyhow::Result<(String, Option<String>)> {
        let mut wanted = names.to_vec();
        wanted.sort_unstable();
        let orders = self.orders().await?;
        let found = orders.iter().rev().find(|order| {
            let mut names: Vec<_> = order.names.iter().map(String::as_str).collect();
            names.sort_unstable();
            names == wanted
        });
        let found = found.with_context(|| format!("no order for {names:?}"))?;
        Ok((found.stage.clone(), found.fault_class.clone()))
    }

    /// Lets the rests of everything that is parked be over.
    pub async fn end_rests(&self) -> anyhow::Result<()> {
        if self.keeps_time.load(Ordering::SeqCst) {
            return Ok(order::end_rests(&self.store, self.clock.now()).await?);
        }
        let wait = order::parked_until(&self.store, self.clock.now()).await?;
        self.clock.leap(wait);
        Ok(())
    }

    /// The rehearsal CA's books.
    pub fn audit(&self) -> anyhow::Result<Audit> {
        Ok(self.ca.rehearsal().context("not a rehearsal CA")?.audit())
    }

    pub fn proxy(&self) -> anyhow::Result<&AcmeProxy> {
        self.ca.proxy().context("no proxy stands before this CA")
    }

    /// What the CA says of every authorization that passed the proxy, asked under the service's account.
    pub async fn truth(&self) -> anyhow::Result<Truth> {
        let urls = self.proxy()?.authorizations();
        let master_key = self.folder.path().join("master.key");
        let (directory_url, extra_root) = (self.ca.directory_url(), self.ca.extra_root());
        let profile = crate::pebble::profile();
        Truth::ask(&self.store, &master_key, &directory_url, extra_root, profile, &urls).await
    }

    /// What a reconciler of a replica of its own works with, under the account of the services.
    pub async fn reconcile_parts(&self) -> anyhow::Result<ReconcileParts> {
        self.reconcile_parts_through(None).await
    }

    /// The same, with a way to the CA of the test's own.
    pub async fn reconcile_parts_through(
        &self,
        transport: Option<Arc<dyn Transport>>,
    ) -> anyhow::Result<ReconcileParts> {
        let profile = Arc::new(ca_profile::load(self.ca.profile())?);
        let master_key = self.folder.path().join("master.key");
        let (directory_url, extra_root) = (self.ca.directory_url(), self.ca.extra_root());
        let clock: Arc<dyn Clock> = self.clock.clone();
        let (account_id, account) = account::restore(
            &self.store,
            &master_key,
            &directory_url,
            extra_root,
            Arc::clone(&profile),
            Arc::clone(&clock),
            transport,
        )
        .await?;
        Ok(ReconcileParts {
            store: self.store.clone(),
            account: Arc::new(account),
            account_id,
            profile,
            clock,
            pace: Pace::REAL,
            replica: Replica(Uuid::new_v4()),
            lease: Duration::from_secs(self.settings.lease_seconds.into()),
            wake: Arc::default(),
        })
    }

    /// Stops everything but services, and drops the database.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.ca.stop().await;
        self.fleet.stop().await;
        self.store.close().await;
        if let Some(database) = self.database {
            database.remove().await?;
        }
        Ok(())
    }
}
