//! `lockkeeper webhook`: who is told of events.

use std::time::Duration;

use clap::{Args, Subcommand};
use issuance::ids::{DeliveryId, TenantId, WebhookId};
use issuance::time::Timestamp;
use serde_json::json;
use tokio::time::Instant;

use super::api_client::ApiClient;
use super::ca::overrides::instant;
use super::error::CliError;
use super::exit::Exit;
use super::listing::{self, ListingArgs, or_dash};
use super::notice::notice;
use super::output::{Format, Output};
use crate::api::address::with_segment;
use crate::api::webhooks::{
    CreatedWebhook, RecoverReport, SentAgain, WantedChange, WantedRecovery, WantedWebhook,
};
use crate::store::page::Listing;
use crate::store::webhook_attempts::AttemptView;
use crate::store::webhooks::WebhookView;

const PATH: &str = "/v1/webhooks";
/// How long a test is waited for: an attempt takes 15 seconds at the most.
const TEST_WAIT: Duration = Duration::from_secs(20);
const TEST_LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// Lists webhooks.
    List(ListingArgs),
    /// Has events sent to a URL; shows the secret, this once.
    Create(CreateArgs),
    /// Shows one, with its latest attempts.
    Show(IdArgs),
    /// Changes one; `--enable` also switches one on again that was switched off for failing.
    Set(SetArgs),
    /// Makes a new secret, shown this once; the old one signs as well for a day.
    Rotate(IdArgs),
    /// Sends a test event, and tells how it went.
    Test(IdArgs),
    /// Sends one event again.
    Resend(ResendArgs),
    /// Sends everything again that was told since then and was not taken.
    Recover(RecoverArgs),
    /// Removes one.
    Delete(IdArgs),
}

#[derive(Debug, Args)]
pub struct IdArgs {
    #[arg(value_name = "WEBHOOK")]
    pub webhook: WebhookId,
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    #[arg(value_name = "URL")]
    pub url: String,
    /// A kind of events, or all of a subject as in 'certificate.*'; given more than once for more [default: everything].
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Vec<String>,
    #[arg(long, default_value = "")]
    pub description: String,
    /// Your own name for it.
    #[arg(long)]
    pub external_id: Option<String>,
    /// Whose it is, by the operator's token [default: your own].
    #[arg(long, value_name = "TENANT")]
    pub tenant_id: Option<TenantId>,
    /// Nothing is sent before it is enabled.
    #[arg(long)]
    pub disabled: bool,
}

#[derive(Debug, Args)]
pub struct SetArgs {
    #[arg(value_name = "WEBHOOK")]
    pub webhook: WebhookId,
    #[arg(long)]
    pub url: Option<String>,
    /// In place of all kinds that it has.
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Option<Vec<String>>,
    #[arg(long)]
    pub description: Option<String>,
    #[arg(long, conflicts_with = "disable")]
    pub enable: bool,
    #[arg(long)]
    pub disable: bool,
}

#[derive(Debug, Args)]
pub struct ResendArgs {
    #[arg(value_name = "WEBHOOK")]
    pub webhook: WebhookId,
    /// As the attempts name it.
    #[arg(value_name = "DELIVERY")]
    pub delivery: DeliveryId,
}

#[derive(Debug, Args)]
pub struct RecoverArgs {
    #[arg(value_name = "WEBHOOK")]
    pub webhook: WebhookId,
    /// From when on, as in 2027-03-01T00:00:00Z; up to 30 days ago.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub since: Timestamp,
}

