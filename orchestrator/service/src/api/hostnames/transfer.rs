//! `/v1/hostnames/{hostname}/transfer`: a name that another tenant has.
//!
//! A tenant that asks for one is told a record to publish. A worker looks for it at all name servers of the name; when
//! they show it, the name moves. The operator moves one by its word.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathHostname;
use crate::api::write::{Answer, Write, WriteRequest, or_answered};
use crate::store::events::Event;
use crate::store::scope::Scope;
use crate::store::tenants;
use crate::store::transfers::{self, Asked, TransferView};
use crate::store::viewer::Viewer;
use issuance::identifier::Hostname;
use issuance::ids::TenantId;

pub(in crate::api) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read, create, withdraw))
}

/// For whom; a tenant asks for itself, with an empty body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedTransfer {
    /// The slug of the tenant that gets it: the operator's word, at once and without a proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// A hostname that has moved, by the operator's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransferReport {
    pub hostname: String,
    pub from: TenantId,
    pub to: TenantId,
    /// Certificates of the former tenant that go on without the name.
    pub narrowed: Vec<String>,
    /// Those that had no other name: served until they expire, and not renewed.
    pub given_up: Vec<String>,
}

/// How far the latest request for a hostname is.
#[utoipa::path(
    get, path = "/v1/hostnames/{hostname}/transfer", tag = "hostnames",
    params(("hostname" = String, Path, description = "The name, in any spelling", example = "www.example.com")),
    security(("bearer" = ["hostnames:read"])),
    responses((status = 200, description = "With the record to publish", body = TransferView), Problems)
)]
#[tracing::instrument(name = "api.hostnames.transfer.read", skip_all)]
pub(super) async fn read(
    State(api): State<ApiState>,
    caller: Caller,
    PathHostname(hostname): PathHostname,
) -> Result<Response, Problem> {
    caller.require(Scope::HostnamesRead)?;
    let found = transfers::find(&api.store, caller.viewer, &hostname).await?;
    found.map(|view| Json(view).into_response()).ok_or_else(|| Problem::not_found("transfer"))
}

/// Asks for a hostname that another tenant has. Asking again has it looked at soon.
#[utoipa::path(
    post, path = "/v1/hostnames/{hostname}/transfer", tag = "hostnames",
    params(("hostname" = String, Path, description = "The name, in any spelling", example = "www.example.com")), request_body = WantedTransfer,
    security(("bearer" = ["hostnames:write"])),
    responses(
        (status = 202, description = "It moves when all name servers show the record", body = TransferView),
        (status = 200, description = "It has moved, by the operator's word", body = TransferReport),
        Problems
    )
)]
#[tracing::instrument(name = "api.hostnames.transfer.create", skip_all)]
pub(super) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    PathHostname(hostname): PathHostname,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::HostnamesWrite)?;
    let wanted: WantedTransfer = request.json_or_default()?;
    let to = match (caller.viewer, &wanted.tenant) {
        (Viewer::Operator, None) => return Err(Problem::transfer_tenant_missing()),
        (Viewer::Tenant(own), None) => own,
        (viewer, Some(slug)) => {
            tenants::find_as(&api.store, viewer, slug).await?.ok_or_else(|| Problem::not_found("tenant"))?
        }
    };
    let write = or_answered!(request.begin(&api, &caller).await?);
    match caller.viewer {
        Viewer::Operator => move_at_once(write, &hostname, to).await,
        Viewer::Tenant(_) => ask(write, &hostname, to).await,
    }
}

async fn ask(mut write: Box<Write>, hostname: &Hostname, to: TenantId) -> Result<Response, Problem> {
    let view = match transfers::ask(&mut write.work, to, hostname).await? {
        Asked::Waits(view) => view,
        Asked::Free => return Err(Problem::hostname_free()),
        Asked::Own => return Err(Problem::hostname_own_already()),
        Asked::TooMuch(excess) => return Err(Problem::excess(&excess)),
    };
    let event = Event {
        kind: "hostname.transfer_requested",
        tenant: Some(to),
        certificate: None,
        subject: view.hostname.clone(),
        data: json!({ "before": null, "after": { "record": view.record, "expires_at": view.expires_at } }),
    };
    write.work.tell(event).await?;
    let location = format!("/v1/hostnames/{}/transfer", view.hostname);
    write.finish(Answer::accepted(&view, location)).await
}

async fn move_at_once(mut write: Box<Write>, hostname: &Hostname, to: TenantId) -> Result<Response, Problem> {
    let name = hostname.validation_target();
    let moved = transfers::move_name(&mut write.work, name, to).await?;
    let moved = moved.ok_or_else(|| Problem::not_found("hostname that another tenant has"))?;
    let report = TransferReport {
        hostname: name.to_owned(),
        from: moved.from,
        to: moved.to,
        narrowed: moved.narrowed.iter().map(ToString::to_string).collect(),
        given_up: moved.given_up.iter().map(ToString::to_string).collect(),
    };
    write.finish(Answer::ok(&report)).await
}

/// Asks no longer.
#[utoipa::path(
    delete, path = "/v1/hostnames/{hostname}/transfer", tag = "hostnames",
    params(("hostname" = String, Path, description = "The name, in any spelling", example = "www.example.com")),
    security(("bearer" = ["hostnames:write"])),
    responses((status = 204, description = "Nobody looks for the record any more"), Problems)
)]
#[tracing::instrument(name = "api.hostnames.transfer.withdraw", skip_all)]
pub(super) async fn withdraw(
    State(api): State<ApiState>,
    caller: Caller,
    PathHostname(hostname): PathHostname,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::HostnamesWrite)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let ended = transfers::withdraw(&mut write.work, &hostname).await?;
    let ended = ended.ok_or_else(|| Problem::not_found("transfer"))?;
    let event = Event {
        kind: "hostname.transfer_withdrawn",
        tenant: Some(ended.tenant_id),
        certificate: None,
        subject: ended.hostname,
        data: json!({ "before": { "status": "waiting" }, "after": { "status": ended.status } }),
    };
    write.work.tell(event).await?;
    write.finish(Answer::no_content()).await
}
