//! `GET /v1/certificates`

use axum::Json;
use axum::extract::State;
use issuance::fault::FailureClass;
use issuance::identifier::Hostname;
use issuance::time::Timestamp;
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::{self, Parameters};
use crate::api::wanted;
use crate::store::certificates::{self, CertificateFilter, CertificateStatus, CertificateView};
use crate::store::page::Listing;
use crate::store::scope::Scope;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ListParameters {
    /// Rows on a page.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before; absent: the first page.
    cursor: Option<String>,
    status: Option<CertificateStatus>,
    /// Of this tenant alone: its slug.
    tenant: Option<String>,
    external_id: Option<String>,
    hostname: Option<String>,
    label: Option<String>,
    failure_class: Option<FailureClass>,
    not_after_lt: Option<Timestamp>,
}

/// Certificates: what is wished for, what there is of it, and what comes next.
#[utoipa::path(
    get,
    path = "/v1/certificates",
    tag = "certificates",
    params(ListParameters),
    security(("bearer" = ["certificates:read"])),
    responses((status = 200, description = "A page, the earliest first", body = Listing<CertificateView>), Problems)
)]
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
        labels: wanted::label_filter(asked.label.as_slice())?,
        failure_class: asked.failure_class,
        not_after_lt: asked.not_after_lt,
    };
    let page = query::page(asked.limit, asked.cursor.as_deref(), &filter)?;
    Ok(Json(certificates::list(&api.store, viewer, api.clock.now(), &filter, &page).await?))
}