pub async fn run(command: &WebhookCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    match command {
        WebhookCommand::List(args) => {
            let found: Listing<WebhookView> = listing::fetch(api, PATH, &[], args).await?;
            return listing::show(output, &found, ["webhook", "status", "pending", "kinds", "url"], |one| {
                [one.id.to_string(), one.status.clone(), one.pending.to_string(), kinds(one), one.url.clone()]
            });
        }
        WebhookCommand::Create(args) => {
            let wanted = WantedWebhook {
                url: args.url.clone(),
                kinds: args.kinds.clone(),
                description: args.description.clone(),
                external_id: args.external_id.clone(),
                enabled: !args.disabled,
                tenant_id: args.tenant_id,
            };
            show_secret(&api.post_json(PATH, &wanted).await?, output)?;
        }
        WebhookCommand::Show(args) => {
            let webhook: WebhookView = api.get(&path(args.webhook)).await?;
            let attempts: Listing<AttemptView> =
                api.get(&format!("{}/attempts?limit=20", path(args.webhook))).await?;
            if output.format() == Format::Json {
                output.json(&json!({ "webhook": webhook, "attempts": attempts.data }))?;
            } else {
                show(&webhook, output)?;
                show_attempts(&attempts.data, output)?;
            }
        }
        WebhookCommand::Set(args) => {
            let before: WebhookView = api.get(&path(args.webhook)).await?;
            let change = WantedChange {
                url: args.url.clone(),
                kinds: args.kinds.clone(),
                description: args.description.clone(),
                external_id: None,
                enabled: (args.enable || args.disable).then_some(args.enable),
            };
            show(&api.patch_version(&path(args.webhook), before.version, &change).await?, output)?;
        }
        WebhookCommand::Rotate(args) => {
            show_secret(&api.post(&format!("{}/rotate-secret", path(args.webhook))).await?, output)?;
        }
        WebhookCommand::Test(args) => return test(args.webhook, api, output).await,
        WebhookCommand::Resend(args) => {
            let delivery = args.delivery.to_string();
            let path = with_segment(&format!("{}/deliveries", path(args.webhook)), &delivery);
            let sent: SentAgain = api.post(&format!("{path}/resend")).await?;
            output.show(&sent, ["delivery"], |sent| vec![[sent.delivery_id.to_string()]])?;
        }
        WebhookCommand::Recover(args) => {
            let wanted = WantedRecovery { since: args.since };
            let report: RecoverReport =
                api.post_json(&format!("{}/recover", path(args.webhook)), &wanted).await?;
            output.show(&report, ["events"], |report| vec![[report.events.to_string()]])?;
        }
        WebhookCommand::Delete(args) => {
            let before: WebhookView = api.get(&path(args.webhook)).await?;
            api.delete_version(&path(args.webhook), before.version).await?;
        }
    }
    Ok(Exit::Done)
}

/// Sends a test event, and waits for its first attempt.
async fn test(webhook: WebhookId, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let sent: SentAgain = api.post(&format!("{}/test", path(webhook))).await?;
    let until = Instant::now() + TEST_WAIT;
    loop {
        let attempts: Listing<AttemptView> = api.get(&format!("{}/attempts?limit=20", path(webhook))).await?;
        let made: Vec<AttemptView> =
            attempts.data.into_iter().filter(|one| one.delivery_id == sent.delivery_id).collect();
        if let Some(first) = made.last() {
            let delivered = first.outcome == "delivered";
            show_attempts(&made, output)?;
            return Ok(if delivered { Exit::Done } else { Exit::Failure });
        }
        if Instant::now() >= until {
            notice("no attempt was made yet: does a worker run? `lockkeeper webhook show` tells how it goes");
            return Ok(Exit::Failure);
        }
        tokio::time::sleep(TEST_LOOK).await;
    }
}

fn path(webhook: WebhookId) -> String {
    with_segment(PATH, &webhook.to_string())
}

fn kinds(webhook: &WebhookView) -> String {
    if webhook.kinds.is_empty() { "all".to_owned() } else { webhook.kinds.join(" ") }
}

fn show(webhook: &WebhookView, output: Output) -> Result<(), CliError> {
    output.show(webhook, ["what", "is"], rows)
}

fn rows(webhook: &WebhookView) -> Vec<[String; 2]> {
    [
        ("webhook", webhook.id.to_string()),
        ("url", webhook.url.clone()),
        ("tenant", or_dash(webhook.tenant_id)),
        ("external_id", or_dash(webhook.external_id.as_ref())),
        ("description", webhook.description.clone()),
        ("kinds", kinds(webhook)),
        ("status", webhook.status.clone()),
        ("switched off", or_dash(webhook.disabled_detail.as_ref())),
        ("failing since", or_dash(webhook.failing_since)),
        ("old secret until", or_dash(webhook.previous_secret_until)),
        ("pending", webhook.pending.to_string()),
    ]
    .map(|(what, is)| [what.to_owned(), is])
    .to_vec()
}

fn show_secret(created: &CreatedWebhook, output: Output) -> Result<(), CliError> {
    output.show(created, ["what", "is"], |created| {
        let mut rows = rows(&created.webhook);
        rows.push(["secret".to_owned(), created.secret.clone()]);
        rows
    })?;
    notice("the secret is not shown again");
    Ok(())
}

fn show_attempts(attempts: &[AttemptView], output: Output) -> Result<(), CliError> {
    let header = ["at", "kind", "delivery", "attempt", "outcome", "status", "ms", "detail"];
    output.show(&attempts, header, |attempts| {
        let row = |one: &AttemptView| {
            [
                one.at.to_string(),
                one.kind.clone(),
                one.delivery_id.to_string(),
                one.number.to_string(),
                one.outcome.clone(),
                or_dash(one.http_status),
                one.took_ms.to_string(),
                or_dash(one.detail.as_ref()),
            ]
        };
        attempts.iter().map(row).collect()
    })
}
