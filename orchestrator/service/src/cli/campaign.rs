//! `lockkeeper campaign`: certificates that are to be replaced by an instant.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use issuance::ids::{AccountId, CampaignId};
use issuance::time::Timestamp;
use serde_json::json;

use super::api_client::{ApiClient, ApiError};
use super::ca::overrides::instant;
use super::error::CliError;
use super::exit::Exit;
use super::listing::{self, ListingArgs, or_dash};
use super::output::{Format, Output};
use crate::api::campaigns::{CampaignPreview, WantedCampaign, WantedCampaignChange};
use crate::store::campaigns::selection::CampaignSelector;
use crate::store::campaigns::view::{CampaignDetail, CampaignView, MemberView};
use crate::store::page::Listing;

const PATH: &str = "/v1/campaigns";

#[derive(Debug, Subcommand)]
pub enum CampaignCommand {
    /// Has certificates replaced by a deadline; with --dry-run it tells which, at what cost and until when, and begins
    /// nothing.
    Create(Box<CreateArgs>),
    /// Lists campaigns.
    List(ListArgs),
    /// Shows one: how far it is, and whether it will be done in time.
    Show(IdArgs),
    /// Lists the certificates of one, and what has become of each.
    Certificates(CertificatesArgs),
    /// Has nothing more ordered until it is resumed; what is under way goes on.
    Pause(IdArgs),
    /// Lets one go on.
    Resume(IdArgs),
    /// Gives one another deadline or rate.
    Set(SetArgs),
    /// Calls one off. What is under way goes on to its end.
    Cancel(IdArgs),
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Why, for whoever reads of it later.
    #[arg(long)]
    pub reason: String,
    /// By when, as in 2027-03-01T00:00:00Z.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub deadline: Timestamp,
    /// Signed by this issuer: its distinguished name, or its common name alone.
    #[arg(long, value_name = "NAME")]
    pub issuer: Option<String>,
    /// Ordered with this account at the CA.
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<AccountId>,
    /// Ordered with this profile of the CA.
    #[arg(long)]
    pub profile: Option<String>,
    /// Issued then or later.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub issued_from: Option<Timestamp>,
    /// Issued then or earlier.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub issued_until: Option<Timestamp>,
    /// With this serial; given more than once for more.
    #[arg(long = "serial", value_name = "HEX")]
    pub serials: Vec<String>,
    /// With the serials of a file, one a line; '-' reads standard input.
    #[arg(long, value_name = "FILE")]
    pub serials_from: Option<PathBuf>,
    /// With this key, by the SHA-256 of its `SubjectPublicKeyInfo`; given more than once for more. They get new keys.
    #[arg(long = "key", value_name = "HEX")]
    pub keys: Vec<String>,
    /// Of this tenant.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// With these labels, as in server=web17,tier=shop.
    #[arg(long, value_name = "LABELS")]
    pub labels: Option<String>,
    /// Orders in an hour [default: as many as the CA's limits allow].
    #[arg(long, value_name = "N")]
    pub rate: Option<u32>,
    /// Certificates get new keys, also those that are to keep theirs.
    #[arg(long)]
    pub new_keys: bool,
    /// Begins nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusArg {
    Running,
    Paused,
    Done,
    Cancelled,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[arg(long, value_enum)]
    pub status: Option<StatusArg>,
    #[command(flatten)]
    pub listing: ListingArgs,
}

