//! lego's exec protocol: `PROGRAM present FQDN VALUE` and `PROGRAM cleanup FQDN VALUE`, success is exit status 0.
//!
//! The program sees the variables of its own file and a path to search, and nothing of ours; see [`crate::program`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tracing::debug;

use super::presenter::{Change, PresentError, Presenter};
use super::record_name::RecordName;
use crate::program::{self, CallError, Ended};

pub(super) struct Exec {
    program: PathBuf,
    environment: BTreeMap<String, String>,
    /// For one call.
    timeout: Duration,
}

impl std::fmt::Debug for Exec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exec").field("program", &self.program).finish_non_exhaustive()
    }
}

/// Why the program cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    #[error("{} cannot be read", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{}:{line}: write NAME=value", path.display())]
    Line { path: PathBuf, line: usize },
}

impl Exec {
    pub(super) fn new(
        program: PathBuf,
        environment_file: Option<&Path>,
        timeout: Duration,
    ) -> Result<Self, EnvironmentError> {
        let environment = environment_file.map(read_environment).transpose()?.unwrap_or_default();
        Ok(Self { program, environment, timeout })
    }

    async fn call(&self, verb: &str, owner: &RecordName, value: &str) -> Result<(), PresentError> {
        let mut command = program::command(&self.program);
        command.args([verb, &format!("{owner}."), value]).envs(&self.environment);
        let ended = program::call(command, self.timeout).await.map_err(|error| match error {
            CallError::Start(source) => {
                PresentError::unreachable(format!("{}: {source}", self.program.display()))
            }
            CallError::Wait(source) => PresentError::unreachable(source),
            CallError::Timeout { within } => PresentError::Timeout { within },
        })?;
        let Ended { status, last_line: last } = ended;
        debug!(program = %self.program.display(), verb, %owner, %status, "A program was called");
        if status.success() {
            return Ok(());
        }
        Err(PresentError::refused(format!("{} {verb} ended with {status}: {last}", self.program.display())))
    }
}

impl Presenter for Exec {
    fn write<'a>(
        &'a self,
        _: &'a RecordName,
        changes: &'a [Change],
    ) -> BoxFuture<'a, Result<(), PresentError>> {
        async move {
            for change in changes {
                for value in &change.remove {
                    self.call("cleanup", &change.owner, value).await?;
                }
                for value in &change.add {
                    self.call("present", &change.owner, value).await?;
                }
            }
            Ok(())
        }
        .boxed()
    }
}

/// `NAME=value` lines, as systemd's `EnvironmentFile=` reads them in its simplest form.
fn read_environment(path: &Path) -> Result<BTreeMap<String, String>, EnvironmentError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| EnvironmentError::Read { path: path.to_owned(), source })?;
    let mut variables = BTreeMap::new();
    for (number, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line
            .split_once('=')
            .filter(|(name, _)| !name.is_empty() && !name.contains(char::is_whitespace))
            .ok_or_else(|| EnvironmentError::Line { path: path.to_owned(), line: number + 1 })?;
        variables.insert(name.to_owned(), value.to_owned());
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    fn program(folder: &TempDir, body: &str) -> Exec {
        let path = folder.path().join("program");
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("made a program");
        let variables = folder.path().join("variables");
        std::fs::write(&variables, "# the account\nAPI_KEY=a b=c\n").expect("written");
        Exec::new(path, Some(&variables), Duration::from_secs(20)).expect("prepared")
    }

    fn change(add: &[&str], remove: &[&str]) -> Change {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let owner = RecordName::parse("_acme-challenge.shop.com").expect("a name");
        Change { owner, add: texts(add), remove: texts(remove) }
    }

    async fn write(exec: &Exec, changes: &[Change]) -> Result<(), PresentError> {
        exec.write(&RecordName::parse("shop.com").expect("a zone"), changes).await
    }

    #[tokio::test]
    async fn it_is_called_once_for_each_value_and_no_shell_reads_what_it_is_given() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let body = format!("printf '%s|' \"$@\" \"$API_KEY\" \"${{HOME-none}}\" >> {}", log.display());
        let exec = program(&folder, &body);
        write(&exec, &[change(&["one", "$(touch x); two"], &["old"])]).await.expect("it succeeds");
        let told = std::fs::read_to_string(log).expect("its log");
        let name = "_acme-challenge.shop.com.";
        let line = |verb: &str, value: &str| format!("{verb}|{name}|{value}|a b=c|none|");
        assert_eq!(
            told,
            [line("cleanup", "old"), line("present", "one"), line("present", "$(touch x); two")].concat()
        );
    }

    #[tokio::test]
    async fn what_it_says_when_it_fails_is_told_and_no_more_of_it_than_fits() {
        let folder = tempfile::tempdir().expect("a folder");
        let exec = program(&folder, "head -c 1000000 /dev/zero; echo 'no such zone' >&2; exit 3");
        let error = write(&exec, &[change(&["one"], &[])]).await.expect_err("it fails");
        assert_eq!(error.as_str(), "refused");
        assert!(error.to_string().ends_with("exit status: 3: no such zone"), "{error}");
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_with_all_that_it_has_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let pid = folder.path().join("pid");
        let mut exec = program(&folder, &format!("sleep 600 & echo $! > {}; wait", pid.display()));
        exec.timeout = Duration::from_millis(500);
        let error = write(&exec, &[change(&["one"], &[])]).await.expect_err("it hangs");
        assert_eq!(error.as_str(), "timeout");
        let pid = std::fs::read_to_string(pid).expect("its child's id");
        let status = format!("/proc/{}/stat", pid.trim());
        // Killed, it may still stand in the table until init has read its status.
        let alive = || std::fs::read_to_string(&status).is_ok_and(|stat| !stat.contains(") Z "));
        tokio::time::timeout(Duration::from_secs(10), async {
            while alive() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the child was killed");
    }

    #[tokio::test]
    async fn one_that_is_not_there_and_variables_that_are_none_are_told() {
        let nowhere =
            Exec::new("/nonexistent/program".into(), None, Duration::from_secs(1)).expect("prepared");
        assert_eq!(
            write(&nowhere, &[change(&["one"], &[])]).await.expect_err("no program").as_str(),
            "unreachable"
        );
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("variables");
        std::fs::write(&path, "A=1\nexport B=2\n").expect("written");
        let error =
            Exec::new("/bin/true".into(), Some(&path), Duration::from_secs(1)).expect_err("a bad line");
        assert!(error.to_string().ends_with("variables:2: write NAME=value"), "{error}");
    }
}
