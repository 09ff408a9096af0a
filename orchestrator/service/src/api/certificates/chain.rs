//! `GET /v1/certificates/{certificate}/chain`

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use issuance::ids::CertificateId;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::store::certificates;
use crate::store::scope::Scope;

/// The chain in PEM, leaf first (RFC 8555 §9.1). The key is never in it.
#[utoipa::path(
    get,
    path = "/v1/certificates/{certificate}/chain",
    tag = "certificates",
    params(("certificate" = CertificateId, Path, description = "The certificate's id")),
    security(("bearer" = ["certificates:read"])),
    responses((
            status = 200,
            description = "Leaf first (RFC 8555 §9.1)",
            content_type = "application/pem-certificate-chain",
            body = String,
        ), Problems)
)]
#[tracing::instrument(name = "api.certificates.chain", skip_all, fields(certificate.id = %id))]
pub(in crate::api) async fn read(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CertificateId>,
) -> Result<Response, Problem> {
    caller.require(Scope::CertificatesRead)?;
    let viewer = caller.viewer;
    let found = certificates::chain(&api.store, viewer, id).await?;
    let chain =
        found.ok_or_else(|| Problem::not_found("certificate"))?.ok_or_else(Problem::not_issued_yet)?;
    Ok(([(CONTENT_TYPE, "application/pem-certificate-chain")], chain).into_response())
}
