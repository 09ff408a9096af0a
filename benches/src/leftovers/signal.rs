//! Signals to a client with everything it has started.

use anyhow::{Context as _, Result, ensure};
use tokio::process::{Child, Command};

/// To the process group that the child leads; a child that has ended needs none.
pub(super) async fn send(signal: &str, child: &mut Child) -> Result<()> {
    let Some(group) = child.id() else { return Ok(()) };
    let mut command = Command::new("kill");
    command.arg(format!("-{signal}")).arg("--").arg(format!("-{group}"));
    let sent = command.output().await.context("no kill(1)")?;
    // It may have ended just before, and nobody is in the group then.
    ensure!(sent.status.success() || child.try_wait()?.is_some(), "{group} is no process group");
    Ok(())
}
