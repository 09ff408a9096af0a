//! `DELETE /v1/api-keys/{key}`

use axum::extract::State;
use axum::response::Response;
use issuance::ids::ApiKeyId;

use super::told;
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::etag;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::keyring;
use crate::store::scope::Scope;

/// Revokes a key: it opens nothing from now on, and stays in the list. One's own may be revoked too, unless it is the
/// operator's last one.
#[utoipa::path(
    delete, path = "/v1/api-keys/{key}", tag = "api-keys",
    params(("key" = ApiKeyId, Path, description = "The key's id, `key_…`")),
    security(("bearer" = ["keys:manage"])),
    responses((status = 204, description = "It opens nothing"), Problems)
)]
#[tracing::instrument(name = "api.api_keys.revoke", skip_all, fields(key.id = %id))]
pub(super) async fn revoke(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<ApiKeyId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::KeysManage)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let before = keyring::hold(&mut write.work, id).await?;
    let before = before.ok_or_else(|| Problem::not_found("key"))?;
    etag::require(&request.headers, before.version)?;
    if before.revoked_at.is_some() {
        return write.finish(Answer::no_content()).await;
    }
    if before.tenant_id.is_none() && !keyring::operator_has_another(&mut write.work, id).await? {
        return Err(Problem::last_operator_key());
    }
    let after = keyring::revoke(&mut write.work, id).await?;
    write.work.tell(told("api_key.revoked", Some(&before), Some(&after))).await?;
    write.finish(Answer::no_content()).await
}
