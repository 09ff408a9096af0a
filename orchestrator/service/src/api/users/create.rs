//! `POST /v1/users`

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{NAME_CHARS_MAX, Password, check_role, told};
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::etag;
use crate::api::problem::{Problem, ProblemEntry, Problems};
use crate::api::tenants::holder;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::scope::Scope;
use crate::store::users::{self, Role, UserView};

/// Somebody who is to sign in.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedUser {
    /// What is typed in to sign in, such as an address of mail; upper and lower case are the same.
    pub name: String,
    /// The slug of the tenant of which alone it sees anything. Absent: of whoever asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    pub role: Role,
    /// 15 to 256 characters.
    #[schema(value_type = String)]
    pub password: Password,
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
    wanted.password.check(&mut errors);
    if !errors.is_empty() {
        return Err(Problem::body_invalid(errors));
    }
    let password = wanted.password.clone().hash().await?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let made = users::create(&mut write.work, holder, name, wanted.role, &password).await?;
    let view = made.ok_or_else(|| {
        let entry =
            ProblemEntry::at("/name", "taken", "somebody signs in by this name already: take another");
        Problem::body_invalid(vec![entry])
    })?;
    write.work.tell(told("user.created", None, &view, true)).await?;
    let answer = Answer::created(&view, format!("/v1/users/{}", view.id));
    write.finish(answer.with_etag(etag::of(view.version))).await
}
