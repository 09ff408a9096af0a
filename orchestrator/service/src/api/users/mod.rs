//! `/v1/users`: who may sign in to the dashboard, and as what. The operator's for all, and a tenant's owner for its own.

mod change;
mod create;
mod list;

pub use change::UserChange;
pub use create::WantedUser;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Caller;
use super::problem::{Problem, ProblemEntry};
use crate::keys::password;
use crate::store::events::Event;
use crate::store::users::{Role, SignInBy, UserView};
use crate::store::viewer::Viewer;

const NAME_CHARS_MAX: usize = 100;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list::list, create::create)).routes(routes!(change::change))
}

/// How people may sign in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignInRules {
    /// There is a provider of identities.
    pub provider: bool,
    /// The operator keeps an owner who signs in with a password.
    pub keep_password_owner: bool,
}

impl Default for SignInRules {
    fn default() -> Self {
        Self { provider: false, keep_password_owner: true }
    }
}

/// A password on its way in. Printed as nothing, and gone when it is dropped.
#[derive(Debug, Clone)]
pub struct Password(pub SecretString);

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretString::from(text)))
    }
}

/// For the command line, which sends it.
impl Serialize for Password {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use secrecy::ExposeSecret as _;
        serializer.serialize_str(self.0.expose_secret())
    }
}

impl Password {
    fn check(&self, errors: &mut Vec<ProblemEntry>) {
        use secrecy::ExposeSecret as _;
        let length = self.0.expose_secret().chars().count();
        if !(password::CHARS_MIN..=password::CHARS_MAX).contains(&length) {
            let (least, most) = (password::CHARS_MIN, password::CHARS_MAX);
            let detail = format!("a password has {least} to {most} characters: a few words do well");
            errors.push(ProblemEntry::at("/password", "out-of-range", detail));
        }
    }

    /// A PHC string.
    async fn hash(self) -> Result<String, Problem> {
        let hashed = tokio::task::spawn_blocking(move || password::hash(&self.0)).await;
        let hashed = hashed.map_err(|error| Problem::internal(&error))?;
        hashed.map_err(|error| Problem::internal(&error))
    }
}

/// Nobody lets somebody do what he may not do himself.
fn check_role(role: Role, holder: Viewer, caller: &Caller, errors: &mut Vec<ProblemEntry>) {
    if let Some(more) = role.scopes(holder).iter().find(|scope| !caller.scopes().contains(*scope)) {
        let detail = format!("a user with the role {role} may do more than you: {more}");
        errors.push(ProblemEntry::at("/role", "beyond-your-own", detail));
    }
}

/// The provider is the operator's: it alone says for whom that one speaks.
fn check_sign_in(sign_in: SignInBy, api: &ApiState, caller: &Caller, errors: &mut Vec<ProblemEntry>) {
    if !sign_in.oidc() {
        return;
    }
    if !api.sign_in.provider {
        let detail = "no provider of identities is configured: set [oidc] issuer first";
        errors.push(ProblemEntry::at("/sign_in", "no-provider", detail));
    } else if caller.viewer != Viewer::Operator {
        let detail = "the provider of identities is the operator's: ask there";
        errors.push(ProblemEntry::at("/sign_in", "operator-only", detail));
    }
}

fn password_missing() -> ProblemEntry {
    ProblemEntry::at("/password", "missing", "whoever signs in with a password needs one")
}

fn password_not_wanted() -> ProblemEntry {
    let detail =
        "whoever signs in at the provider alone has no password: leave it away, or set sign_in to both";
    ProblemEntry::at("/password", "not-wanted", detail)
}

fn told(kind: &'static str, before: Option<&UserView>, after: &UserView, password: bool) -> Event {
    Event {
        kind,
        tenant: after.tenant_id,
        certificate: None,
        subject: after.id.to_string(),
        data: json!({ "before": before, "after": after, "password_changed": password }),
    }
}
