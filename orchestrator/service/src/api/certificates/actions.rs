//! `POST /v1/certificates/{certificate}/renew`, `/retry`, `/pause`, `/resume` and `/revoke`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use issuance::ids::CertificateId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::change::told;
use super::waited;
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::etag::Etag;
use crate::api::prefer::Wait;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::api::write::{Answer, Begun, Write, WriteRequest};
use crate::store::certificate_actions::{self, Ordered};
use crate::store::certificate_wishes::{self, Locked};
use crate::store::certificates::CertificateView;
use crate::store::key_plans::{self, KeyPlan};
use crate::store::revocations::{self, Reason, Wish};
use crate::store::scope::Scope;

/// Orders a renewal now, whenever it was to be. One that is on its way goes on as if somebody waited for it.
#[utoipa::path(
    post,
    path = "/v1/certificates/{certificate}/renew",
    tag = "certificates",
    params(("certificate" = CertificateId, Path, description = "The certificate's id, `crt_…`")),
    security(("bearer" = ["certificates:write"])),
    responses((status = 202, description = "It is on its way", body = CertificateView), Problems)
)]
#[tracing::instrument(name = "api.certificates.renew", skip_all, fields(certificate.id = %id))]
pub(in crate::api) async fn renew(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CertificateId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::CertificatesWrite)?;
    let (mut write, locked) = match begin(&api, &caller, id, &request).await? {
        Ok(begun) => begun,
        Err(response) => return Ok(response),
    };
    refuse_without_request(&mut write, id).await?;
    let ordered = certificate_actions::renew(&mut write.work, &locked).await?;
    ordered_now(&api, &caller, write, &locked, ordered, &request, "certificate.renewal_requested").await
}

/// Tries again now what rests after a failure. A name that the CA has refused goes on to rest.
#[utoipa::path(
    post,
    path = "/v1/certificates/{certificate}/retry",
    tag = "certificates",
    params(("certificate" = CertificateId, Path, description = "The certificate's id, `crt_…`")),
    security(("bearer" = ["certificates:write"])),
    responses((status = 202, description = "It is on its way", body = CertificateView), Problems)
)]
#[tracing::instrument(name = "api.certificates.retry", skip_all, fields(certificate.id = %id))]
pub(in crate::api) async fn retry(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CertificateId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::CertificatesWrite)?;
    let (mut write, locked) = match begin(&api, &caller, id, &request).await? {
        Ok(begun) => begun,
        Err(response) => return Ok(response),
    };
    refuse_without_request(&mut write, id).await?;
    let ordered = certificate_actions::retry(&mut write.work, &locked).await?;
    ordered_now(&api, &caller, write, &locked, ordered, &request, "certificate.retry_requested").await
}

/// Orders nothing more for it until it is resumed. What is at the CA goes on to its end.
#[utoipa::path(
    post,
    path = "/v1/certificates/{certificate}/pause",
    tag = "certificates",
    params(("certificate" = CertificateId, Path, description = "The certificate's id, `crt_…`")),
    security(("bearer" = ["certificates:write"])),
    responses((status = 200, description = "It is paused", body = CertificateView), Problems)
)]
#[tracing::instrument(name = "api.certificates.pause", skip_all, fields(certificate.id = %id))]
pub(in crate::api) async fn pause(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CertificateId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::CertificatesWrite)?;
    let (mut write, locked) = match begin(&api, &caller, id, &request).await? {
        Ok(begun) => begun,
        Err(response) => return Ok(response),
    };
    if certificate_actions::pause(&mut write.work, &locked).await? {
        write.work.tell(told("certificate.paused", &locked, json!({}))).await?;
    }
    finish(&api, write, id, StatusCode::OK).await
}

/// Looks after it again.
#[utoipa::path(
    post,
    path = "/v1/certificates/{certificate}/resume",
    tag = "certificates",
    params(("certificate" = CertificateId, Path, description = "The certificate's id, `crt_…`")),
    security(("bearer" = ["certificates:write"])),
    responses((status = 200, description = "It is looked after again", body = CertificateView), Problems)
)]
#[tracing::instrument(name = "api.certificates.resume", skip_all, fields(certificate.id = %id))]
pub(in crate::api) async fn resume(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CertificateId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::CertificatesWrite)?;
    let (mut write, locked) = match begin(&api, &caller, id, &request).await? {
        Ok(begun) => begun,
        Err(response) => return Ok(response),
    };
    if certificate_actions::resume(&mut write.work, &locked).await? {
        write.work.tell(told("certificate.resumed", &locked, json!({}))).await?;
    }
    let response = finish(&api, write, id, StatusCode::OK).await?;
    api.wake.notify_one();
    Ok(response)
}

