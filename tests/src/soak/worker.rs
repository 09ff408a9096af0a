//! A worker of the soak: a process that is started again whenever it has ended, with the same data folder.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::postgres::signal_process;
use crate::service_process::program;

#[derive(Debug)]
pub(super) struct Worker {
    config: PathBuf,
    child: Child,
    /// Stopped by SIGSTOP until then.
    pub(super) stopped_until: Option<Instant>,
}

impl Worker {
    /// Does not wait until it works: it may be killed while it starts, as well.
    pub(super) async fn start(config: PathBuf) -> anyhow::Result<Self> {
        let child = spawn(&config).await?;
        Ok(Self { config, child, stopped_until: None })
    }

    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        self.again().await
    }

    /// SIGTERM; what does not end in time is killed. Returns whether it ended by itself.
    pub(super) async fn terminate(&mut self, within: Duration) -> anyhow::Result<bool> {
        signal_process(self.pid()?, "TERM").await?;
        let ended = timeout(within, self.child.wait()).await.is_ok();
        if !ended {
            self.child.kill().await?;
        }
        self.again().await?;
        Ok(ended)
    }

    pub(super) async fn stop_for(&mut self, pause: Duration) -> anyhow::Result<()> {
        signal_process(self.pid()?, "STOP").await?;
        self.stopped_until = Some(Instant::now() + pause);
        Ok(())
    }

    pub(super) async fn go_on(&mut self) -> anyhow::Result<()> {
        self.stopped_until = None;
        signal_process(self.pid()?, "CONT").await
    }

    /// Starts it again if it has ended by itself; returns whether it had.
    pub(super) async fn revive(&mut self) -> anyhow::Result<bool> {
        let ended = self.child.try_wait()?.is_some();
        if ended {
            self.again().await?;
        }
        Ok(ended)
    }

    async fn again(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&self.config).await?;
        Ok(())
    }

    fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the worker has ended")
    }
}

async fn spawn(config: &PathBuf) -> anyhow::Result<Child> {
    let log = config.with_file_name("service.log");
    let out = File::options().create(true).append(true).open(log)?;
    let mut command = Command::new(program().await?);
    command.arg("--config").arg(config).arg("serve").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
    command.spawn().context("lockkeeper does not start")
}
