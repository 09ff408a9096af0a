//! `GET /v1/certificates/{certificate}`

use axum::Json;
use axum::extract::State;
use issuance::ids::CertificateId;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::store::certificates::{self, CertificateView};
use crate::store::scope::Scope;

/// One certificate.
#[utoipa::path(
    get,
    path = "/v1/certificates/{certificate}",
    tag = "certificates",
    params(("certificate" = CertificateId, Path, description = "The certificate's id")),
    security(("bearer" = ["certificates:read"])),
    responses((status = 200, description = "As it stands now", body = CertificateView), Problems)
)]
#[tracing::instrument(name = "api.certificates.read", skip_all, fields(certificate.id = %id))]
pub(in crate::api) async fn read(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CertificateId>,
) -> Result<Json<CertificateView>, Problem> {
    caller.require(Scope::CertificatesRead)?;
    let viewer = caller.viewer;
    let found = certificates::find(&api.store, viewer, api.clock.now(), id).await?;
    found.map(Json).ok_or_else(|| Problem::not_found("certificate"))
}
