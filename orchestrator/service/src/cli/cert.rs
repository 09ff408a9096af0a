use clap::{Args, Subcommand};

use super::api_client::{ApiClient, with_query, with_segment};
use super::error::CliError;
use super::exit::Exit;
use super::listing::{self, ListingArgs, or_dash};
use super::notice::notice;
use super::output::Output;
use crate::store::certificates::{CertificateStatus, CertificateView, RenewalView};
use crate::store::page::Listing;

#[derive(Debug, Subcommand)]
pub enum CertCommand {
    /// Lists certificates, oldest first.
    List(ListArgs),
    /// Shows one certificate, what it waits for and what is to be done.
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// pending, issuing, active, attention, failed or parked.
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

pub async fn run(command: &CertCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    match command {
        CertCommand::List(args) => list(args, api, output).await,
        CertCommand::Show(args) => show(args, api, output).await,
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
    ];
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
