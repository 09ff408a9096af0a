//! `/v1/webhooks`: who is told of events.

mod actions;
mod changes;
mod reads;
mod wanted;

use issuance::ids::{CertificateId, WebhookId};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::problem::{Problem, ProblemEntry};
use crate::store::events::Event;
use crate::store::webhooks::{WebhookRefusal, WebhookView};

pub use self::actions::{RecoverReport, SentAgain, WantedRecovery};
pub use self::changes::CreatedWebhook;
pub use self::wanted::{WantedChange, WantedWebhook};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(reads::list, changes::create))
        .routes(routes!(reads::read, changes::change, changes::delete))
        .routes(routes!(reads::attempts))
        .routes(routes!(reads::deliveries))
        .routes(routes!(actions::rotate))
        .routes(routes!(actions::test))
        .routes(routes!(actions::recover))
        .routes(routes!(actions::resend))
}

/// What is told of a write.
fn told(kind: &'static str, webhook: &WebhookView, data: Value) -> Event {
    let certificate: Option<CertificateId> = None;
    Event { kind, tenant: webhook.tenant_id, certificate, subject: webhook.id.to_string(), data }
}

fn problem(refusal: WebhookRefusal) -> Problem {
    let detail = refusal.to_string();
    let at =
        |pointer: &str, code| Problem::body_invalid(vec![ProblemEntry::at(pointer, code, detail.clone())]);
    match refusal {
        WebhookRefusal::Missing => Problem::not_found("webhook"),
        WebhookRefusal::Changed { version } => Problem::version_mismatch(version),
        WebhookRefusal::ExternalIdTaken => Problem::conflict("There is one already", detail),
        WebhookRefusal::TooMany => Problem::conflict("There are as many as there may be", detail),
        WebhookRefusal::NoTenant => at("#/tenant_id", "unknown"),
        WebhookRefusal::Store(error) => error.into(),
    }
}

/// The path of one.
fn location(id: WebhookId) -> String {
    format!("/v1/webhooks/{id}")
}
