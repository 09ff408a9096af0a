//! `lockkeeper dns01`: what the configuration's DNS providers can do.

use clap::{Args, Subcommand};
use issuance::identifier::Hostname;

use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use crate::app::record_trial;
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub enum Dns01Command {
    /// Writes a record for a name, sees it on all of its name servers, and removes it again: with the providers and the
    /// secrets of this machine's configuration, and without a CA.
    Test(TestArgs),
}

#[derive(Debug, Args)]
pub struct TestArgs {
    /// The name that a certificate is to have; a wildcard is proven like the name below it.
    #[arg(value_name = "NAME")]
    hostname: String,
    /// For whom, where providers are for certain tenants only.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
}

pub(super) async fn run(command: &Dns01Command, config: &Config, output: Output) -> Result<Exit, CliError> {
    let Dns01Command::Test(args) = command;
    let name = Hostname::parse(&args.hostname)
        .map_err(|error| CliError::Unfit { what: format!("{}: {error}", args.hostname) })?;
    let trial = record_trial::run(config, &name, args.tenant.as_deref()).await?;
    output.show(&trial, ["step", "outcome", "detail"], |trial| {
        let row =
            |step: &record_trial::Step| [step.step.to_owned(), step.outcome.to_owned(), step.detail.clone()];
        trial.steps.iter().map(row).collect()
    })?;
    Ok(if trial.succeeded { Exit::Done } else { Exit::Failure })
}
