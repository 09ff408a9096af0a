//! `POST /v1/tenants`

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{errors, is_slug, refused};
use crate::api::ApiState;
use crate::api::auth::Operator;
use crate::api::etag;
use crate::api::problem::{Problem, ProblemEntry, Problems};
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::events::Event;
use crate::store::scope::Scope;
use crate::store::tenants::{self, TenantQuotas, TenantStatus, TenantTerms, TenantView};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedTenant {
    /// 1 to 64 lower-case letters, digits, dots, dashes and underscores; never changes.
    pub slug: String,
    #[serde(default)]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(default, deserialize_with = "crate::json::object")]
    pub quotas: WantedQuotas,
    /// 1 to 1,000.
    #[serde(default = "one")]
    pub weight: u32,
}

/// As much as is named; `null` or nothing: as much as there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedQuotas {
    #[serde(default)]
    pub hostnames: Option<u32>,
    #[serde(default)]
    pub new_certificates_per_day: Option<u32>,
}

fn one() -> u32 {
    1
}

/// Makes a tenant.
#[utoipa::path(
    post, path = "/v1/tenants", tag = "tenants", request_body = WantedTenant,
    security(("bearer" = ["tenants:manage"])),
    responses((status = 201, description = "It may begin", body = TenantView), Problems)
)]
#[tracing::instrument(name = "api.tenants.create", skip_all)]
pub(super) async fn create(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::TenantsManage)?;
    let wanted: WantedTenant = request.json()?;
    let terms = TenantTerms {
        name: wanted.name,
        external_id: wanted.external_id,
        status: TenantStatus::Active,
        quotas: TenantQuotas {
            hostnames: wanted.quotas.hostnames,
            new_certificates_per_day: wanted.quotas.new_certificates_per_day,
        },
        weight: wanted.weight,
    };
    let mut errors = errors(&terms);
    if !is_slug(&wanted.slug) {
        let detail = "a slug has 1 to 64 lower-case letters, digits, dots, dashes and underscores, and begins and ends \
                      with a letter or a digit";
        errors.insert(0, ProblemEntry::at("/slug", "not-a-slug", detail));
    }
    if !errors.is_empty() {
        return Err(Problem::body_invalid(errors));
    }
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let view = tenants::create(&mut write.work, &wanted.slug, &terms).await?;
    let view = view.map_err(|conflict| refused(&conflict))?;
    write
        .work
        .tell(Event {
            kind: "tenant.created",
            // What the provider thinks of its customers is its own.
            tenant: None,
            certificate: None,
            subject: view.id.to_string(),
            data: json!({ "before": null, "after": view }),
        })
        .await?;
    let answer = Answer::created(&view, format!("/v1/tenants/{}", view.id));
    write.finish(answer.with_etag(etag::of(view.version))).await
}