#[derive(Debug, Args)]
pub struct IdArgs {
    #[arg(value_name = "CAMPAIGN")]
    pub campaign: CampaignId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StateArg {
    Waiting,
    Queued,
    Replaced,
    Failed,
    Skipped,
}

#[derive(Debug, Args)]
pub struct CertificatesArgs {
    #[arg(value_name = "CAMPAIGN")]
    pub campaign: CampaignId,
    #[arg(long, value_enum)]
    pub state: Option<StateArg>,
    #[command(flatten)]
    pub listing: ListingArgs,
}

#[derive(Debug, Args)]
pub struct SetArgs {
    #[arg(value_name = "CAMPAIGN")]
    pub campaign: CampaignId,
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub deadline: Option<Timestamp>,
    /// Orders in an hour.
    #[arg(long, value_name = "N", conflicts_with = "no_rate")]
    pub rate: Option<u32>,
    /// As many as the CA's limits allow.
    #[arg(long)]
    pub no_rate: bool,
}

fn path(campaign: CampaignId) -> String {
    format!("{PATH}/{campaign}")
}

/// The word of an argument, as the API has it.
fn word(value: Option<impl ValueEnum>) -> Option<String> {
    value.and_then(|value| Some(value.to_possible_value()?.get_name().to_owned()))
}

pub async fn run(command: &CampaignCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    match command {
        CampaignCommand::Create(args) => return create(args, api, output).await,
        CampaignCommand::List(args) => {
            let filters = [("status", word(args.status))];
            let found: Listing<CampaignView> = listing::fetch(api, PATH, &filters, &args.listing).await?;
            let header =
                ["campaign", "status", "certificates", "replaced", "failed", "deadline", "eta", "reason"];
            return listing::show(output, &found, header, |one| {
                [
                    one.id.to_string(),
                    one.status.clone(),
                    one.certificates.to_string(),
                    one.replaced.to_string(),
                    one.failed.to_string(),
                    deadline(one),
                    or_dash(one.eta.as_ref()),
                    one.reason.clone(),
                ]
            });
        }
        CampaignCommand::Show(args) => {
            let found: CampaignDetail = api.get(&path(args.campaign)).await?;
            if output.format() == Format::Json {
                output.json(&found)?;
            } else {
                show(&found.campaign, output)?;
            }
        }
        CampaignCommand::Certificates(args) => {
            let filters = [("state", word(args.state))];
            let of = format!("{}/certificates", path(args.campaign));
            let found: Listing<MemberView> = listing::fetch(api, &of, &filters, &args.listing).await?;
            let header = ["certificate", "state", "names", "serial", "why", "replaced by"];
            return listing::show(output, &found, header, |one| {
                let why =
                    [&one.why, &one.detail].into_iter().flatten().cloned().collect::<Vec<_>>().join(": ");
                [
                    one.certificate_id.to_string(),
                    one.state.clone(),
                    one.names.join(" "),
                    one.serial.clone(),
                    why,
                    or_dash(one.replaced_by_serial.as_ref()),
                ]
            });
        }
        CampaignCommand::Pause(args) => set_status(args, "paused", api, output).await?,
        CampaignCommand::Resume(args) => set_status(args, "running", api, output).await?,
        CampaignCommand::Set(args) => {
            let rate_per_hour = if args.no_rate { Some(None) } else { args.rate.map(Some) };
            let change = WantedCampaignChange { status: None, deadline: args.deadline, rate_per_hour };
            show(&api.patch_json(&path(args.campaign), &change).await?, output)?;
        }
        CampaignCommand::Cancel(args) => show(&api.delete_telling(&path(args.campaign)).await?, output)?,
    }
    Ok(Exit::Done)
}

async fn set_status(args: &IdArgs, status: &str, api: &ApiClient, output: Output) -> Result<(), CliError> {
    let change = WantedCampaignChange { status: Some(status.to_owned()), ..WantedCampaignChange::default() };
    show(&api.patch_json(&path(args.campaign), &change).await?, output)
}

async fn create(args: &CreateArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let mut serials = args.serials.clone();
    if let Some(file) = &args.serials_from {
        serials.extend(serials_of(file)?);
    }
    let wanted = WantedCampaign {
        reason: args.reason.clone(),
        deadline: args.deadline,
        selector: CampaignSelector {
            issuer: args.issuer.clone(),
            account_id: args.account,
            profile: args.profile.clone(),
            issued_from: args.issued_from,
            issued_until: args.issued_until,
            serials,
            keys: args.keys.clone(),
            tenant: args.tenant.clone(),
            labels: args.labels.clone(),
        },
        rate_per_hour: args.rate,
        new_keys: args.new_keys.then_some(true),
    };
    if args.dry_run {
        let preview: CampaignPreview = api.post_json(&format!("{PATH}?dry_run=true"), &wanted).await?;
        foretell(&preview, output)?;
        return Ok(Exit::Done);
    }
    show(&api.write(Method::POST, PATH, Some(&json!(wanted)), None).await?, output)?;
    Ok(Exit::Done)
}

/// One a line; what is empty or begins with `#` is none.
fn serials_of(file: &Path) -> Result<Vec<String>, ApiError> {
    let read = || {
        if file == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        } else {
            std::fs::read_to_string(file)
        }
    };
    let text = read().map_err(|source| ApiError::File { path: file.display().to_string(), source })?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

fn deadline(one: &CampaignView) -> String {
    if one.late { format!("{} (late)", one.deadline) } else { one.deadline.to_string() }
}

fn show(one: &CampaignView, output: Output) -> Result<(), CliError> {
    let header = [
        "campaign",
        "status",
        "certificates",
        "waiting",
        "queued",
        "replaced",
        "failed",
        "skipped",
        "deadline",
        "eta",
    ];
    output.show(one, header, |one| {
        vec![[
            one.id.to_string(),
            one.status.clone(),
            one.certificates.to_string(),
            one.waiting.to_string(),
            one.queued.to_string(),
            one.replaced.to_string(),
            one.failed.to_string(),
            one.skipped.to_string(),
            deadline(one),
            or_dash(one.eta.as_ref()),
        ]]
    })
}

fn foretell(preview: &CampaignPreview, output: Output) -> Result<(), CliError> {
    if output.format() == Format::Json {
        return output.json(&json!(preview));
    }
    let row = |name: &str, value: String| [name.to_owned(), value];
    let finish = preview.finish.as_ref();
    output.show(preview, ["what", "how many"], |preview| {
        vec![
            row("certificates", preview.certificates.to_string()),
            row("of tenants", preview.tenants.to_string()),
            row("charged by the CA", preview.orders.charged.to_string()),
            row("exempt: renewal in its window", preview.orders.exempt_by_renewal_info.to_string()),
            row("exempt: the same set lately", preview.orders.exempt_by_exact_set.to_string()),
            row("superseded", preview.superseded.to_string()),
            row("removed", preview.removed.to_string()),
            row("expired", preview.expired.to_string()),
            row("serials unknown", preview.serials_unknown.to_string()),
            row("done, at the median", or_dash(finish.map(|finish| finish.p50).as_ref())),
            row("done, nine times in ten", or_dash(finish.map(|finish| finish.p90).as_ref())),
            row("deadline", preview.deadline.to_string()),
            row("in time", if preview.in_time { "yes" } else { "no" }.to_owned()),
        ]
    })
}
