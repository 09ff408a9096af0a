//! `lockkeeper tenant`: the provider's customers.

use clap::{Args, Subcommand, ValueEnum};

use super::api_client::ApiClient;
use super::error::CliError;
use super::exit::Exit;
use super::listing::{self, ListingArgs, or_dash};
use super::output::Output;
use crate::api::address::with_segment;
use crate::api::tenants::{QuotasChange, TenantChange, WantedQuotas, WantedTenant};
use crate::store::page::Listing;
use crate::store::tenants::{TenantStatus, TenantView};

const TENANTS: &str = "/v1/tenants";

#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Lists the tenants.
    List(ListArgs),
    /// Shows one, with what it uses of its quotas.
    Show(NameArgs),
    /// Makes one. An import of the operator's makes those that it names by itself.
    Create(CreateArgs),
    /// Changes one.
    Set(SetArgs),
    /// Has nothing new begun for one; what it has is renewed and served.
    Suspend(NameArgs),
    /// Lets one begin again.
    Resume(NameArgs),
    /// Removes one that has neither certificates nor hostnames any more, with its keys, users and webhooks.
    Delete(NameArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[arg(long, value_enum)]
    pub status: Option<StatusArg>,
    /// Its name in your own books.
    #[arg(long)]
    pub external_id: Option<String>,
    #[command(flatten)]
    pub listing: ListingArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusArg {
    Active,
    Suspended,
}

#[derive(Debug, Args)]
pub struct NameArgs {
    /// Its slug, or its id.
    #[arg(value_name = "TENANT")]
    pub tenant: String,
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Its name in files and addresses; never changes.
    #[arg(value_name = "SLUG")]
    pub slug: String,
    /// For people.
    #[arg(long, default_value = "")]
    pub name: String,
    /// Its name in your own books.
    #[arg(long)]
    pub external_id: Option<String>,
    /// Hostnames that it may have [default: as many as it likes].
    #[arg(long, value_name = "N")]
    pub hostnames: Option<u32>,
    /// Certificates that it may begin in a day [default: as many as it likes].
    #[arg(long, value_name = "N")]
    pub certificates_per_day: Option<u32>,
    /// Its share of what is scarce, by the side of the others' weights.
    #[arg(long, default_value_t = 1)]
    pub weight: u32,
}

#[derive(Debug, Args)]
pub struct SetArgs {
    /// Its slug, or its id.
    #[arg(value_name = "TENANT")]
    pub tenant: String,
    #[arg(long)]
    pub name: Option<String>,
    /// Its name in your own books, or `none`.
    #[arg(long, value_parser = text_or_none)]
    pub external_id: Option<Given<String>>,
    /// Hostnames that it may have, or `none` for as many as it likes.
    #[arg(long, value_name = "N", value_parser = number_or_none)]
    pub hostnames: Option<Given<u32>>,
    /// Certificates that it may begin in a day, or `none` for as many as it likes.
    #[arg(long, value_name = "N", value_parser = number_or_none)]
    pub certificates_per_day: Option<Given<u32>>,
    #[arg(long)]
    pub weight: Option<u32>,
}

/// A value, or the word `none`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given<T>(Option<T>);

fn text_or_none(text: &str) -> Result<Given<String>, String> {
    match text {
        "" => Err("a name, or none".to_owned()),
        "none" => Ok(Given(None)),
        text => Ok(Given(Some(text.to_owned()))),
    }
}

fn number_or_none(text: &str) -> Result<Given<u32>, String> {
    match text {
        "none" => Ok(Given(None)),
        number => {
            number.parse().map(|number| Given(Some(number))).map_err(|_| "a number, or none".to_owned())
        }
    }
}

pub async fn run(command: &TenantCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let view: TenantView = match command {
        TenantCommand::List(args) => return list(args, api, output).await,
        TenantCommand::Show(args) => api.get(&with_segment(TENANTS, &args.tenant)).await?,
        TenantCommand::Create(args) => {
            let wanted = WantedTenant {
                slug: args.slug.clone(),
                name: args.name.clone(),
                external_id: args.external_id.clone(),
                quotas: WantedQuotas {
                    hostnames: args.hostnames,
                    new_certificates_per_day: args.certificates_per_day,
                },
                weight: args.weight,
            };
            api.post_json(TENANTS, &wanted).await?
        }
        TenantCommand::Set(args) => {
            let quotas = QuotasChange {
                hostnames: args.hostnames.clone().map(|given| given.0),
                new_certificates_per_day: args.certificates_per_day.clone().map(|given| given.0),
            };
            let change = TenantChange {
                name: args.name.clone(),
                external_id: args.external_id.clone().map(|given| given.0),
                status: None,
                quotas: (quotas != QuotasChange::default()).then_some(quotas),
                weight: args.weight,
            };
            api.patch_json(&with_segment(TENANTS, &args.tenant), &change).await?
        }
        TenantCommand::Suspend(args) => set_status(args, TenantStatus::Suspended, api).await?,
        TenantCommand::Resume(args) => set_status(args, TenantStatus::Active, api).await?,
        TenantCommand::Delete(args) => {
            let path = with_segment(TENANTS, &args.tenant);
            let before: TenantView = api.get(&path).await?;
            api.delete_version(&path, before.version).await?;
            return Ok(Exit::Done);
        }
    };
    show(&view, output)
}

async fn set_status(args: &NameArgs, status: TenantStatus, api: &ApiClient) -> Result<TenantView, CliError> {
    let change = TenantChange { status: Some(status), ..TenantChange::default() };
    Ok(api.patch_json(&with_segment(TENANTS, &args.tenant), &change).await?)
}

async fn list(args: &ListArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let status = args.status.map(|status| match status {
        StatusArg::Active => TenantStatus::Active.as_str().to_owned(),
        StatusArg::Suspended => TenantStatus::Suspended.as_str().to_owned(),
    });
    let filters = [("status", status), ("external_id", args.external_id.clone())];
    let tenants: Listing<TenantView> = listing::fetch(api, TENANTS, &filters, &args.listing).await?;
    listing::show(output, &tenants, ["slug", "name", "external id", "status", "weight", "id"], |one| {
        [
            one.slug.clone(),
            one.name.clone(),
            or_dash(one.external_id.as_ref()),
            one.status.as_str().to_owned(),
            one.weight.to_string(),
            one.id.to_string(),
        ]
    })
}

fn show(view: &TenantView, output: Output) -> Result<Exit, CliError> {
    output.show(view, ["what", "is"], |view| {
        let of = |used: Option<u64>, quota: Option<u32>| {
            let quota = quota.map_or_else(|| "no limit".to_owned(), |quota| format!("{quota} at the most"));
            used.map_or_else(|| quota.clone(), |used| format!("{used}, {quota}"))
        };
        let usage = view.usage;
        let rows = [
            ("slug", view.slug.clone()),
            ("id", view.id.to_string()),
            ("name", view.name.clone()),
            ("external id", or_dash(view.external_id.as_ref())),
            ("status", view.status.as_str().to_owned()),
            ("weight", view.weight.to_string()),
            ("hostnames", of(usage.map(|usage| usage.hostnames), view.quotas.hostnames)),
            (
                "new certificates today",
                of(usage.map(|usage| usage.new_certificates_today), view.quotas.new_certificates_per_day),
            ),
            ("created", view.created_at.to_string()),
        ];
        rows.into_iter().map(|(what, is)| [what.to_owned(), is]).collect()
    })?;
    Ok(Exit::Done)
}
