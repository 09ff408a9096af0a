//! The `lockkeeper` program, as a process of its own: only then can its processor time be told from others'.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::process::{Child, Command};

const STOPPED_WITHIN: Duration = Duration::from_mins(1);

/// Built beside this bench: `<target>/release/lockkeeper`.
pub fn path() -> Result<PathBuf> {
    let here = std::env::current_exe().context("this bench does not know where it is")?;
    let folder = here.parent().and_then(Path::parent).context("this bench is in no target folder")?;
    let program = folder.join("lockkeeper");
    if !program.exists() {
        bail!("{} is missing: cargo build --release --package lockkeeper", program.display());
    }
    Ok(program)
}

/// Starts it with `arguments`. What it says to standard error goes to `log`, and standard output to `out`.
pub fn start(arguments: &[&str], out: Stdio, log: &Path) -> Result<Child> {
    let log = File::options().create(true).append(true).open(log).context("no log can be written")?;
    let mut command = Command::new(path()?);
    command.args(arguments).stdin(Stdio::null()).stdout(out).stderr(log).kill_on_drop(true);
    command.spawn().context("lockkeeper does not start")
}

/// Asks a process to stop, and waits until it has.
pub async fn stop(mut child: Child) -> Result<()> {
    if let Some(pid) = child.id() {
        Command::new("kill").arg(pid.to_string()).status().await.context("no kill(1)")?;
    }
    tokio::time::timeout(STOPPED_WITHIN, child.wait()).await.context("it does not stop")??;
    Ok(())
}
