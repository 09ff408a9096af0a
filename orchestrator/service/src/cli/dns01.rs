//! `lockkeeper dns01`: what the configuration's DNS providers can do, and what is known of their servers.

use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use issuance::identifier::Hostname;
use issuance::time::Clock as _;

use super::error::CliError;
use super::exit::Exit;
use super::listing::or_dash;
use super::output::Output;
use super::{ServerArgs, account, load};
use crate::api::settlings::SettlingList;
use crate::app::record_trial;
use crate::app::standing_record::{self, StandingRecord, Wanted};
use crate::clock::SystemClock;
use crate::config::ca_profile;
use crate::store::settlings::SettlingView;

const DAY: Duration = Duration::from_hours(24);

#[derive(Debug, Subcommand)]
pub enum Dns01Command {
    /// Writes a record for a name, sees it on all of its name servers, and removes it again: with the providers and the
    /// secrets of this machine's configuration, and without a CA.
    Test(TestArgs),
    /// Prints the record that lets the account have a name certified for as long as it stands (dns-persist-01), and says
    /// whether all of its name servers show it. It is used where the CA offers that. The exit code is 5 where it is not
    /// shown.
    Persist(PersistArgs),
    /// Lists how long records settle before the CA is asked to look, where failed validations have taught it.
    Settle,
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

#[derive(Debug, Args)]
pub struct PersistArgs {
    /// The name that a certificate is to have. With a star the record is for wildcards too.
    #[arg(value_name = "NAME")]
    hostname: String,
    /// What the CA is called in the record. Absent: as in its profile.
    #[arg(long, value_name = "DOMAIN")]
    issuer: Option<Box<str>>,
    /// The account at the CA. Absent: what the service says.
    #[arg(long, value_name = "URL")]
    account_url: Option<String>,
    /// For how many days from now the record is to be good. Absent: for as long as it stands.
    #[arg(long, value_name = "DAYS")]
    days: Option<u16>,
}

pub(super) async fn run(
    command: &Dns01Command,
    server: &ServerArgs,
    config: Option<&Path>,
    output: Output,
) -> Result<Exit, CliError> {
    match command {
        Dns01Command::Test(args) => test(args, config, output).await,
        Dns01Command::Persist(args) => persist(args, server, config, output).await,
        Dns01Command::Settle => {
            let list: SettlingList = server.client(config)?.get("/v1/dns01/settlings").await?;
            let header = ["servers", "provider", "settle s", "failures", "passed since", "learnt at"];
            output.show(&list, header, |list| list.data.iter().map(settling).collect())?;
            Ok(Exit::Done)
        }
    }
}

async fn test(args: &TestArgs, config: Option<&Path>, output: Output) -> Result<Exit, CliError> {
    let name = hostname(&args.hostname)?;
    let trial = record_trial::run(&load(config)?, &name, args.tenant.as_deref()).await?;
    output.show(&trial, ["step", "outcome", "detail"], |trial| {
        let row =
            |step: &record_trial::Step| [step.step.to_owned(), step.outcome.to_owned(), step.detail.clone()];
        trial.steps.iter().map(row).collect()
    })?;
    Ok(if trial.succeeded { Exit::Done } else { Exit::Failure })
}

async fn persist(
    args: &PersistArgs,
    server: &ServerArgs,
    path: Option<&Path>,
    output: Output,
) -> Result<Exit, CliError> {
    let name = hostname(&args.hostname)?;
    let unfit = |what: &str| CliError::Unfit { what: what.to_owned() };
    let config = load(path)?;
    let issuers = match &args.issuer {
        Some(issuer) => vec![issuer.clone()],
        None => {
            ca_profile::load(&config.ca.profile).map(|profile| profile.caa_identities).unwrap_or_default()
        }
    };
    if issuers.is_empty() {
        return Err(unfit(
            "the CA's profile does not say what it is called in records: name it with --issuer",
        ));
    }
    let account_url = match &args.account_url {
        Some(url) => url.clone(),
        None => account::current(&server.client(path)?).await?.account_url.ok_or_else(|| {
            unfit("the CA has not given the service an account yet: name one with --account-url")
        })?,
    };
    let now = SystemClock.now();
    let until = args.days.map(|days| now.after(DAY * u32::from(days)));
    let wanted = Wanted { issuers: &issuers, account_url: &account_url, until };
    let standing = standing_record::look(&config, &name, &wanted, now).await?;
    output.show(&standing, ["record", ""], rows)?;
    Ok(if standing.shown { Exit::Done } else { Exit::Partial })
}

fn hostname(text: &str) -> Result<Hostname, CliError> {
    Hostname::parse(text).map_err(|error| CliError::Unfit { what: format!("{text}: {error}") })
}

fn rows(standing: &StandingRecord) -> Vec<[String; 2]> {
    let mut rows = vec![
        ["publish".to_owned(), standing.record.clone()],
        ["shown".to_owned(), if standing.shown { "by all name servers" } else { "no" }.to_owned()],
    ];
    rows.extend(standing.detail.iter().map(|detail| ["why".to_owned(), detail.clone()]));
    rows.extend(standing.servers.iter().map(|server| ["server".to_owned(), server.clone()]));
    rows
}

fn settling(view: &SettlingView) -> [String; 6] {
    [
        view.servers.clone(),
        or_dash(view.provider.as_ref()),
        view.delay_seconds.to_string(),
        view.failures.to_string(),
        view.successes.to_string(),
        view.learnt_at.to_string(),
    ]
}
