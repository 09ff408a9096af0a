use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::api_client::ApiClient;
use super::error::CliError;
use super::exit::Exit;
use super::listing::{self, ListingArgs, or_dash};
use super::notice::notice;
use super::output::Output;
use super::wishes;
use crate::api::address::{with_query, with_segment};
use crate::store::certificates::{CertificateStatus, CertificateView, RenewalView};
use crate::store::page::Listing;

#[derive(Debug, Subcommand)]
pub enum CertCommand {
    /// Lists certificates, oldest first.
    List(ListArgs),
    /// Shows one certificate, what it waits for and what is to be done.
    Show(ShowArgs),
    /// Orders a certificate.
    Create(CreateArgs),
    /// Orders a renewal now, whenever it was to be.
    Renew(ActArgs),
    /// Tries again now what rests after a failure.
    Retry(ActArgs),
    /// Orders nothing more for it until it is resumed.
    Pause(ActArgs),
    /// Looks after it again.
    Resume(ActArgs),
    /// Has the latest one that was issued revoked.
    Revoke(RevokeArgs),
    /// Removes it; its orders are settled first, and what was issued stays valid until it expires.
    Delete(ActArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// pending, issuing, active, attention, failed, parked, paused or revoked.
    #[arg(long)]
    pub status: Option<String>,
    #[arg(long)]
    pub tenant: Option<String>,
    #[arg(long)]
    pub hostname: Option<String>,
    /// Your own id of the site.
    #[arg(long)]
    pub external_id: Option<String>,
    #[command(flatten)]
    pub listing: ListingArgs,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// An id (crt_…) or a hostname.
    #[arg(value_name = "ID|HOSTNAME")]
    pub certificate: String,
    /// Prints the certificate chain in PEM instead.
    #[arg(long)]
    pub chain: bool,
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The names; with --csr they may be left out.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
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
    /// A renewal keeps the key.
    #[arg(long)]
    pub reuse_key: bool,
    /// A certificate request in PEM, of whoever keeps the key; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub csr: Option<PathBuf>,
    /// Waits up to so many seconds (30 at the most) for it.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30")]
    pub wait: Option<u64>,
}

#[derive(Debug, Args)]
pub struct ActArgs {
    /// The certificate's id (crt_…).
    #[arg(value_name = "ID")]
    pub certificate: String,
    /// Waits up to so many seconds (30 at the most) for what comes of it.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30")]
    pub wait: Option<u64>,
}

#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The certificate's id (crt_…).
    #[arg(value_name = "ID")]
    pub certificate: String,
    /// unspecified, `key_compromise`, `affiliation_changed`, superseded or `cessation_of_operation`.
    #[arg(long, default_value = "unspecified")]
    pub reason: String,
    /// Whether another one is ordered in its place [default: for `key_compromise` and superseded].
    #[arg(long)]
    pub replace: Option<bool>,
}

pub async fn run(command: &CertCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    match command {
        CertCommand::List(args) => list(args, api, output).await,
        CertCommand::Show(args) => show(args, api, output).await,
        CertCommand::Create(args) => create(args, api, output).await,
        CertCommand::Renew(args) => act(args, "renew", api, output).await,
        CertCommand::Retry(args) => act(args, "retry", api, output).await,
        CertCommand::Pause(args) => act(args, "pause", api, output).await,
        CertCommand::Resume(args) => act(args, "resume", api, output).await,
        CertCommand::Revoke(args) => {
            let path = format!("{}/revoke", with_segment("/v1/certificates", &args.certificate));
            let mut wish = json!({ "reason": args.reason });
            if let Some(replace) = args.replace {
                wish["replace"] = replace.into();
            }
            let view = api.write(Method::POST, &path, Some(&wish), None).await?;
            tell(&view, output)
        }
        CertCommand::Delete(args) => {
            let path = with_segment("/v1/certificates", &args.certificate);
            api.write::<Value>(Method::DELETE, &path, None, None).await?;
            Ok(Exit::Done)
        }
    }
}

async fn list(args: &ListArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let filters = [
        ("status", args.status.clone()),
        ("tenant", args.tenant.clone()),
        ("hostname", args.hostname.clone()),
        ("external_id", args.external_id.clone()),
    ];
    let found = listing::fetch::<CertificateView>(api, "/v1/certificates", &filters, &args.listing).await?;
    let header = ["id", "tenant", "external id", "names", "status", "not after", "renewal", "fault"];
    listing::show(output, &found, header, |certificate| {
        [
            certificate.id.to_string(),
            certificate.tenant.clone(),
            certificate.external_id.clone(),
            certificate.names.join(" "),
            certificate.status.as_str().to_owned(),
            or_dash(certificate.current.as_ref().map(|current| current.not_after)),
            or_dash(certificate.renewal.as_ref().map(renewal)),
            or_dash(certificate.last_fault.as_ref().map(|fault| fault.class.as_str())),
        ]
    })
}

