//! `PATCH /v1/users/{user}`

use axum::extract::State;
use axum::response::Response;
use issuance::ids::UserId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Password, check_role, check_sign_in, password_missing, password_not_wanted, told};
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::etag;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::scope::Scope;
use crate::store::users::{self, Role, SignInBy, UserTerms, UserView};
use crate::store::viewer::Viewer;

/// What is to be otherwise (RFC 7396): what is left away stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// True: nobody signs in by this name, and whoever has is signed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// With `oidc` alone the password is forgotten; with `password` alone, whom the provider meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<SignInBy>,
    /// 15 to 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub password: Option<Password>,
}

/// Changes what somebody may do, or how it signs in, where it is still as `If-Match` says. Whoever is signed in by that name
/// is signed out.
#[utoipa::path(
    patch, path = "/v1/users/{user}", tag = "users",
    params(("user" = UserId, Path, description = "The user's id, `usr_…`")), request_body = UserChange,
    security(("bearer" = ["keys:manage"])),
    responses((status = 200, description = "As it is now", body = UserView), Problems)
)]
#[tracing::instrument(name = "api.users.change", skip_all, fields(user.id = %id))]
pub(super) async fn change(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<UserId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::KeysManage)?;
    let wanted: UserChange = request.json()?;
    let mut errors = Vec::new();
    let found = users::find(&api.store, caller.viewer, id).await?;
    let holder = found.ok_or_else(|| Problem::not_found("user"))?.tenant_id;
    let holder = holder.map_or(Viewer::Operator, Viewer::Tenant);
    if let Some(role) = wanted.role {
        check_role(role, holder, &caller, &mut errors);
    }
    if let Some(sign_in) = wanted.sign_in {
        check_sign_in(sign_in, &api, &caller, &mut errors);
    }
    if let Some(password) = &wanted.password {
        password.check(&mut errors);
    }
    if !errors.is_empty() {
        return Err(Problem::body_invalid(errors));
    }
    let password = match wanted.password {
        Some(password) => Some(password.hash().await?),
        None => None,
    };
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let before = users::hold(&mut write.work, id).await?.ok_or_else(|| Problem::not_found("user"))?;
    etag::require(&request.headers, before.version)?;
    let terms = UserTerms {
        role: wanted.role.unwrap_or(before.role),
        disabled: wanted.disabled.unwrap_or(before.disabled_at.is_some()),
        sign_in: wanted.sign_in.unwrap_or(before.sign_in),
        password,
    };
    match terms.password {
        Some(_) if !terms.sign_in.password() => {
            return Err(Problem::body_invalid(vec![password_not_wanted()]));
        }
        None if terms.sign_in.password() && !before.sign_in.password() => {
            return Err(Problem::body_invalid(vec![password_missing()]));
        }
        _ => {}
    }
    let by_password = api.sign_in.keep_password_owner;
    let counts = |role, sign_in: SignInBy| role == Role::Owner && (sign_in.password() || !by_password);
    let goes = counts(before.role, before.sign_in) && (!counts(terms.role, terms.sign_in) || terms.disabled);
    if goes && before.tenant_id.is_none() && !users::another_owner(&mut write.work, id, by_password).await? {
        return Err(Problem::last_owner(by_password));
    }
    let changed = terms.password.is_some();
    let after = users::change(&mut write.work, &before, &terms).await?;
    write.work.tell(told("user.changed", Some(&before), &after, changed)).await?;
    write.finish(Answer::ok(&after).with_etag(etag::of(after.version))).await
}
