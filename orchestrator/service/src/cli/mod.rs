//! The command line. Data goes to standard output, everything else to standard error.
//!
//! One command, one file: its arguments, and `run`, which says how it went as an [`Exit`].

pub mod account;
pub mod admin;
pub mod agent;
pub mod api_client;
pub mod authz;
pub mod ca;
pub mod campaign;
pub mod cert;
pub mod checks;
mod config;
mod database;
pub mod demo;
mod dns01;
pub mod doctor;
mod error;
pub mod event;
mod exit;
pub mod explain;
pub mod headroom;
mod healthcheck;
pub mod hostname;
pub mod http01;
pub mod import;
pub mod key;
pub mod listing;
mod migrate;
mod notice;
mod openapi;
pub mod order;
mod output;
pub mod paused;
pub mod plan;
mod rehearsal_ca;
mod rehearse;
pub mod restored;
mod serve;
pub mod tenant;
pub mod webhook;
mod wishes;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};

use crate::config::Config;
use api_client::ApiClient;
pub use error::CliError;
pub use exit::Exit;
pub use output::{Format, Output};

/// Certificates for hosting providers: orders go through when the CA allows, and nothing is left open.
#[derive(Debug, Parser)]
#[command(name = "lockkeeper", version, after_help = exit::HELP, propagate_version = true)]
pub struct Cli {
    /// The configuration file [default: ./lockkeeper.toml, else /etc/lockkeeper/config.toml; of an agent
    /// /etc/lockkeeper/agent.toml].
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

impl ServerArgs {
    /// With the token given, or else the one that the service on this machine has left in its data folder.
    fn client(&self, config: Option<&Path>) -> Result<ApiClient, CliError> {
        let token = match &self.token {
            Some(token) => api_client::parse_token(token.expose_secret())?,
            None => api_client::operator_token(&load(config)?.data.folder)?,
        };
        Ok(ApiClient::new(&self.api, &token)?)
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the service until it is asked to stop.
    Serve,
    /// Shows the main job on loopback: a fleet, a strict CA, and the service between them.
    Demo(demo::DemoArgs),
    /// Brings the database schema up to date.
    Migrate(migrate::MigrateArgs),
    Restored(restored::RestoredArgs),
    /// Brings in a fleet.
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Certificates: how each one is, and what is to be done.
    #[command(subcommand)]
    Cert(cert::CertCommand),
    /// Orders, and everything that has happened to them.
    #[command(subcommand)]
    Order(order::OrderCommand),
    /// Why a name has no certificate yet, who must act, and what to do.
    Explain(explain::ExplainArgs),
    /// One name: has it checked, taken up again, or a check skipped for it.
    #[command(subcommand)]
    Hostname(hostname::HostnameCommand),
    /// How often each check before an order is right, and whether it keeps names back.
    #[command(subcommand)]
    Checks(checks::ChecksCommand),
    Doctor(doctor::DoctorArgs),
    /// The ledger of authorizations.
    #[command(subcommand)]
    Authz(authz::AuthzCommand),
    /// How web servers answer HTTP-01 challenges.
    #[command(subcommand)]
    Http01(http01::Http01Command),
    /// Brings certificates to this server; reads agent.toml instead of the service's configuration.
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// The account at the CA.
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// What CAs are like, and where one counts otherwise than its profile says.
    #[command(subcommand)]
    Ca(ca::CaCommand),
    /// Records that prove names.
    #[command(subcommand)]
    Dns01(dns01::Dns01Command),
    /// What is left of everything that the CA counts.
    Headroom,
    /// Says whether the service of this configuration is ready, for container images.
    Healthcheck,
    /// Customers: who they are, what they may have, and whether they may begin anything new.
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Keys of the API: who may ask what.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// People who sign in to the dashboard.
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Names that the CA has paused until a person acts.
    #[command(subcommand)]
    Paused(paused::PausedCommand),
    /// What was done, and what has come about.
    #[command(subcommand)]
    Event(event::EventCommand),
    /// Who is told of events.
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Certificates that are to be replaced by a deadline, because the CA will revoke them.
    #[command(subcommand)]
    Campaign(campaign::CampaignCommand),
    Plan(plan::PlanArgs),
    /// Checks the configuration, or shows an example.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Prints the description of the API (`OpenAPI` 3.1).
    Openapi,
    RehearsalCa(rehearsal_ca::RehearsalCaArgs),
    Rehearse(rehearse::RehearseArgs),
}

/// Runs the command. What it finds goes to standard output; the caller prints the error.
///
/// Boxed, so that all of it is compiled here once, and not again in each binary that runs it.
pub fn run(cli: Cli) -> BoxFuture<'static, Result<Exit, CliError>> {
    Box::pin(perform(cli))
}

async fn perform(cli: Cli) -> Result<Exit, CliError> {
    let output = Output::new(cli.output);
    let config = cli.config.as_deref();
    match cli.command {
        Command::Serve => serve::run(load(config)?).await,
        Command::Demo(args) => demo::run(&args, output).await,
        Command::Migrate(args) => migrate::run(&args, &load(config)?, output).await,
        Command::Restored(args) => restored::run(&args, &load(config)?, output).await,
        Command::Import(command) => import::run(&command, &cli.server.client(config)?, output).await,
        Command::Cert(command) => cert::run(&command, &cli.server.client(config)?, output).await,
        Command::Order(command) => order::run(&command, &cli.server.client(config)?, output).await,
        Command::Authz(command) => authz::run(&command, &cli.server.client(config)?, output).await,
        Command::Explain(args) => explain::run(&args, &cli.server.client(config)?, output).await,
        Command::Hostname(command) => hostname::run(&command, &cli.server.client(config)?, output).await,
        Command::Checks(command) => checks::run(&command, &cli.server.client(config)?, output).await,
        Command::Doctor(args) => doctor::run(&args, &load(config)?, output).await,
        Command::Paused(command) => paused::run(&command, &cli.server.client(config)?, output).await,
        Command::Tenant(command) => tenant::run(&command, &cli.server.client(config)?, output).await,
        Command::Key(command) => key::run(&command, &cli.server.client(config)?, output).await,
        Command::Admin(command) => admin::run(&command, &cli.server.client(config)?, output).await,
        Command::Http01(command) => http01::run(&command, &cli.server, config, output).await,
        Command::Agent(command) => agent::run(&command, config, output).await,
        Command::Account(command) => account::run(&command, &cli.server.client(config)?, output).await,
        Command::Ca(command) => ca::run(&command, &cli.server, config, output).await,
        Command::Dns01(command) => dns01::run(&command, &cli.server, config, output).await,
        Command::Event(command) => event::run(&command, &cli.server.client(config)?, output).await,
        Command::Webhook(command) => webhook::run(&command, &cli.server.client(config)?, output).await,
        Command::Campaign(command) => campaign::run(&command, &cli.server.client(config)?, output).await,
        Command::Headroom => headroom::run(&cli.server.client(config)?, output).await,
        Command::Healthcheck => healthcheck::run(&load(config)?, output).await,
        Command::Plan(args) => {
            let api = args.account.map(|_| cli.server.client(config)).transpose()?;
            plan::run(&args, api.as_ref(), output).await
        }
        Command::Config(command) => config::run(&command, config, output),
        Command::Openapi => openapi::run(output),
        Command::RehearsalCa(args) => rehearsal_ca::run(&args, output).await,
        Command::Rehearse(args) => rehearse::run(&args, output).await,
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
