//! `PATCH /v1/tenants/{tenant}`

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{errors, named, refused};
use crate::api::ApiState;
use crate::api::auth::Operator;
use crate::api::body::given;
use crate::api::etag;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathText;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::events::Event;
use crate::store::scope::Scope;
use crate::store::tenants::{self, TenantStatus, TenantTerms, TenantView};

/// What is to be otherwise (RFC 7396): what is left away stays, and `null` takes away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub external_id: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<TenantStatus>,
    #[serde(
        default,
        deserialize_with = "crate::json::optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub quotas: Option<QuotasChange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

/// The same, of quotas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuotasChange {
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub hostnames: Option<Option<u32>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub new_certificates_per_day: Option<Option<u32>>,
}

impl TenantChange {
    fn applied(self, mut terms: TenantTerms) -> TenantTerms {
        let quotas = self.quotas.unwrap_or_default();
        terms.name = self.name.unwrap_or(terms.name);
        terms.external_id = self.external_id.unwrap_or(terms.external_id);
        terms.status = self.status.unwrap_or(terms.status);
        terms.weight = self.weight.unwrap_or(terms.weight);
        terms.quotas.hostnames = quotas.hostnames.unwrap_or(terms.quotas.hostnames);
        terms.quotas.new_certificates_per_day =
            quotas.new_certificates_per_day.unwrap_or(terms.quotas.new_certificates_per_day);
        terms
    }
}

/// Changes a tenant, where it is still as `If-Match` says. A suspended one begins nothing new; what it has is renewed
/// and served.
#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}", tag = "tenants", params(("tenant" = String, Path, description = "Its id, `ten_…`, or its slug")),
    request_body = TenantChange,
    security(("bearer" = ["tenants:manage"])),
    responses((status = 200, description = "As it is now", body = TenantView), Problems)
)]
#[tracing::instrument(name = "api.tenants.change", skip_all)]
pub(super) async fn change(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    PathText(tenant): PathText,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::TenantsManage)?;
    let wanted: TenantChange = request.json()?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let before = tenants::hold_one(&mut write.work, &named(&tenant)).await?;
    let before = before.ok_or_else(|| Problem::not_found("tenant"))?;
    etag::require(&request.headers, before.version)?;
    let terms = wanted.applied(before.terms());
    let errors = errors(&terms);
    if !errors.is_empty() {
        return Err(Problem::body_invalid(errors));
    }
    if terms == before.terms() {
        return write.finish(Answer::ok(&before).with_etag(etag::of(before.version))).await;
    }
    let after = tenants::change(&mut write.work, before.id, &terms).await?;
    let after = after.map_err(|conflict| refused(&conflict))?;
    let kind = match (before.status, after.status) {
        (TenantStatus::Active, TenantStatus::Suspended) => "tenant.suspended",
        (TenantStatus::Suspended, TenantStatus::Active) => "tenant.resumed",
        _ => "tenant.changed",
    };
    write
        .work
        .tell(Event {
            kind,
            tenant: None,
            certificate: None,
            subject: before.id.to_string(),
            data: json!({ "before": before, "after": after }),
        })
        .await?;
    write.finish(Answer::ok(&after).with_etag(etag::of(after.version))).await
}
