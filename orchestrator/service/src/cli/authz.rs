use clap::{Args, Subcommand};

use super::api_client::ApiClient;
use super::error::CliError;
use super::exit::Exit;
use super::listing::{self, ListingArgs, or_dash};
use super::output::Output;
use crate::store::authorizations_view::AuthorizationView;

#[derive(Debug, Subcommand)]
pub enum AuthzCommand {
    /// Lists the ledger of authorizations, oldest first.
    List(ListArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those that are neither submitted nor deactivated nor final.
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

pub async fn run(command: &AuthzCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let AuthzCommand::List(args) = command;
    let filters = [
        ("open", args.open.then(|| "true".to_owned())),
        ("status", args.status.clone()),
        ("tenant", args.tenant.clone()),
    ];
    let found =
        listing::fetch::<AuthorizationView>(api, "/v1/authorizations", &filters, &args.listing).await?;
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
