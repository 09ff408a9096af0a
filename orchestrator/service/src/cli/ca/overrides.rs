use clap::{Args, Subcommand};
use issuance::limit::LimitName;
use issuance::time::Timestamp;

use crate::api::address::with_segment;
use crate::api::limit_overrides::{OverrideList, SearchView, WantedOverride, WantedSearch};
use crate::cli::api_client::ApiClient;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::listing::or_dash;
use crate::cli::output::Output;
use crate::store::limit_overrides::OverrideView;

#[derive(Debug, Subcommand)]
pub enum OverrideCommand {
    /// Lists what the operator has entered and what the service has learnt.
    List,
    /// Enters what the CA has granted; it holds for the next order.
    Add(AddArgs),
    /// Takes one back.
    Remove(RemoveArgs),
    /// Finds out whether the CA grants more new orders than is known: where none is left, one order at a time goes all
    /// the same, until the CA says no. It costs one answer 429, which tells the number.
    Seek(SeekArgs),
}

#[derive(Debug, Args)]
pub struct SeekArgs {
    /// When to stop at the latest [default: in a week].
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub until: Option<Timestamp>,
    /// Stops now.
    #[arg(long, conflicts_with = "until")]
    pub stop: bool,
}

#[derive(Debug, Args)]
pub struct AddArgs {
    /// The limit, as `lockkeeper ca show` spells it.
    #[arg(value_parser = limit)]
    pub limit: LimitName,
    /// How many at once.
    #[arg(long)]
    pub burst: u32,
    /// How many come back in each period [default: the burst].
    #[arg(long)]
    pub count: Option<u32>,
    /// The period, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub period: u64,
    /// The registered domain for which it holds [default: the account].
    #[arg(long)]
    pub domain: Option<String>,
    /// Who granted it, and where that is written.
    #[arg(long)]
    pub note: String,
    /// When the CA ends it, such as 2027-01-01T00:00:00Z.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub expires: Option<Timestamp>,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The override's id (lov_…).
    #[arg(value_name = "ID")]
    pub id: String,
}

fn limit(text: &str) -> Result<LimitName, String> {
    let known = || LimitName::ALL.map(LimitName::as_str).join(", ");
    LimitName::parse(text).ok_or_else(|| format!("no such limit: it is one of {}", known()))
}

pub(in crate::cli) fn instant(text: &str) -> Result<Timestamp, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|_| "write it like 2027-01-01T00:00:00Z".to_owned())
}

pub(super) async fn run(
    command: &OverrideCommand,
    api: &ApiClient,
    output: Output,
) -> Result<Exit, CliError> {
    const PATH: &str = "/v1/limit-overrides";
    const SEARCH_PATH: &str = "/v1/limit-overrides/search";
    match command {
        OverrideCommand::List => {
            let all: OverrideList = api.get(PATH).await?;
            show(&all.data, output)?;
        }
        OverrideCommand::Add(args) => {
            let wanted = WantedOverride {
                limit: args.limit,
                burst: args.burst,
                count: args.count,
                period_seconds: args.period,
                key: args.domain.clone(),
                note: args.note.clone(),
                expires_at: args.expires,
            };
            let entered: OverrideView = api.post_json(PATH, &wanted).await?;
            show(&[entered], output)?;
        }
        OverrideCommand::Seek(SeekArgs { stop: true, .. }) => api.delete(SEARCH_PATH).await?,
        OverrideCommand::Seek(SeekArgs { until, .. }) => {
            let search: SearchView = api.post_json(SEARCH_PATH, &WantedSearch { until: *until }).await?;
            output.show(&search, ["sought until"], |search| vec![[search.until.to_string()]])?;
        }
        OverrideCommand::Remove(args) => api.delete(&with_segment(PATH, &args.id)).await?,
    }
    Ok(Exit::Done)
}

fn show(all: &[OverrideView], output: Output) -> Result<(), CliError> {
    let header = ["id", "limit", "for", "at once", "come back", "origin", "ends", "note"];
    output.show(&all, header, |all| {
        all.iter()
            .map(|one| {
                let whom = one.key.clone().unwrap_or_else(|| match one.account_id {
                    Some(account) => account.to_string(),
                    None => "all".to_owned(),
                });
                [
                    one.id.to_string(),
                    one.limit.as_str().to_owned(),
                    whom,
                    one.burst.to_string(),
                    format!("{} in {} s", one.count, one.period_seconds),
                    one.origin.clone(),
                    if one.expired { "has ended".to_owned() } else { or_dash(one.expires_at) },
                    one.note.clone(),
                ]
            })
            .collect()
    })
}
