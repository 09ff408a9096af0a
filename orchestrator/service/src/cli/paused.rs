use clap::{Args, Subcommand};

use super::api_client::ApiClient;
use super::error::CliError;
use super::exit::Exit;
use super::listing::or_dash;
use super::output::Output;
use crate::api::address::with_query;
use crate::api::paused_names::{PausedNames, ReleaseReport};

#[derive(Debug, Subcommand)]
pub enum PausedCommand {
    /// Lists the names that the CA has paused, with the link that has it go on.
    List,
    /// Says that the CA goes on with them: what waits for them is due at once.
    Release(ReleaseArgs),
}

#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// The names; all of them where there is none, as a CA unpauses a whole account.
    #[arg(value_name = "NAME")]
    pub hostnames: Vec<String>,
}

pub async fn run(command: &PausedCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    match command {
        PausedCommand::List => {
            let paused: PausedNames = api.get("/v1/paused-names").await?;
            output.show(&paused, ["name", "since", "link"], |paused| {
                let row = |one: &crate::store::pauses::PausedView| {
                    [one.hostname.clone(), one.learnt_at.to_string(), or_dash(one.unpause_url.as_ref())]
                };
                paused.data.iter().map(row).collect()
            })?;
        }
        PausedCommand::Release(args) => release(&args.hostnames, api, output).await?,
    }
    Ok(Exit::Done)
}

async fn release(hostnames: &[String], api: &ApiClient, output: Output) -> Result<(), CliError> {
    const PATH: &str = "/v1/paused-names/release";
    let mut report = ReleaseReport { released: Vec::new() };
    if hostnames.is_empty() {
        report = api.post(PATH).await?;
    }
    for hostname in hostnames {
        let path = with_query(PATH, &[("hostname", Some(hostname.clone()))]);
        report.released.extend(api.post::<ReleaseReport>(&path).await?.released);
    }
    output
        .show(&report, ["released"], |report| report.released.iter().map(|name| [name.clone()]).collect())?;
    Ok(())
}
