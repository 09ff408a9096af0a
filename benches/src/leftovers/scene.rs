//! A CA of one job's own, the sites it validates, and where the client keeps its things.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rehearsal::ca::{CaConfig, RehearsalCa};
use rehearsal::fleet::{Fleet, FleetConfig, UnknownNames};
use tempfile::TempDir;

use super::accident::Accident;
use super::client::Client;
use super::manners::Manners;
use super::run::Job;
use super::webroot::Webroot;

/// Root itself can make no file here.
const READ_ONLY: &str = "/sys/kernel";

pub(super) struct Scene {
    pub(super) ca: RehearsalCa,
    pub(super) fleet: Fleet,
    pub(super) manners: Manners,
    pub(super) orders: usize,
    /// Where the service answers challenges, before a restart and after it.
    pub(super) responder: SocketAddr,
    pub(super) webroot: PathBuf,
    _served: Webroot,
    folder: TempDir,
}

impl Scene {
    pub(super) async fn set(job: &Job) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("lockkeeper-leftovers-").tempdir()?;
        // The service's database runs as a user of its own, who has to get in.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        let webroot = match job.accident {
            Accident::WebrootReadOnly => PathBuf::from(READ_ONLY),
            _ => folder.path().join("webroot"),
        };
        if job.accident != Accident::WebrootMissing {
            std::fs::create_dir_all(&webroot)?;
        }
        let served = Webroot::serve(&webroot).await?;
        let responder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let answers = match job.client {
            // A port that nobody listens on any more.
            Client::Lockkeeper if job.accident == Accident::WebrootMissing => {
                TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?
            }
            Client::Lockkeeper => responder,
            Client::Certbot | Client::Lego => served.address,
        };
        let fleet = FleetConfig { unknown_names: UnknownNames::Healthy, ..FleetConfig::new(answers) };
        let fleet = Fleet::start(fleet).await?;
        let ca = RehearsalCa::start(CaConfig {
            tls: true,
            rules: job.manners.rules()?,
            faults: job.accident.faults(),
            dns: Some(fleet.dns_addr()),
            http_port: fleet.http_port(),
            ..CaConfig::default()
        })
        .await?;
        std::fs::write(folder.path().join("root.pem"), ca.tls_root_pem().context("it speaks TLS")?)?;
        Ok(Self {
            ca,
            fleet,
            manners: job.manners,
            orders: job.orders,
            responder,
            webroot,
            _served: served,
            folder,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The root of the CA's own HTTPS.
    pub(super) fn root(&self) -> PathBuf {
        self.folder().join("root.pem")
    }

    /// Apex and `www` of each site.
    pub(super) fn sites(&self) -> impl Iterator<Item = [String; 2]> {
        (0..self.orders).map(|number| [format!("site-{number}.com"), format!("www.site-{number}.com")])
    }

    pub(super) async fn strike(self) {
        self.ca.stop().await;
        self.fleet.stop().await;
    }
}
