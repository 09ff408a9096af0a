//! `POST /v1/users`

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    NAME_CHARS_MAX, Password, check_role, check_sign_in, password_missing, password_not_wanted, told,
};
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::etag;
use crate::api::problem::{Problem, ProblemEntry, Problems};
use crate::api::tenants::holder;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::scope::Scope;
use crate::store::users::{self, NewUser, Role, SignInBy, UserView};

/// Somebody who is to sign in.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedUser {
    /// What is typed in to sign in, such as an address of mail; upper and lower case are the same. At a provider of
    /// identities, what `[oidc] name_claim` says of somebody.
    pub name: String,
    /// The slug of the tenant of which alone it sees anything. Absent: of whoever asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    pub role: Role,
    /// With a password where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<SignInBy>,
    /// 15 to 256 characters, for whoever signs in with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub password: Option<Password>,
}

/// Lets somebody sign in.
#[utoipa::path(
    post, path = "/v1/users", tag = "users", request_body = WantedUser,
    security(("bearer" = ["keys:manage"])),
    responses((status = 201, description = "It may sign in", body = UserView), Problems)
)]
#[tracing::instrument(name = "api.users.create", skip_all)]
pub(super) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::KeysManage)?;
    let wanted: WantedUser = request.json()?;
    let mut errors = Vec::new();
    let holder = holder(&api, &caller, wanted.tenant.as_deref(), &mut errors).await?;
    let name = wanted.name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        let detail = format!("a name has 1 to {NAME_CHARS_MAX} printable characters");
        errors.push(ProblemEntry::at("/name", "out-of-range", detail));
    }
    check_role(wanted.role, holder, &caller, &mut errors);
    let sign_in = wanted.sign_in.unwrap_or(SignInBy::Password);
    check_sign_in(sign_in, &api, &caller, &mut errors);
    match &wanted.password {
        Some(_) if !sign_in.password() => errors.push(password_not_wanted()),
        Some(password) => password.check(&mut errors),
        None if sign_in.password() => errors.push(password_missing()),
        None => {}
    }
    if !errors.is_empty() {
        return Err(Problem::body_invalid(errors));
    }
    let password = match wanted.password.clone() {
        Some(password) => Some(password.hash().await?),
        None => None,
    };
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let new = NewUser { name, role: wanted.role, sign_in, password: password.as_deref() };
    let made = users::create(&mut write.work, holder, new).await?;
    let view = made.ok_or_else(|| {
        let entry =
            ProblemEntry::at("/name", "taken", "somebody signs in by this name already: take another");
        Problem::body_invalid(vec![entry])
    })?;
    write.work.tell(told("user.created", None, &view, sign_in.password())).await?;
    let answer = Answer::created(&view, format!("/v1/users/{}", view.id));
    write.finish(answer.with_etag(etag::of(view.version))).await
}
