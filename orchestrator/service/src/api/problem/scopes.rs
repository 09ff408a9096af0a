//! Whoever asks is known, and may not.

use axum::http::StatusCode;

use super::Problem;
use crate::store::scope::Scope;
use crate::store::users::Role;
use crate::store::viewer::Viewer;

const CODE: &str = "forbidden-scope";
const NOT_WITH_THIS_KEY: &str = "The token does not open this";
const NOT_WITH_YOUR_ROLE: &str = "Not with your role";

impl Problem {
    pub(in crate::api) fn operator_only(is_signed_in: bool) -> Self {
        if is_signed_in {
            let detail = "this concerns more than your tenant: whoever runs Lockkeeper can";
            return Self::new(StatusCode::FORBIDDEN, CODE, NOT_WITH_YOUR_ROLE, detail);
        }
        let detail = "this concerns the whole account: ask with the operator's token";
        Self::new(StatusCode::FORBIDDEN, CODE, NOT_WITH_THIS_KEY, detail)
    }

    /// Somebody signed in asks for what others of the same house may.
    pub(in crate::api) fn role_insufficient(role: Role, viewer: Viewer, scope: Scope) -> Self {
        Self::new(StatusCode::FORBIDDEN, CODE, NOT_WITH_YOUR_ROLE, role.insufficient(viewer, scope))
    }

    /// The key is good and opens other things.
    pub(in crate::api) fn scope_missing(scope: Scope) -> Self {
        let detail = format!("this takes a key with the scope {scope}");
        Self::new(StatusCode::FORBIDDEN, CODE, NOT_WITH_THIS_KEY, detail)
    }
}
