//! `lockkeeper hostname`: what can be done about one name.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use issuance::check::Check;
use issuance::time::Timestamp;

use super::api_client::ApiClient;
use super::ca::overrides::instant;
use super::error::CliError;
use super::exit::Exit;
use super::explain;
use super::listing::{self, ListingArgs, or_dash};
use super::output::Output;
use super::wishes;
use crate::api::address::with_segment;
use crate::api::hostnames::WantedSkip;
use crate::store::explanations::HostnameView;
use crate::store::hostnames_view::HostnameSummary;

#[derive(Debug, Subcommand)]
pub enum HostnameCommand {
    /// Lists hostnames by name.
    List(ListArgs),
    /// Puts a name in place, and orders its certificate.
    Put(PutArgs),
    /// Gives a name up, and its certificate with it.
    Delete(NameArgs),
    /// Has a name checked now, and shows what was found.
    Check(NameArgs),
    /// Takes up a name again that was given up.
    Resume(NameArgs),
    /// Skips a check for one name, or takes that back.
    Override(OverrideArgs),
}

#[derive(Debug, Args)]
pub struct NameArgs {
    #[arg(value_name = "NAME")]
    pub hostname: String,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// How the names begin.
    #[arg(value_name = "BEGINNING")]
    pub q: Option<String>,
    /// active, issuing, `rate_limited`, `not_ready`, resting, suspended, `paused_at_ca`, failed or unused.
    #[arg(long)]
    pub status: Option<String>,
    #[arg(long)]
    pub tenant: Option<String>,
    /// Your own id of the name.
    #[arg(long)]
    pub external_id: Option<String>,
    /// As in server=web17.
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Option<String>,
    #[arg(long, value_name = "CLASS")]
    pub failure_class: Option<String>,
    #[command(flatten)]
    pub listing: ListingArgs,
}

#[derive(Debug, Args)]
pub struct PutArgs {
    #[arg(value_name = "NAME")]
    pub hostname: String,
    /// What else its certificate is to have.
    #[arg(value_name = "WITH")]
    pub names_with: Vec<String>,
    /// Whose it is; a tenant's key needs none.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Your own id of it.
    #[arg(long)]
    pub external_id: Option<String>,
    /// http-01 or dns-01.
    #[arg(long)]
    pub challenge: Option<String>,
    /// As in server=web17; may be given several times.
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub labels: Vec<String>,
    /// ecdsa-p256, ecdsa-p384, rsa2048, rsa3072 or rsa4096.
    #[arg(long)]
    pub key_type: Option<String>,
    /// A certificate request in PEM, of whoever keeps the key; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub csr: Option<PathBuf>,
    /// Keeps no certificate for it.
    #[arg(long)]
    pub no_certificate: bool,
    /// Waits up to so many seconds (30 at the most) until it stands well.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30")]
    pub wait: Option<u64>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["skip", "restore"]))]
pub struct OverrideArgs {
    #[arg(value_name = "NAME")]
    pub hostname: String,
    /// The check that is wrong about this name.
    #[arg(long, value_name = "CHECK", value_parser = check, requires = "note")]
    pub skip: Option<Check>,
    /// The check that counts again.
    #[arg(long, value_name = "CHECK", value_parser = check, conflicts_with_all = ["note", "until"])]
    pub restore: Option<Check>,
    /// Why the check is wrong about it.
    #[arg(long)]
    pub note: Option<String>,
    /// Until when it is skipped, as in 2027-03-01T00:00:00Z [default: until it is restored].
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub until: Option<Timestamp>,
}

pub(super) fn check(text: &str) -> Result<Check, String> {
    let known: Vec<&str> = Check::ALL.iter().map(|check| check.as_str()).collect();
    Check::parse(text).ok_or_else(|| format!("there is no such check; there are {}", known.join(", ")))
}

pub async fn run(command: &HostnameCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    match command {
        HostnameCommand::List(args) => return list(args, api, output).await,
        HostnameCommand::Put(args) => {
            let mut wish = wishes::of(&args.labels, args.challenge.as_deref(), args.csr.as_deref())?;
            wishes::set(&mut wish, "tenant", args.tenant.as_deref());
            wishes::set(&mut wish, "external_id", args.external_id.as_deref());
            wishes::set(&mut wish, "key_type", args.key_type.as_deref());
            if !args.names_with.is_empty() {
                wish["names_with"] = serde_json::json!(args.names_with);
            }
            if args.no_certificate {
                wish["auto_certificate"] = false.into();
            }
            let path = with_segment("/v1/hostnames", &args.hostname);
            let view: HostnameView = api.write(Method::PUT, &path, Some(&wish), args.wait).await?;
            explain::show(&view, output)?;
        }
        HostnameCommand::Delete(NameArgs { hostname }) => {
            let path = with_segment("/v1/hostnames", hostname);
            api.write::<serde_json::Value>(Method::DELETE, &path, None, None).await?;
        }
        HostnameCommand::Check(NameArgs { hostname }) => {
            let args = explain::ExplainArgs { hostname: hostname.clone(), check: true };
            return explain::run(&args, api, output).await;
        }
        HostnameCommand::Resume(NameArgs { hostname }) => {
            let path = with_segment("/v1/hostnames", hostname);
            let view: HostnameView = api.post(&format!("{path}/resume")).await?;
            explain::show(&view, output)?;
        }
        HostnameCommand::Override(args) => {
            let name = with_segment("/v1/hostnames", &args.hostname);
            let path = |check: Check| format!("{name}/overrides/{}", check.as_str());
            let view: HostnameView = match (args.skip, args.restore) {
                (Some(check), _) => {
                    let note = args.note.clone().unwrap_or_default();
                    let wanted = WantedSkip { note, expires_at: args.until };
                    api.put_json(&path(check), &wanted).await?
                }
                (None, Some(check)) => api.delete_telling(&path(check)).await?,
                (None, None) => api.get(&name).await?,
            };
            explain::show(&view, output)?;
        }
    }
    Ok(Exit::Done)
}

async fn list(args: &ListArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let filters = [
        ("q", args.q.clone()),
        ("status", args.status.clone()),
        ("tenant", args.tenant.clone()),
        ("external_id", args.external_id.clone()),
        ("label", args.label.clone()),
        ("failure_class", args.failure_class.clone()),
    ];
    let found = listing::fetch::<HostnameSummary>(api, "/v1/hostnames", &filters, &args.listing).await?;
    let header = ["hostname", "tenant", "external id", "status", "fault", "certificate", "next attempt"];
    listing::show(output, &found, header, |one| {
        [
            one.hostname.clone(),
            one.tenant.clone(),
            or_dash(one.external_id.as_ref()),
            one.status.as_str().to_owned(),
            or_dash(one.failure_class.map(issuance::fault::FailureClass::as_str)),
            or_dash(one.certificate_id),
            or_dash(one.next_attempt_at),
        ]
    })
}
