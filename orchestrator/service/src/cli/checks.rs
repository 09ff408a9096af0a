//! `lockkeeper checks`: how often each check is right, and whether it keeps names back.

use clap::{Args, Subcommand};
use issuance::check::Check;
use issuance::precision::Standing;

use super::api_client::ApiClient;
use super::error::CliError;
use super::exit::Exit;
use super::hostname::check;
use super::listing::or_dash;
use super::output::Output;
use crate::api::address::with_segment;
use crate::api::checks::{CheckList, WantedStanding};
use crate::store::check_records::CheckRecordView;

#[derive(Debug, Subcommand)]
pub enum ChecksCommand {
    /// Lists the checks, with what they said and what the CA said then.
    List,
    /// Has a check keep names back again.
    Promote(CheckArgs),
    /// Makes a check advice: it is told, and keeps nobody back.
    Demote(CheckArgs),
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[arg(value_name = "CHECK", value_parser = check)]
    pub check: Check,
}

pub async fn run(command: &ChecksCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let list: CheckList = match command {
        ChecksCommand::List => api.get("/v1/checks").await?,
        ChecksCommand::Promote(args) => change(args.check, Standing::Blocks, api).await?,
        ChecksCommand::Demote(args) => change(args.check, Standing::Advice, api).await?,
    };
    let header = ["check", "standing", "since", "by", "false alarms", "true alarms", "missed", "passed"];
    output.show(&list, header, |list| list.data.iter().map(row).collect())?;
    Ok(Exit::Done)
}

async fn change(check: Check, standing: Standing, api: &ApiClient) -> Result<CheckList, CliError> {
    let path = format!("{}/standing", with_segment("/v1/checks", check.as_str()));
    Ok(api.put_json(&path, &WantedStanding { standing }).await?)
}

fn row(record: &CheckRecordView) -> [String; 8] {
    [
        record.check.as_str().to_owned(),
        record.standing.as_str().to_owned(),
        or_dash(record.standing_since),
        or_dash(record.standing_by.as_ref()),
        record.not_ready_valid.to_string(),
        record.not_ready_invalid.to_string(),
        record.ready_invalid.to_string(),
        record.ready_valid.to_string(),
    ]
}
