//! What a rehearsal plays on: a folder, a database, a fleet, a CA and replicas, set up and struck again.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use issuance::fairness::Lane;
use issuance::ids::AccountId;
use issuance::time::{Clock, Timestamp};
use rehearsal::ca::{CaConfig, RehearsalCa};
use rehearsal::fleet::{Fleet, FleetConfig};
use rehearsal::limits::{History, PastIssuance};
use tempfile::TempDir;

use super::fleet::Fortune;
use super::{Options, RehearsalError};
use crate::adopt::csv::Row;
use crate::api::imports::wishes;
use crate::app::{App, Launch};
use crate::clock::{Conductor, DrivenClock, Pace};
use crate::cluster::PrivateCluster;
use crate::config::{Config, DatabaseUrl, DirectoryUrl, Role, Roles};
use crate::store::Store;
use crate::store::events::Actor;
use crate::store::imports::{self, Import};
use crate::store::viewer::Viewer;
use crate::store::work::Work;

/// What the service calls it.
const CA: &str = "rehearsal";
/// Until a replica is told, the web servers forward challenges to nobody.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
/// Nothing that the fleet does wrong takes time to notice.
const PROBE_MS: NonZeroU32 = const { NonZeroU32::new(2_000).unwrap() };
const CONNECTIONS: NonZeroU32 = const { NonZeroU32::new(16).unwrap() };
/// The conductor rings: nobody looks by himself.
const POLL_MS: NonZeroU32 = const { NonZeroU32::new(3_600_000).unwrap() };
/// A pass of a reconciler is one more instant at which time has to stop.
const RECONCILE_SECONDS: NonZeroU32 = const { NonZeroU32::new(3_600).unwrap() };
/// Names that are mended are noticed this late; each look at what is due is an instant that is played.
const EVIDENCE_SECONDS: NonZeroU32 = const { NonZeroU32::new(3_600).unwrap() };
const AUDIT_SECONDS: NonZeroU32 = const { NonZeroU32::new(6 * 3_600).unwrap() };
/// Nobody needs a rehearsal's rows after a power cut.
const CARELESS: &str = "options[synchronous_commit]=off";

#[derive(Debug)]
pub(super) struct Stage {
    pub(super) conductor: Arc<Conductor>,
    pub(super) ca: RehearsalCa,
    pub(super) store: Store,
    /// Sites that were taken, and those of them that are broken.
    pub(super) sites: u64,
    pub(super) broken: u64,
    pub(super) account: AccountId,
    fleet: Fleet,
    fortune: Fortune,
    replicas: Vec<App>,
    cluster: Option<PrivateCluster>,
    /// Goes last.
    _folder: TempDir,
}

impl Stage {
    pub(super) async fn set(options: Options) -> Result<Self, RehearsalError> {
        let folder = folder().map_err(RehearsalError::Folder)?;
        let (cluster, url) = if let Some(url) = &options.database_url {
            (None, url.clone())
        } else {
            let cluster = PrivateCluster::start(&folder.path().join("database")).await?;
            let url = cluster.url();
            (Some(cluster), url)
        };
        let url = format!("{url}{}{CARELESS}", if url.contains('?') { '&' } else { '?' });
        let store = Store::open(&url, 4)?;
        store.migrate().await?;
        let clock = Arc::new(DrivenClock::starting_at(options.start));
        let conductor = Conductor::new(Arc::clone(&clock));
        let fleet = Fleet::start(FleetConfig::new(NOBODY)).await?;
        let ca = RehearsalCa::start(CaConfig {
            rules: options.rules.clone(),
            dns: Some(fleet.dns_addr()),
            http_port: fleet.http_port(),
            seed: options.seed,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ..CaConfig::default()
        })
        .await?;

        let mut replicas = Vec::new();
        for number in 0..options.replicas.max(1) {
            let scene = Scene { folder: folder.path(), url: &url, ca: &ca, fleet: &fleet, options: &options };
            let app = App::start(Launch {
                config: scene.config(number)?,
                clock: Arc::clone(&clock) as Arc<dyn Clock>,
                pace: Pace::of(&conductor),
                profile: Some(options.profile.clone()),
                exposition: None,
                transport: None,
            })
            .await?;
            if let Some(responder) = app.endpoints.responder {
                fleet.set_responder(responder);
            }
            replicas.push(app);
        }
        conductor.enrolled(replicas.len()).await;
        let account = store.account_of_directory(&ca.directory_url()).await?;
        Ok(Self {
            account: account.ok_or(RehearsalError::NoAccount)?.account,
            conductor,
            ca,
            store,
            sites: 0,
            broken: 0,
            fleet,
            fortune: Fortune::new(options.seed, options.broken),
            replicas,
            cluster,
            _folder: folder,
        })
    }

