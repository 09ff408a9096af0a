//! The command line. Data goes to standard output, everything else to standard error.
//!
//! One command, one file: its arguments, and `run`, which says how it went as an [`Exit`].

mod config;
mod database;
mod error;
mod exit;
mod migrate;
mod output;
mod rehearsal_ca;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use secrecy::SecretString;

use crate::config::Config;
pub use error::CliError;
pub use exit::Exit;
pub use output::{Format, Output};

/// Certificates for hosting providers: orders go through when the CA allows, and nothing is left open.
#[derive(Debug, Parser)]
#[command(name = "lockkeeper", version, after_help = exit::HELP, propagate_version = true)]
pub struct Cli {
    /// The configuration file [default: ./lockkeeper.toml, else /etc/lockkeeper/config.toml].
    #[arg(long, global = true, value_name = "FILE", env = "LOCKKEEPER_CONFIG")]
    pub config: Option<PathBuf>,
    /// How results are printed.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// Which service a command talks to.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// The service's API.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "LOCKKEEPER_API",
        default_value = "http://127.0.0.1:8400"
    )]
    pub api: String,
    /// The API token; better given as the variable, which other users of the machine cannot see.
    #[arg(long, global = true, env = "LOCKKEEPER_TOKEN", hide_env_values = true)]
    pub token: Option<SecretString>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Brings the database schema up to date.
    Migrate(migrate::MigrateArgs),
    /// Checks the configuration, or shows an example.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    RehearsalCa(rehearsal_ca::RehearsalCaArgs),
}

/// Runs the command. What it finds goes to standard output; the caller prints the error.
pub async fn run(cli: Cli) -> Result<Exit, CliError> {
    let output = Output::new(cli.output);
    match cli.command {
        Command::Migrate(args) => migrate::run(&args, &load(cli.config.as_deref())?, output).await,
        Command::RehearsalCa(args) => rehearsal_ca::run(&args, output).await,
        Command::Config(command) => config::run(&command, cli.config.as_deref(), output),
    }
}

fn load(path: Option<&Path>) -> Result<Config, CliError> {
    Ok(Config::load(path, environment())?)
}

/// The environment, without what is not Unicode: no variable of ours can be.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_token_is_not_printed_with_the_arguments() {
        let cli = Cli::parse_from(["lockkeeper", "--token", "lockkeeper_admin_hunter2", "migrate"]);
        assert!(!format!("{cli:?}").contains("hunter2"));
    }

    #[test]
    fn help_tells_the_exit_codes() {
        let help = Cli::command().render_help().to_string();
        for exit in Exit::ALL {
            let line = format!("{:>3}  {}", exit.code(), exit.meaning());
            assert!(help.contains(&line), "{line:?} is not in the help:\n{help}");
        }
    }
}
