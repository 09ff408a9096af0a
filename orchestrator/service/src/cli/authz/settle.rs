use clap::Args;
use serde::Serialize;

use crate::api::address::{with_query, with_segment};
use crate::api::authorizations::settle::SettleReport;
use crate::cli::api_client::{ApiClient, ApiError};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::listing::or_dash;
use crate::cli::output::Output;

#[derive(Debug, Args)]
pub struct SettleArgs {
    /// The authorizations' ids (azn_…), as `authz list --open` shows them.
    #[arg(value_name = "ID", required = true)]
    pub authorizations: Vec<String>,
    /// Only says what would be done and what it would cost.
    #[arg(long)]
    pub dry_run: bool,
}

/// What came of all ids.
#[derive(Debug, Serialize)]
struct Outcome {
    settled: Vec<SettleReport>,
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Refused {
    authorization_id: String,
    /// The problem's code.
    code: String,
    detail: String,
}

/// One that is refused does not keep the others from being settled.
pub(super) async fn run(args: &SettleArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let mut outcome = Outcome { settled: Vec::new(), refused: Vec::new() };
    let mut exit = Exit::Done;
    for id in &args.authorizations {
        let path = format!("{}/settle", with_segment("/v1/authorizations", id));
        let path = with_query(&path, &[("dry_run", args.dry_run.then(|| "true".to_owned()))]);
        match api.post::<SettleReport>(&path).await {
            Ok(report) => outcome.settled.push(report),
            Err(error) if matches!(error.exit(), Exit::NotFound | Exit::Conflict) => {
                exit = error.exit();
                let ApiError::Refused { code, detail, .. } = error else { return Err(error.into()) };
                outcome.refused.push(Refused { authorization_id: id.clone(), code, detail });
            }
            Err(error) => return Err(error.into()),
        }
    }
    output.show(&outcome, ["id", "identifier", "", "cost", "detail"], rows)?;
    let some = !outcome.settled.is_empty() && !outcome.refused.is_empty();
    Ok(if some { Exit::Partial } else { exit })
}

fn rows(outcome: &Outcome) -> Vec<[String; 5]> {
    let settled = outcome.settled.iter().map(|report| {
        [
            report.authorization_id.to_string(),
            or_dash(report.identifier.as_ref()),
            if report.dry_run { "would be settled" } else { "is being settled" }.to_owned(),
            report.cost.as_str().to_owned(),
            report.detail.clone(),
        ]
    });
    let refused = outcome.refused.iter().map(|refused| {
        let dash = || "-".to_owned();
        [refused.authorization_id.clone(), dash(), refused.code.clone(), dash(), refused.detail.clone()]
    });
    settled.chain(refused).collect()
}
