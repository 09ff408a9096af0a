//! What Caddy asks: `get_certificate http URL`, and `ask` of its certificates on demand.
//!
//! Caddy can be told a URL and no header, so the key stands in the URL as a password
//! (`https://agent:KEY@lockkeeper.example/…`), which travels as Basic credentials and is in no log of addresses.

#![expect(unused_qualifications, reason = "the description of a route qualifies what it names")]

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use issuance::identifier::Hostname;
use metrics::counter;
use serde::Deserialize;
use tracing::info;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::bundles::open;
use super::delivery_instruments::CADDY;
use super::problem::{Problem, Problems};
use super::query::Parameters;
use super::recipient::UrlRecipient;
use crate::store::bundles;
use crate::store::scope::Scope;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read)).routes(routes!(ask))
}

/// Caddy sends what else it knows of the visitor, and more with each release: that is not refused.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Handshake {
    /// The name in the TLS handshake.
    #[serde(default)]
    server_name: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Question {
    /// The name that somebody wants to visit.
    #[serde(default)]
    domain: String,
}

/// Chain and key for a name, 204 where there is none to show.
#[utoipa::path(
    get,
    path = "/v1/caddy/certificate",
    tag = "delivery",
    security(("bearer" = ["bundles:read"])),
    params(Handshake),
    responses(
        (status = 200, description = "The chain, then the key", body = String, content_type = "application/x-pem-file"),
        (status = 204, description = "There is none for this name"),
        Problems
    )
)]
#[tracing::instrument(name = "api.caddy.certificate", skip_all)]
pub(super) async fn read(
    State(api): State<ApiState>,
    UrlRecipient(recipient): UrlRecipient,
    Parameters(handshake): Parameters<Handshake>,
) -> Result<Response, Problem> {
    recipient.caller.require(Scope::BundlesRead)?;
    let told = |outcome: &'static str| {
        counter!(CADDY, "endpoint" => "certificate", "outcome" => outcome).increment(1);
    };
    let none = || {
        told("none");
        StatusCode::NO_CONTENT.into_response()
    };
    let Some(hostname) = plain(&handshake.server_name) else { return Ok(none()) };
    let found = bundles::covering(&api.store, &recipient.audience, api.clock.now(), &hostname).await?;
    let Some(stored) = found else { return Ok(none()) };
    // A chain without its key is of no use to a server.
    let Some(both) = open::open(&api, &stored)?.combined() else { return Ok(none()) };
    told("found");
    info!(
        event = "bundle.handed_out",
        key.id = %recipient.caller.key, certificate.id = %stored.certificate, version.id = %stored.version(),
        "The private key of {} was handed out", stored.version()
    );
    let headers = [(CONTENT_TYPE, "application/x-pem-file"), (CACHE_CONTROL, "no-store")];
    Ok((headers, both.to_string()).into_response())
}

/// 200 where a certificate for that name is kept here, 404 where none is: Caddy then gets none either.
#[utoipa::path(
    get,
    path = "/v1/caddy/ask",
    tag = "delivery",
    security(("bearer" = ["bundles:read"])),
    params(Question),
    responses((status = 200, description = "The name is one of ours"), Problems)
)]
#[tracing::instrument(name = "api.caddy.ask", skip_all)]
pub(super) async fn ask(
    State(api): State<ApiState>,
    UrlRecipient(recipient): UrlRecipient,
    Parameters(question): Parameters<Question>,
) -> Result<StatusCode, Problem> {
    recipient.caller.require(Scope::BundlesRead)?;
    let is_ours = match plain(&question.domain) {
        Some(hostname) => bundles::wishes_for(&api.store, &recipient.audience, &hostname).await?,
        None => false,
    };
    let outcome = if is_ours { "found" } else { "none" };
    counter!(CADDY, "endpoint" => "ask", "outcome" => outcome).increment(1);
    if is_ours { Ok(StatusCode::OK) } else { Err(Problem::not_found("hostname")) }
}

/// A name that a visitor can ask for: no wildcard.
fn plain(text: &str) -> Option<Hostname> {
    Hostname::parse(text).ok().filter(|hostname| !hostname.as_str().starts_with("*."))
}
