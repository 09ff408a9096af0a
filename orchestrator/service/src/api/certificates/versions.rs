//! `GET /v1/certificates/{certificate}/versions`

#![expect(unused_qualifications, reason = "the description of a route qualifies what it names")]

use axum::Json;
use axum::extract::State;
use issuance::ids::CertificateId;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::{Parameters, PathId, page};
use crate::store::page::Listing;
use crate::store::scope::Scope;
use crate::store::versions::{self, VersionView};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Asked {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// All that the CA has signed for it, oldest first; never with a key.
#[utoipa::path(
    get,
    path = "/v1/certificates/{certificate}/versions",
    tag = "delivery",
    security(("bearer" = ["certificates:read"])),
    params(("certificate" = CertificateId, Path), Asked),
    responses((status = 200, body = Listing<VersionView>), Problems)
)]
#[tracing::instrument(name = "api.certificates.versions", skip_all, fields(certificate.id = %id))]
pub(in crate::api) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CertificateId>,
    Parameters(asked): Parameters<Asked>,
) -> Result<Json<Listing<VersionView>>, Problem> {
    caller.require(Scope::CertificatesRead)?;
    let page = page(asked.limit, asked.cursor.as_deref(), &("versions", id))?;
    let found = versions::list(&api.store, caller.viewer, id, &page).await?;
    found.map(Json).ok_or_else(|| Problem::not_found("certificate"))
}
