//! The loop: asks, installs, reloads, looks, tells.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use issuance::time::Clock;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::deploy;
use super::install::{self, Tally};
use super::layout::Layouts;
use super::owner::{Owner, OwnerError};
use super::service::{Listing, Service, ServiceError};
use super::state::{Key, State, StateError, StateFile};
use super::tell::Teller;
use crate::chance;
use crate::config::agent::AgentConfig;

/// The first rest after a failure; each further one is twice as long.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// What failed at home (a disk, a hook, a reload) is tried again after so long.
const MEND_WAIT: Duration = Duration::from_mins(5);

#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Owner(#[from] OwnerError),
    #[error("[service] target is missing, and the machine does not say what it is called")]
    NoTarget,
    #[error(
        "[hook] command needs files of all four kinds: write [certbot] folder, or cert, chain, fullchain and privkey of [custom]"
    )]
    HookWithoutFiles,
}

/// An agent, which holds its state file.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
    clock: Arc<dyn Clock>,
    service: Service,
    layouts: Layouts,
    teller: Teller,
    file: StateFile,
    state: State,
    /// Of the list that was carried out, as far as it could be.
    known: Option<String>,
    /// When hooks and the reload are due.
    apply_at: Option<Instant>,
    /// When what could not be installed is tried again.
    mend_at: Option<Instant>,
    /// When everything is looked at and told.
    look_at: Instant,
    failures: u32,
}

/// What one pass came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassReport {
    /// Certificates that this server has.
    pub certificates: usize,
    /// Of those, new with this pass.
    pub installed: usize,
    /// What is wrong, by what the certificate is called.
    pub faults: Vec<(String, String)>,
    pub reloaded: bool,
}

impl Agent {
    /// Reads what it remembers; asks nobody.
    pub fn new(config: AgentConfig, clock: Arc<dyn Clock>) -> Result<Self, AgentError> {
        let service = Service::new(&config.service)?;
        let owner = Owner::find(config.files.owner.as_deref(), config.files.group.as_deref())?;
        let target = config.service.target.clone().or_else(machine_name).ok_or(AgentError::NoTarget)?;
        let layouts = Layouts::new(&config, owner);
        if !config.hook.command.is_empty() && layouts.paths("x").is_none() {
            return Err(AgentError::HookWithoutFiles);
        }
        let (file, state) = StateFile::open(&config.files.state)?;
        let now = Instant::now();
        Ok(Self {
            teller: Teller::new(target, &config.probe),
            apply_at: (state.reload_pending() || state.certificates.values().any(|one| one.hook_pending))
                .then_some(now),
            mend_at: None,
            look_at: now,
            known: state.listing_etag.clone(),
            failures: 0,
            config,
            clock,
            service,
            layouts,
            file,
            state,
        })
    }

    /// One pass: fetches, installs, reloads at once, looks, tells.
    pub async fn once(&mut self) -> Result<PassReport, AgentError> {
        let listing = self.service.listing(None, Duration::ZERO).await?;
        let tally = self.take(listing).await?;
        let reload_was_due = self.state.reload_pending();
        self.apply().await?;
        self.look_and_tell(true).await?;
        let faults = self.state.faults();
        Ok(PassReport {
            faults: faults.map(|(name, fault)| (name.to_owned(), fault.to_owned())).collect(),
            certificates: self.state.certificates.values().filter(|one| one.version.is_some()).count(),
            installed: tally.installed,
            reloaded: reload_was_due && !self.state.reload_pending(),
        })
    }

    /// Goes on until it is asked to stop. A service that is away is waited for; what lasts is told and waited for as
    /// well, since a key may be put right without a restart of every agent.
    ///
    /// # Errors
    /// The state can no longer be kept.
    pub async fn run(&mut self, stop: &CancellationToken) -> Result<(), AgentError> {
        info!(event = "agent.started", "Agent started with {} certificates", self.state.certificates.len());
        while !stop.is_cancelled() {
            if is_due(self.apply_at) {
                self.apply().await?;
                self.look_and_tell(false).await?;
            }
            if is_due(Some(self.look_at)) {
                self.look_and_tell(true).await?;
            }
            let mends = is_due(self.mend_at);
            let known = self.known.clone().filter(|_| !mends);
            let wait = if mends { Duration::ZERO } else { self.config.service.wait() };
            let asked = tokio::select! {
                () = stop.cancelled() => break,
                () = sleep_until(self.next_at()), if !mends => continue,
                asked = self.service.listing(known.as_deref(), wait) => asked,
            };
            let carried_out = match asked {
                Ok(listing) => self.take(listing).await.map(drop),
                Err(error) => Err(error.into()),
            };
            match carried_out {
                Ok(()) => {
                    self.failures = 0;
                    // What it was not told while it was away, and what has failed now.
                    self.look_and_tell(false).await?;
                }
                Err(AgentError::Service(error)) => {
                    let rest = self.rest_after(&error);
                    self.rest(rest, stop).await?;
                }
                Err(error) => return Err(error),
            }
        }
        info!(event = "agent.stopped", "Agent stopped");
        Ok(())
    }

    /// The instant at which something is due that the service has no part in.
    fn next_at(&self) -> Instant {
        [self.apply_at, self.mend_at].into_iter().flatten().fold(self.look_at, Instant::min)
    }

