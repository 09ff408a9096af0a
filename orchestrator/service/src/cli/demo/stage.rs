//! The stage: a folder, a fleet, a CA and the service, set up and struck again.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use rehearsal::audit::Audit;
use rehearsal::fleet::{DemoFleet, Fleet, FleetConfig, FleetError, Site};
use tempfile::TempDir;

use crate::cli::api_client::{self, ApiClient};
use crate::cli::error::CliError;
use crate::cli::notice::notice;

use super::Wishes;
use super::ca::DemoCa;
use super::first;
use super::process::{ProcessError, ServiceProcess};

/// Web servers of the demo's fleet.
const SERVERS: u8 = 4;
/// A probe of a site that never answers ends after this; production allows more.
const PROBE_MS: u32 = 1_500;

/// Why the demo cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("the variable {name} is {text:?}: give a number, or for CA rehearsal or pebble")]
    Variable { name: &'static str, text: String },
    #[error("{} cannot be written", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("no free port on loopback")]
    Port(#[source] io::Error),
    #[error("the fleet does not start")]
    Fleet(#[from] FleetError),
    #[error(transparent)]
    Rules(rehearsal::rules::UnknownPreset),
    #[error("the rehearsal CA does not start")]
    RehearsalCa(#[source] rehearsal::ca::StartError),
    #[error(transparent)]
    Pebble(#[from] rehearsal::pebble::PebbleError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("the CA's root cannot be read")]
    Root,
    #[error("a task of the demo panicked")]
    Panicked,
}

/// Where to look.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) config: PathBuf,
    pub(super) api: SocketAddr,
    pub(super) metrics: SocketAddr,
    pub(super) audit: Option<String>,
    pub(super) log: PathBuf,
    pub(super) program: PathBuf,
}

#[derive(Debug)]
pub(super) struct Stage {
    folder: PathBuf,
    fleet: Fleet,
    ca: DemoCa,
    service: ServiceProcess,
    places: Places,
    /// Removed with everything in it at the end.
    temporary: Option<TempDir>,
}

impl Stage {
    pub(super) async fn set(wishes: &Wishes, planned: DemoFleet) -> Result<Self, DemoError> {
        let (folder, temporary) = folder(wishes.folder.as_deref())?;
        let [responder, api, metrics] = free_addresses().map_err(DemoError::Port)?;
        let fleet = Fleet::start(FleetConfig {
            servers: SERVERS,
            sites: planned.into_sites().into_iter().chain([Site::healthy(vec![first::site()])]).collect(),
            ..FleetConfig::new(responder)
        })
        .await?;
        let (dns, http_port) = (fleet.dns_addr(), fleet.http_port());
        let ca = DemoCa::start(wishes.ca, wishes.seed, dns, http_port, &folder).await?;
        let config = folder.join("lockkeeper.toml");
        let text = configuration(&folder, &ca, dns, http_port, [responder, api, metrics]);
        std::fs::write(&config, text).map_err(|source| DemoError::File { path: config.clone(), source })?;
        let service = ServiceProcess::start(&config, &folder).await?;
        let places = Places {
            config,
            api,
            metrics,
            audit: ca.audit().map(|_| ca.directory_url().replace("/directory", "/audit")),
            log: service.log().to_owned(),
            program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("lockkeeper")),
        };
        Ok(Self { folder, fleet, ca, service, places, temporary })
    }

    pub(super) fn announcement(&self) -> String {
        let mut text = format!("CA        {}\n", self.ca.directory_url());
        let servers = self.fleet.server_addresses().len();
        let _ = writeln!(
            text,
            "Fleet     {servers} web servers on port {}, DNS {}",
            self.fleet.http_port(),
            self.fleet.dns_addr()
        );
        let pid = self
            .service
            .pid()
            .map_or_else(String::new, |pid| format!(" (pid {pid}: kill -9 it if you like)"));
        let _ = writeln!(text, "Service   http://{}{pid}", self.places.api);
        let _ = write!(text, "Folder    {}", self.folder.display());
        text
    }

    pub(super) fn dashboard(&self) -> String {
        format!("Dashboard http://{}/admin", self.places.api)
    }

    pub(super) fn first_certificate(&self) -> String {
        first::told(self.places.api, &self.folder.join("data"))
    }

    pub(super) fn places(&self) -> Places {
        self.places.clone()
    }

    pub(super) fn restarts(&self) -> u32 {
        self.service.restarts
    }

    pub(super) fn audit(&self) -> Option<Audit> {
        self.ca.audit()
    }

    pub(super) async fn issuer_roots(&self) -> Result<String, CliError> {
        Ok(self.ca.issuer_roots().await?)
    }

    pub(super) fn api(&self) -> Result<ApiClient, CliError> {
        let token = api_client::operator_token(&self.folder.join("data"))?;
        Ok(ApiClient::new(&format!("http://{}", self.places.api), &token)?)
    }

    /// Starts the service again if somebody has killed it.
    pub(super) async fn keep_up(&mut self) -> Result<(), CliError> {
        if self.service.keep_up().await.map_err(DemoError::from)? {
            let pid = self.service.pid().unwrap_or_default();
            notice(&format!("The service was gone; it is up again with pid {pid} and goes on where it was."));
        }
        Ok(())
    }

    pub(super) async fn watch_until(&mut self, end: impl Future<Output = ()>) -> Result<(), CliError> {
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return Ok(()),
                () = tokio::time::sleep(super::LOOK_EVERY) => self.keep_up().await?,
            }
        }
    }

    /// Stops everything this demo started, and removes its folder unless it was named.
    pub(super) async fn strike(self) -> Result<(), CliError> {
        self.service.stop().await.map_err(DemoError::from)?;
        self.ca.stop().await;
        self.fleet.stop().await;
        if let Some(temporary) = self.temporary {
            let path = temporary.path().to_owned();
            temporary.close().map_err(|source| DemoError::File { path, source })?;
        }
        Ok(())
    }
}

