use clap::{Args, Subcommand};
use http::Method;
use serde::Serialize;

use super::api_client::ApiClient;
use super::error::CliError;
use super::exit::Exit;
use super::listing::{self, ListingArgs, or_dash};
use super::output::Output;
use crate::api::address::with_segment;
use crate::api::orders::cancel::CancelReport;
use crate::store::authorizations_view::AuthorizationView;
use crate::store::fetches::FetchView;
use crate::store::orders_view::OrderView;
use crate::store::page::Listing;
use crate::store::timelines::Timeline;

/// Fetches that are shown with an order; there is a list of all of them.
const FETCHES_SHOWN: usize = 20;

#[derive(Debug, Subcommand)]
pub enum OrderCommand {
    /// Shows one order, its authorizations and everything that has happened to them.
    Show(ShowArgs),
    /// Lists who has fetched the order's challenge responses from the responder, from where, and what they got.
    Fetches(FetchesArgs),
    /// Tells what has happened to an order: what was done, what the CA said, who fetched its responses, what it cost.
    Timeline(ShowArgs),
    /// Ends an order; what it has at the CA is settled first.
    Cancel(ShowArgs),
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The order's id (ord_…).
    #[arg(value_name = "ID")]
    pub order: String,
}

#[derive(Debug, Args)]
pub struct FetchesArgs {
    /// The order's id (ord_…).
    #[arg(value_name = "ID")]
    pub order: String,
    #[command(flatten)]
    pub listing: ListingArgs,
}

/// An order and what was fetched of it.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    order: OrderView,
    /// The earliest; `order fetches` lists all.
    fetches: Vec<FetchView>,
}

pub async fn run(command: &OrderCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    match command {
        OrderCommand::Show(args) => show(args, api, output).await,
        OrderCommand::Fetches(args) => fetches(args, api, output).await,
        OrderCommand::Timeline(args) => timeline(args, api, output).await,
        OrderCommand::Cancel(args) => {
            let path = format!("{}/cancel", with_segment("/v1/orders", &args.order));
            let report: CancelReport = api.write(Method::POST, &path, None, None).await?;
            output.show(&report, ["order", ""], |report| {
                vec![[report.order_id.to_string(), report.detail.clone()]]
            })?;
            Ok(Exit::Done)
        }
    }
}

async fn show(args: &ShowArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let order: OrderView = api.get(&with_segment("/v1/orders", &args.order)).await?;
    let some = ListingArgs { limit: FETCHES_SHOWN, cursor: None };
    let fetches: Listing<FetchView> = listing::fetch(api, &fetches_of(&args.order), &[], &some).await?;
    let shown = Shown { order, fetches: fetches.data };
    output.show(&shown, ["order", ""], |shown| {
        let mut rows = facts(&shown.order);
        rows.extend(shown.fetches.iter().map(|one| ["fetched".to_owned(), fetched(one)]));
        rows
    })?;
    Ok(Exit::Done)
}

async fn fetches(args: &FetchesArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let found = listing::fetch::<FetchView>(api, &fetches_of(&args.order), &[], &args.listing).await?;
    let header = ["at", "name", "from", "request", "host", "got", "by", "user agent"];
    listing::show(output, &found, header, |fetch| {
        [
            fetch.at.to_string(),
            or_dash(fetch.identifier.as_ref()),
            fetch.source.clone(),
            fetch.method.clone(),
            or_dash(fetch.host.as_ref()),
            fetch.status.to_string(),
            by(fetch).to_owned(),
            or_dash(fetch.user_agent.as_ref()),
        ]
    })
}

async fn timeline(args: &ShowArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let path = format!("{}/timeline", with_segment("/v1/orders", &args.order));
    let timeline: Timeline = api.get(&path).await?;
    output.show(&timeline, ["at", "what", "name", ""], |timeline| {
        let told = timeline.data.iter().map(|moment| {
            [
                moment.at.to_string(),
                moment.kind.clone(),
                or_dash(moment.identifier.as_ref()),
                moment.summary.clone(),
            ]
        });
        told.collect()
    })?;
    Ok(Exit::Done)
}

fn fetches_of(order: &str) -> String {
    format!("{}/fetches", with_segment("/v1/orders", order))
}

/// Our own look before the challenge, or somebody else: the CA, most likely.
fn by(fetch: &FetchView) -> &'static str {
    if fetch.own { "this service" } else { "another" }
}

fn fetched(fetch: &FetchView) -> String {
    let name = or_dash(fetch.identifier.as_ref());
    let (at, source, status) = (fetch.at, &fetch.source, fetch.status);
    format!("{name} {status} {at}, by {} from {source}, {}", by(fetch), or_dash(fetch.user_agent.as_ref()))
}

fn facts(order: &OrderView) -> Vec<[String; 2]> {
    let mut facts = vec![
        ("id", order.id.to_string()),
        ("tenant", order.tenant.clone()),
        ("certificate", order.certificate_id.to_string()),
        ("names", order.names.join(" ")),
        ("stage", order.stage.clone()),
        ("lane", order.lane.clone()),
        ("next attempt", or_dash(order.next_attempt_at)),
        ("accepted", order.accepted_at.to_string()),
        ("proven", or_dash(order.proven_at)),
        ("admitted", or_dash(order.admitted_at)),
        ("ended", or_dash(order.ended_at)),
        ("trace", order.trace_id.clone()),
        ("CA order", or_dash(order.ca_order_url.as_ref())),
    ];
    if let Some(wait) = &order.waits_for {
        let until = wait.until.map(|at| format!(", next at {at}")).unwrap_or_default();
        facts.push(("waits", format!("{}{until}", wait.detail)));
    }
    if let Some(fault) = &order.fault {
        facts.extend([
            ("fault", format!("{}: {}", fault.class.as_str(), fault.detail)),
            ("at", or_dash(fault.hostname.as_ref())),
            ("to do", fault.advice.clone()),
        ]);
    }
    let authorizations = order.authorizations.iter().flatten().map(|one| ("authorization", history(one)));
    facts.extend(authorizations);
    facts.into_iter().map(|(name, value)| [name.to_owned(), value]).collect()
}

fn history(authorization: &AuthorizationView) -> String {
    let instants = [
        ("opened", Some(authorization.opened_at)),
        ("submitted", authorization.submitted_at),
        ("deactivation intended", authorization.deactivate_intended_at),
        ("settled", authorization.settled_at),
        ("final", authorization.final_at),
    ];
    let happened = instants.into_iter().filter_map(|(what, at)| Some(format!("{what} {}", at?)));
    let identifier = or_dash(authorization.identifier.as_ref());
    let first = format!("{identifier} {} {}", authorization.status, authorization.id);
    std::iter::once(first).chain(happened).collect::<Vec<_>>().join(", ")
}