    async fn take(&mut self, listing: Listing) -> Result<Tally, AgentError> {
        let Listing::New { etag, items } = listing else { return Ok(Tally::default()) };
        (self.known, self.state.listing_etag) = (None, None);
        let listed: HashSet<Key> = items.iter().map(|item| item.certificate_id.into()).collect();
        let gone = self.state.certificates.keys().filter(|key| !listed.contains(key)).count();
        if gone > 0 {
            info!(
                event = "agent.certificates_unlisted",
                "{gone} certificates are listed no longer: their files stay"
            );
        }
        let Self { service, layouts, clock, state, file, .. } = self;
        let save = |state: &State| file.save(state).map_err(AgentError::from);
        let carried_out = install::carry_out(service, layouts, &**clock, &items, state, save).await;
        if self.state.reload_pending() || self.state.certificates.values().any(|one| one.hook_pending) {
            let due = Instant::now() + self.config.reload.debounce();
            self.apply_at.get_or_insert(due);
        }
        let tally = carried_out?;
        self.known.clone_from(&etag);
        // What has failed keeps nothing else waiting, and is asked for again: also by the next process.
        self.mend_at = (tally.failed > 0).then(|| Instant::now() + MEND_WAIT);
        self.state.listing_etag = etag.filter(|_| tally.failed == 0);
        self.file.save(&self.state)?;
        Ok(tally)
    }

    /// Hooks, then one reload. What fails is remembered, and tried again.
    async fn apply(&mut self) -> Result<(), AgentError> {
        self.apply_at = None;
        let mut failed = false;
        for installed in self.state.certificates.values_mut().filter(|one| one.hook_pending) {
            let paths = self.layouts.paths(&installed.name).filter(|_| installed.version.is_some());
            let Some(paths) = paths else {
                installed.hook_pending = false;
                continue;
            };
            match deploy::hook(&self.config.hook, installed, &paths).await {
                Ok(()) => {
                    installed.hook_pending = false;
                    installed.report_pending |= installed.fault.take().is_some();
                }
                Err(fault) => {
                    warn!(event = "agent.deployment_failed", "{}: {fault}", installed.name);
                    failed = true;
                    installed.report_pending |= installed.fault.as_ref() != Some(&fault);
                    installed.fault = Some(fault);
                }
            }
        }
        if self.state.reload_pending() {
            match deploy::reload(&self.config.reload).await {
                Ok(()) => {
                    info!(event = "agent.reloaded", "The server has read its files again");
                    self.state.reload_fault = None;
                    for installed in self.state.certificates.values_mut().filter(|one| one.reload_pending) {
                        (installed.reload_pending, installed.report_pending) = (false, true);
                    }
                }
                Err(fault) => {
                    warn!(event = "agent.reload_failed", "{fault}");
                    failed = true;
                    let is_new = self.state.reload_fault.as_ref() != Some(&fault);
                    for installed in self.state.certificates.values_mut().filter(|one| one.reload_pending) {
                        installed.report_pending |= is_new;
                    }
                    self.state.reload_fault = Some(fault);
                }
            }
        }
        if failed {
            self.apply_at = Some(Instant::now() + MEND_WAIT);
        }
        self.file.save(&self.state)?;
        Ok(())
    }

    /// Tells what is new, or `all`. A service that is away is told later.
    async fn look_and_tell(&mut self, all: bool) -> Result<(), AgentError> {
        if all {
            self.look_at = Instant::now() + self.config.probe.every();
        }
        let told = self.teller.tell(&self.service, &*self.clock, &mut self.state, all).await;
        self.file.save(&self.state)?;
        if let Err(error) = told {
            warn!(
                event = "agent.report_failed",
                error = &error as &dyn std::error::Error,
                "What is served here could not be told; later again"
            );
        }
        Ok(())
    }

    /// From one second, doubled with each failure, half of it drawn: a service that comes back is not met by all of its
    /// agents at once.
    fn rest_after(&mut self, error: &ServiceError) -> Duration {
        let max = self.config.service.retry_max();
        let doubled = RETRY_MIN.saturating_mul(1 << self.failures.min(16)).min(max);
        self.failures = self.failures.saturating_add(1);
        let drawn = doubled / 2 + chance::draw().of(doubled, 0.5);
        let rest = error.retry_after().map_or(drawn, |asked| asked.min(max).max(drawn));
        let lasting = if error.is_lasting() { "; somebody must mend that" } else { "" };
        warn!(
            event = "agent.service_away",
            error = error as &dyn std::error::Error,
            "The service was of no use; asking again in {} ms{lasting}. What is there is served on",
            rest.as_millis()
        );
        rest
    }

    /// Lets time pass without the service; what is due at home goes on.
    async fn rest(&mut self, rest: Duration, stop: &CancellationToken) -> Result<(), AgentError> {
        let until = Instant::now() + rest;
        loop {
            let next = self.apply_at.map_or(until, |apply| apply.min(until));
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep_until(next) => {}
            }
            if next == until {
                return Ok(());
            }
            self.apply().await?;
        }
    }
}

fn is_due(at: Option<Instant>) -> bool {
    at.is_some_and(|at| at <= Instant::now())
}

/// As `hostname` says it.
fn machine_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}
