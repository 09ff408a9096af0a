//! The service as a process of its own: started, found, started again when somebody kills it, and stopped.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// A cold start makes a database cluster first.
const STARTED_WITHIN: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The drain, and the database's last checkpoint.
const STOPPED_WITHIN: Duration = Duration::from_mins(2);
/// A service that ends this often by itself is broken, not killed.
const RESTARTS_MAX: u32 = 1_000;

/// Why there is no service.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("the service cannot be started")]
    Spawn(#[source] io::Error),
    #[error("the service's log {} cannot be written", path.display())]
    Log {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the service ended with {status}; its log says why: {}", log.display())]
    Ended { status: ExitStatus, log: PathBuf },
    #[error("the service did not start in time; its log says why: {}", log.display())]
    Slow { log: PathBuf },
    #[error("the service cannot be stopped")]
    Stop(#[source] io::Error),
}

/// The part of `endpoints.json` that is needed here.
#[derive(Debug, Clone, Deserialize)]
struct Published {
    pid: u32,
}

#[derive(Debug)]
pub(super) struct ServiceProcess {
    config: PathBuf,
    endpoints: PathBuf,
    log: PathBuf,
    child: Child,
    pub(super) restarts: u32,
}

impl ServiceProcess {
    /// Starts `lockkeeper serve` and waits until it listens.
    pub(super) async fn start(config: &Path, folder: &Path) -> Result<Self, ProcessError> {
        let log = folder.join("service.log");
        let child = spawn(config, &log)?;
        let endpoints = folder.join("data").join("endpoints.json");
        let mut process = Self { config: config.to_owned(), endpoints, log, child, restarts: 0 };
        process.wait_until_it_listens().await?;
        Ok(process)
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    async fn wait_until_it_listens(&mut self) -> Result<(), ProcessError> {
        let deadline = Instant::now() + STARTED_WITHIN;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(ProcessError::Ended { status, log: self.log.clone() });
            }
            let published = std::fs::read(&self.endpoints).ok();
            let published = published.and_then(|text| serde_json::from_slice::<Published>(&text).ok());
            if published.is_some_and(|one| Some(one.pid) == self.child.id()) {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        Err(ProcessError::Slow { log: self.log.clone() })
    }

    /// Starts it again if it has ended. True if it had.
    pub(super) async fn keep_up(&mut self) -> Result<bool, ProcessError> {
        let Ok(Some(status)) = self.child.try_wait() else { return Ok(false) };
        self.restarts += 1;
        if self.restarts > RESTARTS_MAX {
            return Err(ProcessError::Ended { status, log: self.log.clone() });
        }
        self.child = spawn(&self.config, &self.log)?;
        match self.wait_until_it_listens().await {
            // Killed again while it started: the next look starts it once more.
            Err(ProcessError::Ended { status, .. }) if is_killed(status) => Ok(true),
            started => started.map(|()| true),
        }
    }

    /// Asks it to stop, and waits until it has drained.
    pub(super) async fn stop(mut self) -> Result<(), ProcessError> {
        if let Some(pid) = self.child.id() {
            let asked = Command::new("kill").arg(pid.to_string()).status().await;
            asked.map_err(ProcessError::Stop)?;
        }
        match tokio::time::timeout(STOPPED_WITHIN, self.child.wait()).await {
            Ok(ended) => ended.map(drop).map_err(ProcessError::Stop),
            Err(_) => self.child.kill().await.map_err(ProcessError::Stop),
        }
    }
}

fn is_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal().is_some()
}

fn spawn(config: &Path, log: &Path) -> Result<Child, ProcessError> {
    let failed = |source| ProcessError::Log { path: log.to_owned(), source };
    let out = File::options().create(true).append(true).open(log).map_err(failed)?;
    let errors = out.try_clone().map_err(failed)?;
    let program = std::env::current_exe().map_err(ProcessError::Spawn)?;
    Command::new(program)
        .arg("--config")
        .arg(config)
        .arg("serve")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(errors)
        // Ctrl-C on the terminal is for the demo, which then stops the service in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(ProcessError::Spawn)
}
