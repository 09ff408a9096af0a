//! The CA of a world, one or the other.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::ensure;
use issuance::time::Clock;
use rehearsal::ca::{CaConfig, RehearsalCa};
use rehearsal::pebble::{Pebble, PebbleOptions};
use rehearsal::rules::CaRules;

use crate::clock::LeapingClock;
use crate::proxy::AcmeProxy;

/// Pebble that validates at once.
pub const QUICK_PEBBLE: CaChoice = CaChoice::ProxiedPebble { validation_sleep_seconds: 0 };

/// Which CA to start.
#[derive(Debug)]
pub enum CaChoice {
    Rehearsal(CaRules),
    /// A rehearsal CA whose address is known, and that is down until [`WorldCa::open`].
    RehearsalLater(CaRules),
    /// Debian's Pebble behind a proxy that writes down what passes.
    /// A validation begins at a random instant of so many seconds.
    ProxiedPebble {
        validation_sleep_seconds: u8,
    },
}

#[derive(Debug)]
pub enum WorldCa {
    Rehearsal(Box<RehearsalCa>),
    Closed(Box<CaConfig>),
    Pebble { proxy: AcmeProxy, extra_root: PathBuf, pebble: Box<Pebble> },
}

impl WorldCa {
    pub(super) async fn start(
        choice: CaChoice,
        (http_port, https_port): (u16, u16),
        dns: SocketAddr,
        clock: &Arc<LeapingClock>,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let config = |rules| {
            let clock: Arc<dyn Clock> = clock.clone();
            CaConfig { rules, dns: Some(dns), http_port, https_port, clock, ..CaConfig::default() }
        };
        match choice {
            CaChoice::Rehearsal(rules) => {
                Ok(Self::Rehearsal(Box::new(RehearsalCa::start(config(rules)).await?)))
            }
            CaChoice::RehearsalLater(rules) => {
                let listen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
                Ok(Self::Closed(Box::new(CaConfig { listen, ..config(rules) })))
            }
            CaChoice::ProxiedPebble { validation_sleep_seconds } => {
                let options = PebbleOptions {
                    http_port,
                    dns: Some(dns),
                    always_valid: false,
                    validation_sleep_seconds,
                    ..PebbleOptions::default()
                };
                let pebble = Box::new(tokio::task::spawn_blocking(move || Pebble::start(&options)).await??);
                let proxy = AcmeProxy::start(&pebble).await?;
                let extra_root = folder.join("proxy-root.pem");
                std::fs::write(&extra_root, proxy.root_pem())?;
                Ok(Self::Pebble { proxy, extra_root, pebble })
            }
        }
    }

    /// Starts the CA that was to come later.
    pub async fn open(&mut self) -> anyhow::Result<()> {
        let Self::Closed(config) = self else { anyhow::bail!("the CA is open already") };
        let listen = config.listen;
        let ca = RehearsalCa::start((**config).clone()).await?;
        ensure!(ca.address() == listen, "the CA listens elsewhere");
        *self = Self::Rehearsal(Box::new(ca));
        Ok(())
    }

    pub fn rehearsal(&self) -> Option<&RehearsalCa> {
        match self {
            Self::Rehearsal(ca) => Some(ca),
            Self::Closed(_) | Self::Pebble { .. } => None,
        }
    }

    pub fn proxy(&self) -> Option<&AcmeProxy> {
        match self {
            Self::Pebble { proxy, .. } => Some(proxy),
            Self::Rehearsal(_) | Self::Closed(_) => None,
        }
    }

    pub fn directory_url(&self) -> String {
        match self {
            Self::Rehearsal(ca) => ca.directory_url(),
            Self::Closed(config) => format!("http://{}/directory", address(config)),
            Self::Pebble { proxy, .. } => proxy.directory_url(),
        }
    }

    pub(super) fn profile(&self) -> &'static str {
        match self {
            Self::Rehearsal(_) | Self::Closed(_) => "rehearsal",
            Self::Pebble { .. } => "pebble",
        }
    }

    /// The root of the CA's own HTTPS server, where it has one.
    pub fn extra_root(&self) -> Option<&Path> {
        match self {
            Self::Rehearsal(_) | Self::Closed(_) => None,
            Self::Pebble { extra_root, .. } => Some(extra_root),
        }
    }

    pub(super) async fn stop(self) {
        match self {
            Self::Rehearsal(ca) => ca.stop().await,
            Self::Closed(_) => {}
            Self::Pebble { proxy, pebble, .. } => {
                proxy.stop().await;
                drop(pebble);
            }
        }
    }
}

fn address(config: &CaConfig) -> SocketAddr {
    config.listen
}
