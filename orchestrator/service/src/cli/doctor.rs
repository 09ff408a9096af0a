//! `lockkeeper doctor`: whether the installation itself is well.

use std::sync::Arc;

use clap::Args;

use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use crate::app::zone_trials;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::doctor::{self, Health};

/// Examines the installation itself: database, clock, CA, account, responder, ports, files, DNS providers.
///
/// Says of each thing OK, WARN or FAIL, with the fix. Changes nothing, but for a record that it writes in each zone of
/// each DNS provider, looks for on all of the zone's name servers, and removes. The exit code is 0 unless something says
/// FAIL.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Writes nothing at DNS providers either.
    #[arg(long)]
    read_only: bool,
}

pub(super) async fn run(args: &DoctorArgs, config: &Config, output: Output) -> Result<Exit, CliError> {
    let mut diagnoses = doctor::examine(config, Arc::new(SystemClock)).await;
    if !args.read_only {
        diagnoses.extend(zone_trials::run(config).await);
    }
    output.show(&diagnoses, ["what", "health", "found", "fix"], |diagnoses| {
        let row = |one: &doctor::Diagnosis| {
            let fix = one.fix.clone().unwrap_or_default();
            [one.what.to_owned(), one.health.as_str().to_owned(), one.found.clone(), fix]
        };
        diagnoses.iter().map(row).collect()
    })?;
    let worst = diagnoses.iter().map(|one| one.health).max();
    Ok(if worst == Some(Health::Fail) { Exit::Failure } else { Exit::Done })
}