/// Why it is revoked, and what comes after.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedRevocation {
    #[serde(default)]
    pub reason: Reason,
    /// Another one is ordered, with a new key where the reason is that the key is known to others. Absent: yes where that
    /// is the reason or it is superseded. Where none is, it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<bool>,
}

/// Has the latest certificate that was issued revoked. The CA is asked within moments, until it has done so or refuses.
#[utoipa::path(
    post,
    path = "/v1/certificates/{certificate}/revoke",
    tag = "certificates",
    params(
        ("certificate" = CertificateId, Path, description = "The certificate's id, `crt_…`"),
        ("Idempotency-Key" = String, Header, description = "A string of your own for this request: it is carried out once")
    ),
    request_body = WantedRevocation,
    security(("bearer" = ["certificates:revoke"])),
    responses((status = 202, description = "The CA is asked", body = CertificateView), Problems)
)]
#[tracing::instrument(name = "api.certificates.revoke", skip_all, fields(certificate.id = %id))]
pub(in crate::api) async fn revoke(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CertificateId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::CertificatesRevoke)?;
    request.require_idempotency_key()?;
    let wanted: WantedRevocation = request.json_or_default()?;
    let (mut write, locked) = match begin(&api, &caller, id, &request).await? {
        Ok(begun) => begun,
        Err(response) => return Ok(response),
    };
    let is_replaced =
        wanted.replace.unwrap_or(matches!(wanted.reason, Reason::KeyCompromise | Reason::Superseded));
    match revocations::wish(&mut write.work, &locked, wanted.reason).await? {
        Wish::NothingToRevoke => return Err(Problem::nothing_to_revoke()),
        Wish::Known { .. } => {}
        Wish::Written { serial } => {
            let data = json!({ "serial": serial, "reason": wanted.reason, "replace": is_replaced });
            write.work.tell(told("certificate.revocation_requested", &locked, data)).await?;
            // A request whose key is known to others is of no use: its owner sends another one first.
            if is_replaced && locked.csr_der.is_none() {
                certificate_actions::renew(&mut write.work, &locked).await?;
            } else if !is_replaced {
                certificate_actions::pause(&mut write.work, &locked).await?;
            }
        }
    }
    let response = finish(&api, write, id, StatusCode::ACCEPTED).await?;
    api.wake.notify_one();
    Ok(response)
}

/// The request as it is to be carried out, or its answer where it was before.
async fn begin(
    api: &ApiState,
    caller: &Caller,
    id: CertificateId,
    request: &WriteRequest,
) -> Result<Result<(Box<Write>, Locked), Response>, Problem> {
    let mut write = match request.begin(api, caller).await? {
        Begun::Fresh(write) => write,
        Begun::Answered(response) => return Ok(Err(response)),
    };
    let locked = certificate_wishes::lock(&mut write.work, id).await?;
    let locked = locked.ok_or_else(|| Problem::not_found("certificate"))?;
    Ok(Ok((write, locked)))
}

async fn ordered_now(
    api: &ApiState,
    caller: &Caller,
    mut write: Box<Write>,
    locked: &Locked,
    ordered: Ordered,
    request: &WriteRequest,
    kind: &'static str,
) -> Result<Response, Problem> {
    let status = match ordered {
        Ordered::Paused => return Err(Problem::certificate_paused()),
        Ordered::GivenUp => return Err(Problem::certificate_given_up()),
        Ordered::NothingToRetry => StatusCode::OK,
        Ordered::New(order) | Ordered::Underway(order) => {
            write.work.tell(told(kind, locked, json!({ "order_id": order }))).await?;
            StatusCode::ACCEPTED
        }
    };
    let response = finish(api, write, locked.id, status).await?;
    api.wake.notify_one();
    api.look.notify_one();
    match Wait::of(&request.headers) {
        None => Ok(response),
        Some(wait) => waited(api, caller.viewer, locked.id, wait, StatusCode::OK).await,
    }
}

async fn finish(
    api: &ApiState,
    mut write: Box<Write>,
    id: CertificateId,
    status: StatusCode,
) -> Result<Response, Problem> {
    let view = super::within(api, &mut write.work, id).await?;
    let tag = Etag::of(view.version, &view);
    write.finish(Answer::of(status, &view).with_etag(tag.as_str())).await
}

/// An order that could not be finalized is not begun.
async fn refuse_without_request(write: &mut Write, id: CertificateId) -> Result<(), Problem> {
    match key_plans::within(&mut write.work, id).await? {
        Some(KeyPlan::Spent { reason }) => Err(Problem::csr_needed(reason)),
        _ => Ok(()),
    }
}
