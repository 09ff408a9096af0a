use clap::{Args, Subcommand};

use super::api_client::{ApiClient, with_segment};
use super::error::CliError;
use super::exit::Exit;
use super::listing::or_dash;
use super::output::Output;
use crate::store::authorizations_view::AuthorizationView;
use crate::store::orders_view::OrderView;

#[derive(Debug, Subcommand)]
pub enum OrderCommand {
    /// Shows one order, its authorizations and everything that has happened to them.
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The order's id (ord_…).
    #[arg(value_name = "ID")]
    pub order: String,
}

pub async fn run(command: &OrderCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let OrderCommand::Show(args) = command;
    let path = with_segment("/v1/orders", &args.order);
    let order: OrderView = api.get(&path).await?;
    output.show(&order, ["order", ""], facts)?;
    Ok(Exit::Done)
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
        ("CA order", or_dash(order.ca_order_url.as_ref())),
    ];
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
