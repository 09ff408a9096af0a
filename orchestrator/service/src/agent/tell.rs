//! Tells the service what this server has, and what it really serves.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use issuance::time::Clock;
use tokio::time::{Instant, sleep};

use super::probe;
use super::service::{ProbeReport, Report, Service, ServiceError};
use super::state::{Installed, Key, State};
use crate::config::agent::ProbeConfig;

/// Certificates looked at and told of at once.
const AT_ONCE: usize = 8;
/// Between two looks at a server that still serves the old one.
const SETTLE_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Teller {
    target: String,
    addresses: Vec<SocketAddr>,
    timeout: Duration,
    settle: Duration,
}

impl Teller {
    pub(super) fn new(target: String, config: &ProbeConfig) -> Self {
        let addresses = config.addresses.iter().map(|address| address.0).collect();
        Self { target, addresses, timeout: config.timeout(), settle: config.settle() }
    }

    /// Of `all`, or of what the service does not know yet.
    ///
    /// # Errors
    /// The service cannot be told; what it was not told is told the next time.
    pub(super) async fn tell(
        &self,
        service: &Service,
        clock: &dyn Clock,
        state: &mut State,
        all: bool,
    ) -> Result<(), ServiceError> {
        let wanted: Vec<(Key, Installed)> = state
            .certificates
            .iter()
            .filter(|(_, installed)| {
                // What is still to be done for it would only show what was there before.
                let is_ready =
                    !(installed.hook_pending || installed.reload_pending) || state.fault(installed).is_some();
                all || (installed.report_pending && is_ready)
            })
            .map(|(key, installed)| {
                let fault = state.fault(installed).map(str::to_owned);
                (key.clone(), Installed { fault, ..installed.clone() })
            })
            .collect();
        let mut told = futures_util::stream::iter(wanted)
            .map(|(key, installed)| async move {
                let told = self.tell_of(service, clock, &key, &installed).await;
                (key, told)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((key, outcome)) = told.next().await {
            match outcome {
                Ok(()) => {}
                // Of this one alone: it was deleted, or given to another server.
                Err(ServiceError::Refused { status, .. }) if status.as_u16() == 404 => {}
                Err(error) => return Err(error),
            }
            if let Some(installed) = state.certificates.get_mut(&key) {
                installed.report_pending = false;
            }
        }
        Ok(())
    }

    async fn tell_of(
        &self,
        service: &Service,
        clock: &dyn Clock,
        key: &Key,
        installed: &Installed,
    ) -> Result<(), ServiceError> {
        let probes = self.look(clock, installed).await;
        let version = installed.version.as_ref();
        let report = Report {
            version_id: version.map(|version| version.id),
            installed_at: version.map(|version| version.installed_at),
            fault: installed.fault.as_deref(),
            probes: &probes,
        };
        service.report(key.as_str(), &self.target, &report).await
    }

    /// At each address; again for a while where what is installed is not served yet.
    async fn look(&self, clock: &dyn Clock, installed: &Installed) -> Vec<ProbeReport> {
        let (Some(name), Some(version)) = (probe::server_name(&installed.names), &installed.version) else {
            return Vec::new();
        };
        // A server that has just been told may take a moment; one that has not is not waited for.
        let wait =
            if installed.report_pending && !installed.reload_pending { self.settle } else { Duration::ZERO };
        let deadline = Instant::now() + wait;
        let looks = self.addresses.iter().map(|address| async {
            loop {
                let seen = probe::look(*address, &name, self.timeout, clock).await;
                let is_served = seen.fingerprint_sha256.as_ref() == Some(&version.fingerprint_sha256);
                if is_served || Instant::now() >= deadline {
                    return seen;
                }
                sleep(SETTLE_EVERY).await;
            }
        });
        futures_util::future::join_all(looks).await
    }
}
