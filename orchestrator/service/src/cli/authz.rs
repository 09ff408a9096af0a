mod settle;

use std::time::Duration;

use clap::{Args, Subcommand};
use issuance::time::{Clock as _, Timestamp};

use super::api_client::ApiClient;
use super::error::CliError;
use super::exit::Exit;
use super::listing::{self, ListingArgs, or_dash};
use super::output::Output;
use crate::api::address::with_segment;
use crate::clock::SystemClock;
use crate::store::authorizations_view::AuthorizationView;

pub use settle::SettleArgs;

#[derive(Debug, Subcommand)]
pub enum AuthzCommand {
    /// Lists the ledger of authorizations, oldest first.
    List(ListArgs),
    /// Shows one authorization: what has happened to it, and what comes next.
    Show(ShowArgs),
    /// Has open authorizations settled now, whatever it costs; says what that is.
    Settle(SettleArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those that are neither submitted nor deactivated nor final: why, until when, and what comes next.
    #[arg(long)]
    pub open: bool,
    /// pending, valid, invalid, deactivated, expired or revoked.
    #[arg(long)]
    pub status: Option<String>,
    #[arg(long)]
    pub tenant: Option<String>,
    #[command(flatten)]
    pub listing: ListingArgs,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The authorization's id (azn_…).
    #[arg(value_name = "ID")]
    pub authorization: String,
}

pub async fn run(command: &AuthzCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    match command {
        AuthzCommand::List(args) => list(args, api, output).await,
        AuthzCommand::Show(args) => show(args, api, output).await,
        AuthzCommand::Settle(args) => settle::run(args, api, output).await,
    }
}

async fn list(args: &ListArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let filters = [
        ("open", args.open.then(|| "true".to_owned())),
        ("status", args.status.clone()),
        ("tenant", args.tenant.clone()),
    ];
    let found =
        listing::fetch::<AuthorizationView>(api, "/v1/authorizations", &filters, &args.listing).await?;
    if args.open {
        let header =
            ["id", "identifier", "tenant", "site", "order", "age", "why", "settled by", "next", "at", "cost"];
        let now = SystemClock.now();
        return listing::show(output, &found, header, |one| open_row(one, now));
    }
    let header = ["id", "tenant", "identifier", "status", "open", "opened", "settled", "final"];
    listing::show(output, &found, header, |authorization| {
        [
            authorization.id.to_string(),
            authorization.tenant.clone(),
            or_dash(authorization.identifier.as_ref()),
            authorization.status.clone(),
            if authorization.open { "open" } else { "settled" }.to_owned(),
            authorization.opened_at.to_string(),
            or_dash(authorization.settled_at),
            or_dash(authorization.final_at),
        ]
    })
}

fn open_row(authorization: &AuthorizationView, now: Timestamp) -> [String; 11] {
    let outlook = authorization.outlook;
    [
        authorization.id.to_string(),
        or_dash(authorization.identifier.as_ref()),
        authorization.tenant.clone(),
        authorization.external_id.clone(),
        authorization.order_id.to_string(),
        age(authorization.opened_at.until(now)),
        or_dash(outlook.map(|outlook| outlook.why.sentence())),
        or_dash(authorization.settle_at),
        or_dash(outlook.map(|outlook| outlook.next.as_str())),
        or_dash(outlook.and_then(|outlook| outlook.next_at)),
        or_dash(outlook.map(|outlook| outlook.cost.as_str())),
    ]
}

/// In its largest unit and the next one.
fn age(of: Duration) -> String {
    let seconds = of.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days}d {}h", hours % 24),
        () if hours > 0 => format!("{hours}h {}m", minutes % 60),
        () if minutes > 0 => format!("{minutes}m"),
        () => format!("{seconds}s"),
    }
}

async fn show(args: &ShowArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let path = with_segment("/v1/authorizations", &args.authorization);
    let authorization: AuthorizationView = api.get(&path).await?;
    output.show(&authorization, ["authorization", ""], facts)?;
    Ok(Exit::Done)
}

fn facts(authorization: &AuthorizationView) -> Vec<[String; 2]> {
    let at = |instant: Option<Timestamp>| or_dash(instant);
    let mut facts = vec![
        ("id", authorization.id.to_string()),
        ("identifier", or_dash(authorization.identifier.as_ref())),
        ("status", authorization.status.clone()),
        ("tenant", authorization.tenant.clone()),
        ("site", authorization.external_id.clone()),
        ("certificate", authorization.certificate_id.to_string()),
        ("order", format!("{} {}", authorization.order_id, authorization.order_stage)),
        ("at the CA", authorization.url.clone()),
        ("opened", authorization.opened_at.to_string()),
        ("submission intended", at(authorization.submit_intended_at)),
        ("submitted", at(authorization.submitted_at)),
        ("settling asked for", at(authorization.settle_requested_at)),
        ("deactivation intended", at(authorization.deactivate_intended_at)),
        ("settled", at(authorization.settled_at)),
        ("final", at(authorization.final_at)),
        ("expires", authorization.expires_at.to_string()),
    ];
    if let Some(outlook) = authorization.outlook {
        facts.extend([
            ("why open", outlook.why.sentence().to_owned()),
            ("settled by", at(authorization.settle_at)),
            ("next", format!("{} {}", outlook.next.as_str(), or_dash(outlook.next_at))),
            ("cost", outlook.cost.sentence().to_owned()),
        ]);
    }
    if let Some(fault) = &authorization.fault {
        facts.extend([
            ("fault", format!("{}: {}", fault.class.as_str(), fault.detail)),
            ("to do", fault.advice.clone()),
        ]);
    }
    facts.into_iter().map(|(name, value)| [name.to_owned(), value]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_two_units() {
        let told = [5, 65, 3_600, 7_500, 86_400 * 3 + 3_600].map(|seconds| age(Duration::from_secs(seconds)));
        assert_eq!(told, ["5s", "1m", "1h 0m", "2h 5m", "3d 1h"]);
    }
}
