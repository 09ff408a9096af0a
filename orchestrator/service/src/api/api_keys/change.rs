//! `PATCH /v1/api-keys/{key}`

use axum::extract::State;
use axum::response::Response;
use issuance::ids::ApiKeyId;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{check_agents_scopes, check_expiry, check_name, read_cidrs, read_scopes, require_no_more, told};
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::body::given;
use crate::api::etag;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::keyring::{self, ApiKeyView, KeyTerms};
use crate::store::scope::Scope;

/// What is to be otherwise (RFC 7396): what is left away stays, and `null` takes away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidrs: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Timestamp>)]
    pub expires_at: Option<Option<Timestamp>>,
}

/// Changes a key that opens no more than one's own, where it is still as `If-Match` says.
#[utoipa::path(
    patch, path = "/v1/api-keys/{key}", tag = "api-keys",
    params(("key" = ApiKeyId, Path, description = "The key's id, `key_…`")), request_body = KeyChange,
    security(("bearer" = ["keys:manage"])),
    responses((status = 200, description = "As it is now", body = ApiKeyView), Problems)
)]
#[tracing::instrument(name = "api.api_keys.change", skip_all, fields(key.id = %id))]
pub(super) async fn change(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<ApiKeyId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::KeysManage)?;
    let wanted: KeyChange = request.json()?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let before = keyring::hold(&mut write.work, id).await?;
    let before = before.ok_or_else(|| Problem::not_found("key"))?;
    require_no_more(&caller, &before)?;
    etag::require(&request.headers, before.version)?;
    let mut errors = Vec::new();
    let terms = KeyTerms {
        name: match &wanted.name {
            Some(name) => {
                check_name(name, &mut errors);
                name.trim().to_owned()
            }
            None => before.name.clone(),
        },
        scopes: match &wanted.scopes {
            Some(words) => read_scopes(words, &caller, before.tenant_id.is_some(), &mut errors),
            None => before.scopes.clone(),
        },
        selector: before.selector.clone(),
        cidrs: read_cidrs(wanted.cidrs.as_ref().unwrap_or(&before.cidrs), &mut errors),
        expires_at: match wanted.expires_at {
            Some(expires_at) => {
                check_expiry(expires_at, api.clock.now(), &mut errors);
                expires_at
            }
            None => before.expires_at,
        },
    };
    if before.selector.is_some() {
        check_agents_scopes(&terms.scopes, &mut errors);
    }
    if !errors.is_empty() {
        return Err(Problem::body_invalid(errors));
    }
    if before.revoked_at.is_some() {
        return Err(Problem::key_not_good());
    }
    // One that has all and is to keep all goes on to have what later releases bring.
    let scopes = wanted.scopes.as_ref().map(|_| terms.scopes.as_slice());
    let after = keyring::change(&mut write.work, id, &terms, scopes).await?;
    write.work.tell(told("api_key.changed", Some(&before), Some(&after))).await?;
    write.finish(Answer::ok(&after).with_etag(etag::of(after.version))).await
}