fn folder(wanted: Option<&Path>) -> Result<(PathBuf, Option<TempDir>), DemoError> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| DemoError::File { path, source }
    };
    if let Some(folder) = wanted {
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let folder = folder.canonicalize().map_err(failed(folder))?;
        return Ok((folder, None));
    }
    let base = std::env::temp_dir();
    let temporary = tempfile::Builder::new().prefix("lockkeeper-demo-").tempdir().map_err(failed(&base))?;
    let folder = temporary.path().to_owned();
    // The database runs as a user of its own, who has to get in.
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).map_err(failed(&folder))?;
    Ok((folder, Some(temporary)))
}

/// Ports that are free now and stay the same when the service is started again.
fn free_addresses<const N: usize>() -> io::Result<[SocketAddr; N]> {
    let mut held = Vec::with_capacity(N);
    for _ in 0..N {
        held.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    }
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for (address, listener) in addresses.iter_mut().zip(&held) {
        *address = listener.local_addr()?;
    }
    Ok(addresses)
}

fn configuration(
    folder: &Path,
    ca: &DemoCa,
    dns: SocketAddr,
    http_port: u16,
    [responder, api, metrics]: [SocketAddr; 3],
) -> String {
    let extra_root = ca
        .extra_root()
        .map_or_else(String::new, |path| format!("extra_root = {:?}\n", path.display().to_string()));
    format!(
        "[data]\nfolder = {:?}\n\n[api]\nlisten = \"{api}\"\n\n[metrics]\nlisten = \"{metrics}\"\n\n\
         [responder]\nlisten = \"{responder}\"\n\n\
         [ca]\nname = \"demo\"\nprofile = \"{}\"\ndirectory_url = \"{}\"\n{extra_root}agree_to_terms = true\n\n\
         [resolver]\nservers = [\"{dns}\"]\nauthority_port = {}\n\n[http01]\nport = {http_port}\ntimeout_ms = {PROBE_MS}\n\n\
         [addresses]\nallow = [\"127.0.0.0/8\"]\nexpected = [\"127.0.1.0/24\"]\n\n\
         [worker]\npermits = 32\n",
        folder.join("data").display().to_string(),
        ca.profile(),
        ca.directory_url(),
        dns.port(),
    )
}
