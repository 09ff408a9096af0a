//! The service as a process of its own, which can be killed.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use lockkeeper::mishaps::environment::VARIABLE;
use serde::Deserialize;
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};

const STARTED_WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Where the process listens, as it published it itself.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct ListensAt {
    pid: u32,
    /// `None` without the role.
    pub api: Option<SocketAddr>,
    pub metrics: Option<SocketAddr>,
}

#[derive(Debug)]
pub struct ServiceProcess {
    child: Child,
    pub at: ListensAt,
    log: PathBuf,
}

impl ServiceProcess {
    /// Starts `lockkeeper serve` with that configuration file, and waits until it listens. Its data folder is
    /// `data` beside the file, and the log `service.log`.
    pub async fn start(config: &Path) -> anyhow::Result<Self> {
        Self::start_with_fate(config, "").await
    }

    /// The same, with what is to happen to it at which of its points; see [`lockkeeper::mishaps::environment`].
    pub async fn start_with_fate(config: &Path, fate: &str) -> anyhow::Result<Self> {
        let folder = config.parent().context("a configuration file lies in a folder")?;
        let log = folder.join("service.log");
        let out = File::options().create(true).append(true).open(&log)?;
        let mut child = Command::new(program().await?)
            .arg("--config")
            .arg(config)
            .arg("serve")
            .env(VARIABLE, fate)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .kill_on_drop(true)
            .spawn()?;
        let endpoints = folder.join("data/endpoints.json");
        let deadline = Instant::now() + STARTED_WITHIN;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait()? {
                bail!("the service ended with {status}: {}", std::fs::read_to_string(&log)?);
            }
            let published = std::fs::read(&endpoints).ok();
            let published = published.and_then(|text| serde_json::from_slice::<ListensAt>(&text).ok());
            if let Some(at) = published.filter(|at| Some(at.pid) == child.id()) {
                return Ok(Self { child, at, log });
            }
            sleep(LOOK_EVERY).await;
        }
        bail!("the service does not start: {}", std::fs::read_to_string(&log)?)
    }

    /// SIGKILL: nothing of the process runs any more when this returns.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// How it ended by itself.
    pub async fn ended(mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        match timeout(within, self.child.wait()).await {
            Ok(ended) => Ok(ended?),
            Err(_) => bail!("still running after {within:?}: {}", self.log()),
        }
    }

    /// Waits until it has stopped itself.
    pub async fn stopped(&self, within: Duration) -> anyhow::Result<()> {
        let status = PathBuf::from(format!("/proc/{}/stat", self.at.pid));
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            // The state follows the name, which stands in brackets (proc(5)).
            let text = std::fs::read_to_string(&status)?;
            if text.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T')) {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        bail!("not stopped within {within:?}: {}", self.log())
    }

    /// SIGCONT.
    pub async fn go_on(&self) -> anyhow::Result<()> {
        self.signal("-CONT").await
    }

    async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let pid = self.child.id().context("the service has ended already")?;
        let asked = Command::new("kill").arg(signal).arg(pid.to_string()).status().await?;
        ensure!(asked.success(), "the service cannot be signalled");
        Ok(())
    }

    /// SIGTERM, and how it ended.
    pub async fn terminate(self, within: Duration) -> anyhow::Result<ExitStatus> {
        self.signal("-TERM").await?;
        self.ended(within).await
    }

    /// All that the processes of this folder have said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// The product's binary. Built here, because a test of another package does not have cargo do it; where it is up to
/// date, that takes a moment only.
pub async fn program() -> anyhow::Result<&'static Path> {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    let build = || async {
        let test = std::env::current_exe()?;
        let folder = test.parent().context("a program lies in a folder")?;
        if folder.file_name().is_some_and(|name| name != "deps") {
            // A program beside it, which was built with it.
            return Ok(folder.join("lockkeeper"));
        }
        // <target>/<profile>/deps/<test>
        let profile = test.ancestors().nth(2).context("the test lies in the target folder")?;
        let target = profile.parent().context("the test lies in the target folder")?;
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // The tests too, as in the build that made this test: otherwise features differ, and all is built twice.
        cargo.args(["build", "--quiet", "--workspace", "--tests", "--bin", "lockkeeper", "--target-dir"]);
        cargo.arg(target).current_dir(env!("CARGO_MANIFEST_DIR")).env("SQLX_OFFLINE", "true");
        if profile.file_name().is_some_and(|name| name == "release") {
            cargo.arg("--release");
        }
        let built = cargo.output().await?;
        ensure!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Ok(profile.join("lockkeeper"))
    };
    PROGRAM.get_or_try_init(build).await.map(PathBuf::as_path)
}
