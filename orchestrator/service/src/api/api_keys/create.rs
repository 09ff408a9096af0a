//! `POST /v1/api-keys`

use axum::extract::State;
use axum::response::Response;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OF_AGENTS, check_expiry, check_name, read_cidrs, read_scopes, read_selector, told};
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::tenants::holder;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::keyring::{self, ApiKeyView, KeyTerms};
use crate::store::scope::Scope;
use crate::store::viewer::Viewer;

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedKey {
    /// What uses it.
    pub name: String,
    /// The slug of the tenant that holds it. Absent: the operator, or the tenant that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Absent: all that the key has with which this is asked, and its holder may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Labels, as in `server=web17`: it is an agent's, and has the certificates alone that have all of them. Its scopes
    /// are `bundles:read` and `deployments:manage`, or one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// From where it may be used; none: from anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cidrs: Vec<String>,
    /// Absent: it is good until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A key, and its text: the only time that it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MadeKey {
    /// What goes after `Authorization: Bearer`.
    pub key: String,
    #[serde(flatten)]
    pub view: ApiKeyView,
}

/// Makes a key, whose text is told in this answer and never again.
#[utoipa::path(
    post, path = "/v1/api-keys", tag = "api-keys", request_body = WantedKey,
    security(("bearer" = ["keys:manage"])),
    responses((status = 201, description = "Its text is told this once", body = MadeKey), Problems)
)]
#[tracing::instrument(name = "api.api_keys.create", skip_all)]
pub(super) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::KeysManage)?;
    let wanted: WantedKey = request.json()?;
    let mut errors = Vec::new();
    let holder = holder(&api, &caller, wanted.tenant.as_deref(), &mut errors).await?;
    let for_tenant = holder != Viewer::Operator;
    check_name(&wanted.name, &mut errors);
    check_expiry(wanted.expires_at, api.clock.now(), &mut errors);
    let scopes = match &wanted.scopes {
        Some(words) => read_scopes(words, &caller, for_tenant, &mut errors),
        None if wanted.selector.is_some() => {
            let words = OF_AGENTS.map(|scope| scope.to_string());
            read_scopes(&words, &caller, for_tenant, &mut errors)
        }
        None => caller.scopes().iter().filter(|scope| !for_tenant || scope.is_for_tenants()).collect(),
    };
    let selector = read_selector(wanted.selector.as_deref(), &scopes, &mut errors);
    let cidrs = read_cidrs(&wanted.cidrs, &mut errors);
    if !errors.is_empty() {
        return Err(Problem::body_invalid(errors));
    }
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let terms = KeyTerms {
        name: wanted.name.trim().to_owned(),
        scopes,
        selector,
        cidrs,
        expires_at: wanted.expires_at,
    };
    let (view, token) = keyring::create(&mut write.work, holder, &terms).await?;
    write.work.tell(told("api_key.created", None, Some(&view))).await?;
    let location = format!("/v1/api-keys/{}", view.id);
    let made = MadeKey { key: token.reveal().to_owned(), view };
    write.finish(Answer::created(&made, location)).await
}
