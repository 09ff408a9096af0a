//! `GET /v1/certificates/{certificate}`

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use issuance::ids::CertificateId;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::etag::Etag;
use crate::api::prefer::Wait;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::store::certificates::CertificateView;
use crate::store::scope::Scope;
use axum::http::header::IF_NONE_MATCH;

/// One certificate. With `Prefer: wait=N` the answer is held until it is there, or it is known why not; with
/// `If-None-Match` beside it, until it is different from what the client has.
#[utoipa::path(
    get,
    path = "/v1/certificates/{certificate}",
    tag = "certificates",
    params(
        ("certificate" = CertificateId, Path, description = "The certificate's id, `crt_…`"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag that the client has: 304 if it still holds"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: hold the answer for up to N seconds (30 at the most)")
    ),
    security(("bearer" = ["certificates:read"])),
    responses(
        (status = 200, description = "How it is", body = CertificateView),
        (status = 304, description = "As the client has it"),
        Problems
    )
)]
#[tracing::instrument(name = "api.certificates.read", skip_all, fields(certificate.id = %id))]
pub(in crate::api) async fn read(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CertificateId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Scope::CertificatesRead)?;
    let tag = |view: &CertificateView| Etag::of(view.version, view);
    let Some(wait) = Wait::of(&headers) else {
        let view = super::found(&api, caller.viewer, id).await?;
        let tag = tag(&view);
        return Ok(tag.answer(&headers, &super::lined_up(&api, view).await?));
    };
    let is_told = |view: &CertificateView| {
        if headers.contains_key(IF_NONE_MATCH) {
            !tag(view).is_known(&headers)
        } else {
            view.status.is_settled()
        }
    };
    let view = wait.until(&api, || super::found(&api, caller.viewer, id), is_told).await?;
    let tag = tag(&view);
    Ok(wait.applied(tag.answer(&headers, &super::lined_up(&api, view).await?)))
}
