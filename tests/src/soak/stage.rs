//! What the storm goes over: fleet, CA, database, and the way to each of them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use lockkeeper::api::imports::ImportReport;
use lockkeeper::cli::api_client::{ApiClient, operator_token};
use lockkeeper::clock::SystemClock;
use lockkeeper::store::Store;
use rehearsal::ca::{CaConfig, CaRules, RehearsalCa};
use rehearsal::fleet::{DemoFleet, DemoPlan, Fleet, FleetConfig, PlannedSite, plan};
use rehearsal::rules::{AsyncFinalize, Profile};
use tempfile::TempDir;
use tracing::info;

use super::SoakPlan;
use crate::postgres::{PostgresServer, url_at};
use crate::service_process::ServiceProcess;
use crate::settings::{Settings, Surroundings};
use crate::wire::Wire;

/// Room for this many pending authorizations, and what of it is kept for asking again.
pub(super) const BUDGET: (u32, u32) = (300, 60);
/// A request may take five seconds of it, the rest is margin.
pub(super) const LEASE_SECONDS: u32 = 15;
const DRAIN_SECONDS: u32 = 5;
const PERMITS: u16 = 16;
/// What a request may have made that was never sent is held for this long, and a minute. At the CA nothing that is
/// left open outlives it: an authorization that was forgotten shows as one that expired.
const PENDING_SECONDS: u64 = 900;
/// Fleets in all, at the most.
const FLEETS_MAX: usize = 40;
const PROFILE: &str = include_str!("../../../deploy/ca-profiles/rehearsal.toml");

#[derive(Debug)]
pub(super) struct Stage {
    pub(super) ca: RehearsalCa,
    pub(super) ca_wire: Wire,
    pub(super) postgres: PostgresServer,
    pub(super) database_wire: Wire,
    pub(super) store: Store,
    fleet: Fleet,
    responder: ServiceProcess,
    planned: DemoFleet,
    /// Sites of one import.
    sites: usize,
    imported: usize,
    surroundings: Surroundings,
    folder: TempDir,
}

impl Stage {
    /// Everything but workers.
    pub(super) async fn set(soak: &SoakPlan) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("lockkeeper-soak-").tempdir()?;
        let responder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let planned = plan(DemoPlan::new(soak.sites * FLEETS_MAX, soak.seed));
        let fleet = Fleet::start(FleetConfig::new(responder)).await?;
        let ca = RehearsalCa::start(CaConfig {
            rules: rules(),
            dns: Some(fleet.dns_addr()),
            http_port: fleet.http_port(),
            seed: soak.seed,
            clock: Arc::new(SystemClock),
            ..CaConfig::default()
        })
        .await?;
        let ca_wire = Wire::start(ca.address(), soak.seed).await?;
        let postgres = PostgresServer::start_new("max_connections = 300\nshared_buffers = '256MB'\n").await?;
        let database_wire = Wire::start(postgres.address(), soak.seed).await?;
        let store = Store::open(&postgres.url(), 4)?;
        store.migrate().await?;
        let profile = folder.path().join("soak.toml");
        std::fs::write(&profile, profile_text()?)?;
        let surroundings = Surroundings {
            database_url: url_at(database_wire.address()),
            profile: profile.display().to_string(),
            directory_url: format!("http://{}/directory", ca_wire.address()),
            extra_root: None,
            dns: fleet.dns_addr(),
            http_port: fleet.http_port(),
            responder,
        };
        let settings = Settings { roles: &["api", "responder"], ..settings() };
        let config = settings.write(&surroundings, &folder.path().join("responder"))?;
        let responder = ServiceProcess::start(&config).await?;
        let (sites, imported) = (soak.sites, 0);
        Ok(Self {
            ca,
            ca_wire,
            postgres,
            database_wire,
            store,
            fleet,
            responder,
            planned,
            sites,
            imported,
            surroundings,
            folder,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration file of a worker.
    pub(super) fn worker(&self, number: usize) -> anyhow::Result<PathBuf> {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let surroundings = Surroundings { responder: nowhere, ..self.surroundings.clone() };
        settings().write(&surroundings, &self.folder.path().join(format!("worker-{number}")))
    }

    /// Imports the next fleet. `false` where there is none, or the API does not answer: then it is tried again.
    pub(super) async fn import_next(&mut self) -> anyhow::Result<bool> {
        let next: Vec<PlannedSite> =
            self.planned.sites.iter().skip(self.imported).take(self.sites).cloned().collect();
        if next.is_empty() {
            return Ok(false);
        }
        for site in &next {
            self.fleet.add(&site.to_site());
        }
        let api = self.responder.at.api.context("it plays the role")?;
        let token = operator_token(&self.folder.path().join("responder/data"))?;
        let api = ApiClient::new(&format!("http://{api}"), &token)?;
        let csv = DemoFleet { sites: next }.to_csv();
        let imported: Result<ImportReport, _> = api.post_csv("/v1/imports", csv.into()).await;
        match imported {
            Ok(report) => {
                anyhow::ensure!(report.rows_refused == 0, "{} rows are refused", report.rows_refused);
                self.imported += self.sites;
                info!(sites = self.imported, "A fleet was imported");
                Ok(true)
            }
            Err(error) => {
                info!(error = &error as &dyn std::error::Error, "The import is tried again");
                Ok(false)
            }
        }
    }

    /// Those that were imported.
    pub(super) fn sites(&self) -> &[PlannedSite] {
        &self.planned.sites[..self.imported.min(self.planned.sites.len())]
    }

    pub(super) fn master_key(&self) -> PathBuf {
        self.folder.path().join("master.key")
    }

    /// Stops everything; what processes have said is kept where somebody has to read it.
    pub(super) async fn strike(self, clean: bool) -> anyhow::Result<()> {
        self.responder.kill().await?;
        self.store.close().await;
        self.ca.stop().await;
        self.fleet.stop().await;
        if !clean {
            let folder = self.folder.keep();
            info!(folder = %folder.display(), "What the processes have said is kept");
        }
        Ok(())
    }
}

fn settings() -> Settings {
    Settings {
        permits: PERMITS,
        lease_seconds: LEASE_SECONDS,
        drain_seconds: DRAIN_SECONDS,
        poll_interval_ms: 100,
        reconcile_seconds: None,
        renewal_seconds: None,
        pending: Some(BUDGET),
        roles: &["worker"],
        evidence_seconds: 60,
        ..Settings::default()
    }
}

/// Ordinary rules, with a CA that takes its time to sign, so that more is under way when something ends. Its own cap
/// is away: what is pending is counted from its books, so that going over the budget shows as what it is.
fn rules() -> CaRules {
    let ordinary = CaRules::default();
    let profile =
        Profile { pending_authorization_seconds: PENDING_SECONDS, ..ordinary.default_profile.clone() };
    CaRules {
        pending_authorizations_max: None,
        async_finalize: Some(AsyncFinalize { delay_ms: 400, retry_after_seconds: 1 }),
        default_profile: profile,
        ..ordinary
    }
}

fn profile_text() -> anyhow::Result<String> {
    let week = "pending_authorization_seconds = 604800";
    anyhow::ensure!(PROFILE.contains(week), "the profile is another");
    Ok(PROFILE.replace(week, &format!("pending_authorization_seconds = {PENDING_SECONDS}")))
}
