//! `DELETE /v1/tenants/{tenant}`

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::named;
use crate::api::ApiState;
use crate::api::auth::Operator;
use crate::api::etag;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathText;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::events::Event;
use crate::store::scope::Scope;
use crate::store::{tenant_removals, tenants};

/// Removes a tenant that has neither certificates nor hostnames any more. Its keys are revoked, its users and webhooks are gone, and
/// its slug is free for another one; what was done stays in the events. Suspended before, it begins nothing new meanwhile.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Its id, `ten_…`, or its slug"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read: 412 if it was changed meanwhile")
    ),
    security(("bearer" = ["tenants:manage"])),
    responses((status = 204, description = "It is gone"), Problems)
)]
#[tracing::instrument(name = "api.tenants.delete", skip_all)]
pub(super) async fn delete(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    PathText(tenant): PathText,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::TenantsManage)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let before = tenants::hold_one(&mut write.work, &named(&tenant)).await?;
    let before = before.ok_or_else(|| Problem::not_found("tenant"))?;
    etag::require(&request.headers, before.version)?;
    let holdings = tenant_removals::holdings(&mut write.work, before.id).await?;
    if !holdings.is_empty() {
        return Err(Problem::tenant_not_empty(&holdings));
    }
    let gone = tenant_removals::remove(&mut write.work, before.id).await?;
    write
        .work
        .tell(Event {
            kind: "tenant.deleted",
            tenant: None,
            certificate: None,
            subject: before.id.to_string(),
            data: json!({ "before": before, "after": null, "gone_with_it": gone }),
        })
        .await?;
    write.finish(Answer::no_content()).await
}
