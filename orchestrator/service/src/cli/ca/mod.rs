pub(super) mod overrides;
mod show;

use std::path::Path;

use clap::{Args, Subcommand};

use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use super::{ServerArgs, load};
use crate::config::ca_profile::{self, BUILT_IN};

pub use overrides::OverrideCommand;

#[derive(Debug, Subcommand)]
pub enum CaCommand {
    /// Lists the CA profiles that are built in.
    List,
    /// Shows everything that a CA profile says.
    Show(ShowArgs),
    /// Where the CA counts otherwise than its profile says.
    #[command(subcommand)]
    Override(OverrideCommand),
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A built-in profile, or the path of a file; absent: the configured one.
    #[arg(value_name = "NAME")]
    pub profile: Option<String>,
}

pub async fn run(
    command: &CaCommand,
    server: &ServerArgs,
    config: Option<&Path>,
    output: Output,
) -> Result<Exit, CliError> {
    match command {
        CaCommand::List => {
            let mut profiles = Vec::with_capacity(BUILT_IN.len());
            for (name, _) in BUILT_IN {
                profiles.push(ca_profile::load(name)?);
            }
            show::list(&profiles, output)?;
            Ok(Exit::Done)
        }
        CaCommand::Show(args) => {
            let name = match &args.profile {
                Some(name) => name.clone(),
                None => load(config)?.ca.profile,
            };
            show::one(&ca_profile::load(&name)?, output)?;
            Ok(Exit::Done)
        }
        CaCommand::Override(command) => overrides::run(command, &server.client(config)?, output).await,
    }
}
