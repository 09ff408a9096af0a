use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::NAME;
use super::error::ClusterError;
use super::folder::{Folder, make_private, write_settings};
use super::owner::Owner;

/// Where Debian puts the programs, which are on nobody's PATH: one folder for each major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The server's programs of one major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    folder: PathBuf,
    /// `None` for those found on the PATH.
    version: Option<u32>,
}

impl Binaries {
    /// Those of `version`, or the newest where there is no cluster yet.
    pub(super) fn find(version: Option<u32>) -> Result<Self, ClusterError> {
        let mut found = installed(Path::new(DEBIAN));
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        found.extend(
            std::env::split_paths(&on_path)
                .filter(|folder| has_all(folder))
                .map(|folder| Self { folder, version: None }),
        );
        choose(found, version)
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    fn pg_ctl(&self) -> PathBuf {
        self.folder.join("pg_ctl")
    }

    /// Makes the cluster beside its place and moves it there when it is whole.
    pub(super) async fn make_cluster(
        &self,
        folder: &Folder,
        owner: &Owner,
        settings: &str,
    ) -> Result<(), ClusterError> {
        let unfinished = folder.unfinished();
        let failed = |source| ClusterError::Folder { folder: unfinished.clone(), source };
        match std::fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        make_private(&unfinished, owner)?;

        let initdb = self.folder.join("initdb");
        let mut command = owner.command(&initdb);
        command.arg("-D").arg(&unfinished).args([
            "--username",
            NAME,
            "--auth-local=trust",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--data-checksums",
            "--no-instructions",
        ]);
        run(&initdb, command, "").await?;
        write_settings(&unfinished, owner, settings)?;

        let mut command = owner.command(&self.postgres());
        command.arg("--single").arg("-D").arg(&unfinished).arg("postgres");
        run(&self.postgres(), command, &format!("create database {NAME};\n")).await?;
        std::fs::rename(&unfinished, folder.cluster()).map_err(failed)
    }

    pub(super) async fn is_running(&self, folder: &Folder, owner: &Owner) -> Result<bool, ClusterError> {
        let mut command = owner.command(&self.pg_ctl());
        command.arg("status").arg("-D").arg(folder.cluster()).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().await;
        let status = status.map_err(|source| ClusterError::Spawn { program: self.pg_ctl(), source })?;
        Ok(status.success())
    }

    pub(super) async fn stop(
        &self,
        folder: &Folder,
        owner: &Owner,
        within: Duration,
    ) -> Result<(), ClusterError> {
        if !self.is_running(folder, owner).await? {
            return Ok(());
        }
        let mut command = owner.command(&self.pg_ctl());
        command.args(["stop", "--mode=fast", "--wait", "--silent", "--timeout"]);
        command.arg(within.as_secs().to_string()).arg("-D").arg(folder.cluster());
        run(&self.pg_ctl(), command, "").await
    }

    /// Sends the signal and leaves.
    pub(super) fn stop_without_waiting(&self, folder: &Folder, owner: &Owner) {
        let mut command = owner.command(&self.pg_ctl()).into_std();
        command.args(["stop", "--mode=fast", "--no-wait", "--silent", "-D"]).arg(folder.cluster());
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = command.status() {
            tracing::warn!(event = "cluster.stop_failed", error = %error, "The private database could not be told to stop");
        }
    }
}

/// Newest first.
fn installed(folder: &Path) -> Vec<Binaries> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<Binaries> = entries
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let folder = entry.path().join("bin");
            has_all(&folder).then_some(Binaries { folder, version: Some(version) })
        })
        .collect();
    found.sort_by_key(|binaries| std::cmp::Reverse(binaries.version));
    found
}

fn has_all(folder: &Path) -> bool {
    ["postgres", "initdb", "pg_ctl"].iter().all(|program| folder.join(program).is_file())
}

fn choose(found: Vec<Binaries>, version: Option<u32>) -> Result<Binaries, ClusterError> {
    let Some(version) = version else {
        return found.into_iter().next().ok_or(ClusterError::NotInstalled);
    };
    let versions: Vec<String> =
        found.iter().filter_map(|binaries| binaries.version).map(|version| version.to_string()).collect();
    // Programs on the PATH do not tell their version by their place; the server refuses a foreign cluster itself.
    let fits = |binaries: &Binaries| binaries.version.is_none_or(|own| own == version);
    let found_any = !found.is_empty();
    found.into_iter().find(fits).ok_or(if found_any {
        ClusterError::VersionNotInstalled { version, found: versions.join(", ") }
    } else {
        ClusterError::NotInstalled
    })
}

async fn run(program: &Path, mut command: Command, input: &str) -> Result<(), ClusterError> {
    let failed = |source| ClusterError::Spawn { program: program.to_path_buf(), source };
    command.current_dir("/").env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.process_group(0).kill_on_drop(true).spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await.map_err(failed)?;
    }
    let output = child.wait_with_output().await.map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    Err(ClusterError::Program { program: program.to_path_buf(), said })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(root: &Path, version: &str) {
        let bin = root.join(version).join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        for program in ["postgres", "initdb", "pg_ctl"] {
            std::fs::write(bin.join(program), "").unwrap();
        }
    }

    #[test]
    fn the_newest_makes_a_cluster_and_its_own_version_runs_it() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9.6", "15", "17", "16"] {
            install(root.path(), version);
        }
        std::fs::create_dir_all(root.path().join("18/bin")).unwrap();
        let found = installed(root.path());
        assert_eq!(choose(found.clone(), None).unwrap().version, Some(17));
        assert_eq!(choose(found.clone(), Some(15)).unwrap().version, Some(15));
        let error = choose(found, Some(14)).unwrap_err();
        assert!(
            error.to_string().contains("postgresql-14") && error.to_string().contains("17, 16, 15"),
            "{error}"
        );
    }

    #[test]
    fn a_machine_without_the_server_is_told_the_package() {
        let root = tempfile::tempdir().unwrap();
        let error = choose(installed(root.path()), None).unwrap_err();
        assert!(error.to_string().contains("apt-get install postgresql"), "{error}");
    }
}
