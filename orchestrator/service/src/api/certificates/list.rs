//! `GET /v1/certificates`

use axum::Json;
use axum::extract::State;
use issuance::identifier::Hostname;
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::Problem;
use crate::api::query::{self, Parameters};
use crate::store::certificates::{self, CertificateFilter, CertificateStatus, CertificateView};
use crate::store::page::Listing;
use crate::store::scope::Scope;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ListParameters {
    limit: Option<u32>,
    cursor: Option<String>,
    status: Option<CertificateStatus>,
    tenant: Option<String>,
    external_id: Option<String>,
    hostname: Option<String>,
}

#[tracing::instrument(name = "api.certificates.list", skip_all)]
pub(in crate::api) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<Json<Listing<CertificateView>>, Problem> {
    caller.require(Scope::CertificatesRead)?;
    let viewer = caller.viewer;
    let hostname = asked.hostname.as_deref().map(Hostname::parse).transpose();
    let filter = CertificateFilter {
        status: asked.status,
        tenant: asked.tenant,
        external_id: asked.external_id,
        hostname: hostname.map_err(|error| Problem::bad_parameter(Some("hostname"), error.to_string()))?,
    };
    let page = query::page(asked.limit, asked.cursor.as_deref(), &filter)?;
    Ok(Json(certificates::list(&api.store, viewer, api.clock.now(), &filter, &page).await?))
}
