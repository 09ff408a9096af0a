//! The systemd units: what they start and what they may do.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

/// Exposure by systemd's own measure, in tenths: 0 is locked in, 100 does what it wants.
const EXPOSURE_MAX: u32 = 20;
/// The agent's: root's user and three capabilities count, and are what it needs.
const AGENT_EXPOSURE_MAX: u32 = 25;

/// The top of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_path_buf()
}

/// A unit's settings, in the order in which they stand.
#[derive(Debug)]
pub(crate) struct Unit(Vec<(String, String)>);

impl Unit {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let settings = text.lines().filter(|line| !line.starts_with(['#', '[']));
        let pairs = settings.filter_map(|line| line.split_once('='));
        Ok(Self(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()))
    }

    /// The only one of that name.
    pub(crate) fn one(&self, key: &str) -> anyhow::Result<&str> {
        let mut found = self.0.iter().filter(|(name, _)| name == key).map(|(_, value)| value.as_str());
        let one = found.next().with_context(|| format!("the unit has no {key}"))?;
        ensure!(found.next().is_none(), "the unit has {key} twice");
        Ok(one)
    }
}

#[tokio::test]
async fn systemd_understands_the_unit_and_finds_it_locked_in() -> anyhow::Result<()> {
    check("lockkeeper.service", EXPOSURE_MAX).await
}

#[tokio::test]
async fn systemd_understands_the_agents_unit_and_finds_it_locked_in() -> anyhow::Result<()> {
    check("lockkeeper-agent.service", AGENT_EXPOSURE_MAX).await
}

async fn check(name: &str, exposure_max: u32) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let unit = repository().join("deploy").join(name);
    let program = Unit::read(&unit)?.one("ExecStart")?.split(' ').next().unwrap_or_default().to_owned();
    assert_eq!(program, "/usr/bin/lockkeeper", "where the package puts it");
    // What it starts has to be there.
    let text = std::fs::read_to_string(&unit)?.replace(&program, "/bin/true");
    let copy = folder.path().join(name);
    std::fs::write(&copy, text)?;
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&copy)
        .stdin(Stdio::null())
        .output()
        .await
        .context("systemd-analyze runs: .ci/setup systemd")?;
    // Of other units of the machine it says things as well.
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    let about_ours: Vec<&str> = said.lines().filter(|line| line.contains(name)).collect();
    ensure!(verified.status.success() && about_ours.is_empty(), "{said}");

    let measured = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", &format!("--threshold={exposure_max}")])
        .arg(&copy)
        .stdin(Stdio::null())
        .output()
        .await?;
    let said = String::from_utf8_lossy(&measured.stdout).into_owned();
    ensure!(measured.status.success(), "{said}{}", String::from_utf8_lossy(&measured.stderr));
    Ok(())
}
