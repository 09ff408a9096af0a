//! `lockkeeper hostname`: what can be done about one name.

use clap::{Args, Subcommand};
use issuance::check::Check;
use issuance::time::Timestamp;

use super::api_client::{ApiClient, with_segment};
use super::ca::overrides::instant;
use super::error::CliError;
use super::exit::Exit;
use super::explain;
use super::output::Output;
use crate::api::hostnames::WantedSkip;
use crate::store::explanations::HostnameView;

#[derive(Debug, Subcommand)]
pub enum HostnameCommand {
    /// Has a name checked now, and shows what was found.
    Check(NameArgs),
    /// Takes up a name again that was given up.
    Resume(NameArgs),
    /// Skips a check for one name, or takes that back.
    Override(OverrideArgs),
}

#[derive(Debug, Args)]
pub struct NameArgs {
    #[arg(value_name = "NAME")]
    pub hostname: String,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["skip", "restore"]))]
pub struct OverrideArgs {
    #[arg(value_name = "NAME")]
    pub hostname: String,
    /// The check that is wrong about this name.
    #[arg(long, value_name = "CHECK", value_parser = check, requires = "note")]
    pub skip: Option<Check>,
    /// The check that counts again.
    #[arg(long, value_name = "CHECK", value_parser = check, conflicts_with_all = ["note", "until"])]
    pub restore: Option<Check>,
    /// Why the check is wrong about it.
    #[arg(long)]
    pub note: Option<String>,
    /// Until when it is skipped, as in 2027-03-01T00:00:00Z [default: until it is restored].
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub until: Option<Timestamp>,
}

pub(super) fn check(text: &str) -> Result<Check, String> {
    let known: Vec<&str> = Check::ALL.iter().map(|check| check.as_str()).collect();
    Check::parse(text).ok_or_else(|| format!("there is no such check; there are {}", known.join(", ")))
}

pub async fn run(command: &HostnameCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    match command {
        HostnameCommand::Check(NameArgs { hostname }) => {
            let args = explain::ExplainArgs { hostname: hostname.clone(), check: true };
            return explain::run(&args, api, output).await;
        }
        HostnameCommand::Resume(NameArgs { hostname }) => {
            let path = with_segment("/v1/hostnames", hostname);
            let view: HostnameView = api.post(&format!("{path}/resume")).await?;
            explain::show(&view, output)?;
        }
        HostnameCommand::Override(args) => {
            let name = with_segment("/v1/hostnames", &args.hostname);
            let path = |check: Check| format!("{name}/overrides/{}", check.as_str());
            let view: HostnameView = match (args.skip, args.restore) {
                (Some(check), _) => {
                    let note = args.note.clone().unwrap_or_default();
                    let wanted = WantedSkip { note, expires_at: args.until };
                    api.put_json(&path(check), &wanted).await?
                }
                (None, Some(check)) => api.delete_telling(&path(check)).await?,
                (None, None) => api.get(&name).await?,
            };
            explain::show(&view, output)?;
        }
    }
    Ok(Exit::Done)
}