    /// Has these sets have been issued then, to whomever; the CA and the service both know.
    pub(super) async fn remember(&self, rows: &[Row], issued_at: Timestamp) -> Result<(), RehearsalError> {
        let names = |row: &Row| row.names.iter().cloned().collect();
        let issued = rows.iter().map(|row| PastIssuance { names: names(row), at: issued_at }).collect();
        self.ca.remember(History { issued, ..History::default() })?;
        let sets: Vec<_> = rows.iter().map(|row| &row.names).collect();
        Ok(self.store.remember_sets(CA, &sets, issued_at).await?)
    }

    pub(super) async fn import(&mut self, rows: &[Row], lane: Lane) -> Result<u64, RehearsalError> {
        for row in rows {
            let site = self.fortune.site(row);
            self.broken += u64::from(site.damage.is_some());
            self.fleet.add(&site);
        }
        let import = Import {
            viewer: Viewer::Operator,
            account: self.account,
            lane,
            source: "csv",
            wishes: &wishes(rows),
            rows_repeated: 0,
            rows_refused: 0,
        };
        let actor = Actor::service("rehearsal");
        let mut work = Work::begin(&self.store, Viewer::Operator, actor, self.now()).await?;
        let taken = imports::record(&mut work, &import).await?.rows_created;
        work.commit().await?;
        self.sites += taken;
        Ok(taken)
    }

    fn now(&self) -> Timestamp {
        self.conductor.clock().now()
    }

    pub(super) async fn strike(self) -> Result<(), RehearsalError> {
        for replica in self.replicas {
            replica.stop().await?;
        }
        self.ca.stop().await;
        self.fleet.stop().await;
        self.store.close().await;
        if let Some(cluster) = self.cluster {
            cluster.stop().await?;
        }
        Ok(())
    }
}

struct Scene<'a> {
    folder: &'a Path,
    url: &'a str,
    ca: &'a RehearsalCa,
    fleet: &'a Fleet,
    options: &'a Options,
}

impl Scene<'_> {
    fn config(&self, number: u16) -> Result<Config, RehearsalError> {
        let mut config = Config::default();
        config.database.url = Some(DatabaseUrl::parse(self.url)?);
        config.database.connections = CONNECTIONS;
        config.data.folder = self.folder.join(format!("replica-{number}"));
        config.data.master_key = Some(self.folder.join("master.key"));
        config.responder.listen = (Ipv4Addr::LOCALHOST, 0).into();
        CA.clone_into(&mut config.ca.name);
        config.ca.directory_url = Some(DirectoryUrl::parse(&self.ca.directory_url())?);
        config.ca.agree_to_terms = true;
        config.resolver.servers = vec![self.fleet.dns_addr()];
        config.resolver.authority_port =
            NonZeroU16::new(self.fleet.dns_addr().port()).unwrap_or(config.resolver.authority_port);
        config.http01.port = NonZeroU16::new(self.fleet.http_port()).unwrap_or(config.http01.port);
        config.http01.timeout_ms = PROBE_MS;
        config.addresses.allow = "127.0.0.0/8".parse().into_iter().collect();
        config.addresses.expected = "127.0.1.0/24".parse().into_iter().collect();
        config.worker.permits = NonZeroU16::new(self.options.workers).unwrap_or(config.worker.permits);
        config.worker.poll_interval_ms = POLL_MS;
        let roles = if number == 0 { vec![Role::Worker, Role::Responder] } else { vec![Role::Worker] };
        config.worker.roles = Roles::try_from(roles).unwrap_or_default();
        config.reconcile.interval_seconds = RECONCILE_SECONDS;
        config.reconcile.audit_interval_seconds = AUDIT_SECONDS;
        config.reconcile.evidence_interval_seconds = EVIDENCE_SECONDS;
        Ok(config)
    }
}

fn folder() -> std::io::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("lockkeeper-rehearsal-").tempdir()?;
    // The database runs as a user of its own, who has to get in.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}
