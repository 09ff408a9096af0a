//! What is called when files have changed: a hook for each certificate, and one reload for all.

use std::time::Duration;

use super::layout::Paths;
use super::state::Installed;
use crate::config::agent::{HookConfig, ReloadConfig};
use crate::program::{self, CallError, Ended};

/// Why a command did not do what it is for; for people.
type Fault = String;

/// Nothing where no command is configured.
pub(super) async fn reload(config: &ReloadConfig) -> Result<(), Fault> {
    let Some((program, arguments)) = config.command.split_first() else { return Ok(()) };
    let mut command = program::command(program);
    command.args(arguments);
    call("the reload", command, config.timeout()).await
}

/// As acme.sh calls its deploy hooks: name, key, certificate, issuers, full chain; and with the variables of certbot's.
pub(super) async fn hook(config: &HookConfig, installed: &Installed, paths: &Paths) -> Result<(), Fault> {
    let Some((program, arguments)) = config.command.split_first() else { return Ok(()) };
    let mut command = program::command(program);
    command
        .args(arguments)
        .arg(installed.names.first().unwrap_or(&installed.name))
        .args([&paths.key, &paths.cert, &paths.chain, &paths.fullchain])
        .env("RENEWED_LINEAGE", &paths.lineage)
        .env("RENEWED_DOMAINS", installed.names.join(" "));
    call("the hook", command, config.timeout()).await
}

async fn call(what: &str, command: tokio::process::Command, within: Duration) -> Result<(), Fault> {
    match program::call(command, within).await {
        Ok(Ended { status, .. }) if status.success() => Ok(()),
        Ok(Ended { status, last_line }) => Err(format!("{what} ended with {status}: {last_line}")),
        Err(CallError::Start(source)) => Err(format!("{what} cannot be started: {source}")),
        Err(error) => Err(format!("{what} failed: {error}")),
    }
}