async fn show(args: &ShowArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let found = find(&args.certificate, api).await?;
    let Some(certificate) = found.first() else {
        notice(&format!("there is no certificate for {}", args.certificate));
        return Ok(Exit::NotFound);
    };
    if args.chain {
        let chain = api.fetch_text(&format!("/v1/certificates/{}/chain", certificate.id)).await?;
        output.text(&chain)?;
        return Ok(Exit::Done);
    }
    output.show(certificate, ["certificate", ""], facts)?;
    Ok(Exit::Done)
}

async fn create(args: &CreateArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let mut wish = wishes::of(&args.labels, args.challenge.as_deref(), args.csr.as_deref())?;
    wish["names"] = json!(args.names);
    wishes::set(&mut wish, "tenant", args.tenant.as_deref());
    wishes::set(&mut wish, "external_id", args.external_id.as_deref());
    wishes::set(&mut wish, "key_type", args.key_type.as_deref());
    if args.reuse_key {
        wish["reuse_key"] = true.into();
    }
    let view = api.write(Method::POST, "/v1/certificates", Some(&wish), args.wait).await?;
    tell(&view, output)
}

async fn act(args: &ActArgs, what: &str, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let path = format!("{}/{what}", with_segment("/v1/certificates", &args.certificate));
    let view = api.write(Method::POST, &path, None, args.wait).await?;
    tell(&view, output)
}

fn tell(certificate: &CertificateView, output: Output) -> Result<Exit, CliError> {
    output.show(certificate, ["certificate", ""], facts)?;
    Ok(Exit::Done)
}

/// By id, or those that hold the hostname: the one that is active, if any, comes first.
async fn find(certificate: &str, api: &ApiClient) -> Result<Vec<CertificateView>, CliError> {
    if certificate.starts_with("crt_") {
        return Ok(vec![api.get(&with_segment("/v1/certificates", certificate)).await?]);
    }
    let path = with_query("/v1/certificates", &[("hostname", Some(certificate.to_owned()))]);
    let mut found: Listing<CertificateView> = api.get(&path).await?;
    found.data.sort_by_key(|certificate| certificate.status != CertificateStatus::Active);
    Ok(found.data)
}

/// When it is renewed, or that it is being renewed.
fn renewal(renewal: &RenewalView) -> String {
    if renewal.renewing { "renewing".to_owned() } else { renewal.renew_at.to_string() }
}

fn facts(certificate: &CertificateView) -> Vec<[String; 2]> {
    let mut facts = vec![
        ("id", certificate.id.to_string()),
        ("tenant", certificate.tenant.clone()),
        ("external id", certificate.external_id.clone()),
        ("names", certificate.names.join(" ")),
        ("status", certificate.status.as_str().to_owned()),
        ("order", or_dash(certificate.order_id)),
        ("stage", or_dash(certificate.stage.as_ref())),
        ("next attempt", or_dash(certificate.next_attempt_at)),
        ("renewed by itself", if certificate.auto_renew { "yes" } else { "no" }.to_owned()),
    ];
    if let Some(until) = certificate.rate_limited_until {
        facts.push(("rate limited until", until.to_string()));
    }
    if let Some(queue) = &certificate.queue {
        let more = if queue.ahead_at_least { "more than " } else { "" };
        facts.push((
            "in front of it",
            format!("{more}{}, its turn {}", queue.ahead, or_dash(queue.expected_at)),
        ));
    }
    if certificate.key.kept_by_owner {
        let needs = if certificate.key.needs_csr { ", and has to send a new request" } else { "" };
        facts.push(("key", format!("its owner keeps it{needs}")));
    }
    if let Some(current) = &certificate.current {
        facts.extend([
            ("serial", current.serial.clone()),
            ("issuer", current.issuer.clone()),
            ("fingerprint", current.fingerprint_sha256.clone()),
            ("not before", current.not_before.to_string()),
            ("not after", current.not_after.to_string()),
        ]);
    }
    if let Some(planned) = &certificate.renewal {
        facts.push(("renewal", renewal(planned)));
        if let Some(window) = planned.window {
            facts.push(("CA's window", format!("{} to {}", window.start, window.end)));
        }
        if let Some(page) = &planned.explanation_url {
            facts.push(("explanation", page.clone()));
        }
    }
    if let Some(fault) = &certificate.last_fault {
        facts.extend([
            ("fault", format!("{}: {}", fault.class.as_str(), fault.detail)),
            ("at", or_dash(fault.hostname.as_ref())),
            ("to do", fault.advice.clone()),
        ]);
    }
    facts.into_iter().map(|(name, value)| [name.to_owned(), value]).collect()
}
