//! `lockkeeper event`: what was done, and what has come about.

use std::time::Duration;

use clap::{Args, Subcommand};
use issuance::ids::{CertificateId, EventId};
use issuance::time::Timestamp;

use super::api_client::ApiClient;
use super::ca::overrides::instant;
use super::error::CliError;
use super::exit::Exit;
use super::listing::{self, ListingArgs, or_dash};
use super::output::{Format, Output};
use crate::api::address::with_query;
use crate::store::events_view::EventView;
use crate::store::page::Listing;

const PATH: &str = "/v1/events";
/// Between two looks of one who follows.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Subcommand)]
pub enum EventCommand {
    /// Lists events, the latest first.
    List(ListArgs),
    /// Shows events as they come, one a line, until it is interrupted.
    Follow(FollowArgs),
}

#[derive(Debug, Args)]
pub struct FilterArgs {
    /// A kind such as certificate.issued, or all of a subject as in 'certificate.*'; given more than once for more.
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Vec<String>,
    /// The object it is about: an id, a hostname, a limit.
    #[arg(long)]
    pub subject: Option<String>,
    /// A tenant's slug.
    #[arg(long)]
    pub tenant: Option<String>,
    #[arg(long)]
    pub certificate: Option<CertificateId>,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub filter: FilterArgs,
    /// From then on, as in 2027-03-01T00:00:00Z.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub since: Option<Timestamp>,
    #[command(flatten)]
    pub listing: ListingArgs,
}

#[derive(Debug, Args)]
pub struct FollowArgs {
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Goes on after this event [default: after the latest one].
    #[arg(long, value_name = "EVENT")]
    pub after: Option<EventId>,
    /// Ends after so many.
    #[arg(long, value_name = "N")]
    pub count: Option<usize>,
}

impl FilterArgs {
    fn parameters(&self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("kind", (!self.kinds.is_empty()).then(|| self.kinds.join(","))),
            ("subject", self.subject.clone()),
            ("tenant", self.tenant.clone()),
            ("certificate", self.certificate.map(|id| id.to_string())),
        ]
    }
}

pub async fn run(command: &EventCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    match command {
        EventCommand::List(args) => {
            let mut parameters = args.filter.parameters();
            parameters.push(("since", args.since.map(|at| at.to_string())));
            let found: Listing<EventView> = listing::fetch(api, PATH, &parameters, &args.listing).await?;
            listing::show(output, &found, ["at", "kind", "subject", "actor", "event"], |one| {
                [
                    one.at.to_string(),
                    one.kind.clone(),
                    one.subject.clone(),
                    one.actor.name.clone(),
                    one.id.to_string(),
                ]
            })
        }
        EventCommand::Follow(args) => follow(args, api, output).await,
    }
}

async fn follow(args: &FollowArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let mut place = args.after;
    let mut left = args.count.unwrap_or(usize::MAX);
    while left > 0 {
        let Some(after) = place else {
            // Where nothing was ever told, the first event is all there is to go on after.
            let latest: Listing<EventView> =
                api.get(&with_query(PATH, &[("limit", Some("1".to_owned()))])).await?;
            place = latest.data.first().map(|event| event.id);
            if place.is_none() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            continue;
        };
        let mut parameters = args.filter.parameters();
        parameters.push(("after", Some(after.to_string())));
        let found: Listing<EventView> = api.get(&with_query(PATH, &parameters)).await?;
        for event in found.data.iter().take(left) {
            if output.format() == Format::Json {
                output.line(event)?;
            } else {
                let (actor, data) = (&event.actor.name, &event.data);
                output.text(&format!(
                    "{} {} {} by {actor}: {data}",
                    event.at,
                    event.kind,
                    or_dash(subject(event))
                ))?;
            }
        }
        left -= found.data.len().min(left);
        place = found.data.last().map(|event| event.id).or(place);
        if left > 0 && !found.has_more {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(Exit::Done)
}

fn subject(event: &EventView) -> Option<&String> {
    (!event.subject.is_empty()).then_some(&event.subject)
}
