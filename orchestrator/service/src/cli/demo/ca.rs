//! The demo's CA, one or the other.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rehearsal::audit::Audit;
use rehearsal::ca::{CaConfig, RehearsalCa};
use rehearsal::pebble::{Pebble, PebbleOptions};
use rehearsal::rules::CaRules;

use super::CaChoice;
use super::stage::DemoError;

#[derive(Debug)]
pub(super) enum DemoCa {
    Rehearsal(RehearsalCa),
    Pebble { pebble: Box<Pebble>, extra_root: PathBuf },
}

impl DemoCa {
    pub(super) async fn start(
        choice: CaChoice,
        seed: u64,
        dns: SocketAddr,
        http_port: u16,
        folder: &Path,
    ) -> Result<Self, DemoError> {
        match choice {
            CaChoice::Rehearsal => {
                let rules = CaRules::preset("rehearsal").map_err(DemoError::Rules)?;
                let config = CaConfig { rules, dns: Some(dns), http_port, seed, ..CaConfig::default() };
                Ok(Self::Rehearsal(RehearsalCa::start(config).await.map_err(DemoError::RehearsalCa)?))
            }
            CaChoice::Pebble => {
                let options = PebbleOptions {
                    http_port,
                    dns: Some(dns),
                    always_valid: false,
                    orders_per_page: 200,
                    ..PebbleOptions::default()
                };
                // It blocks until it listens.
                let started = tokio::task::spawn_blocking(move || Pebble::start(&options)).await;
                let pebble = Box::new(started.map_err(|_| DemoError::Panicked)??);
                let extra_root = folder.join("pebble-root.pem");
                std::fs::write(&extra_root, &pebble.root_pem)
                    .map_err(|source| DemoError::File { path: extra_root.clone(), source })?;
                Ok(Self::Pebble { pebble, extra_root })
            }
        }
    }

    pub(super) fn directory_url(&self) -> String {
        match self {
            Self::Rehearsal(ca) => ca.directory_url(),
            Self::Pebble { pebble, .. } => pebble.directory_url.clone(),
        }
    }

    /// The CA profile that fits, by name.
    pub(super) fn profile(&self) -> &'static str {
        match self {
            Self::Rehearsal(_) => "rehearsal",
            Self::Pebble { .. } => "pebble",
        }
    }

    /// The root of its own HTTPS server, where it is no public one.
    pub(super) fn extra_root(&self) -> Option<&Path> {
        match self {
            Self::Rehearsal(_) => None,
            Self::Pebble { extra_root, .. } => Some(extra_root),
        }
    }

    /// What its certificates verify against.
    pub(super) async fn issuer_roots(&self) -> Result<String, DemoError> {
        match self {
            Self::Rehearsal(ca) => Ok(ca.root_pem().to_owned()),
            Self::Pebble { pebble, .. } => Ok(pebble.issuer_roots().await?),
        }
    }

    /// What the CA itself says of its authorizations; Pebble keeps no books.
    pub(super) fn audit(&self) -> Option<Audit> {
        match self {
            Self::Rehearsal(ca) => Some(ca.audit()),
            Self::Pebble { .. } => None,
        }
    }

    pub(super) async fn stop(self) {
        match self {
            Self::Rehearsal(ca) => ca.stop().await,
            Self::Pebble { pebble, .. } => drop(pebble),
        }
    }
}
