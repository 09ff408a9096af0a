//! Signing in at the provider of identities: there, and back.

use std::net::IpAddr;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{LOCATION, SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use secrecy::ExposeSecret as _;
use tracing::{info, warn};

use super::guard::{cookie, cookie_named, is_secure};
use super::sign_in::{Wanted, form, safe};
use super::{Dashboard, page};
use crate::api::auth::address_of;
use crate::config::{OidcRole, RoleWord};
use crate::oidc::{Answer, Oidc, OidcError, TokenFault};
use crate::store::oidc_users::{self, Found, Vouched};
use crate::store::sessions::{self, SessionText, SignedInBy};
use crate::store::users::Role;
use crate::store::viewer::Viewer;
use crate::store::{StoreError, tenants};

/// Where the way to the provider begins.
pub(super) const START: &str = "/admin/sign-in/oidc";
const COOKIE_NAME: &str = "lockkeeper_sign_in";
/// A little longer than what is in it is good for, so that whoever is late is told so.
const COOKIE_SECONDS: u32 = 3_600;

/// `GET /admin/sign-in/oidc`
pub(super) async fn depart(
    State(dashboard): State<Dashboard>,
    Query(wanted): Query<Wanted>,
    parts: Parts,
) -> Response {
    let Some(oidc) = &dashboard.oidc else { return Redirect::to("/admin/sign-in").into_response() };
    let to = safe(wanted.to.as_deref());
    let address = address_of(&parts, &dashboard.state);
    if !dashboard.state.hears(address) {
        return told(&dashboard, Some(to), Refusal::Throttled).await;
    }
    match oidc.begin(dashboard.state.clock.now(), to).await {
        Ok(departure) => {
            let kept = journey_cookie(oidc, &parts.headers, departure.cookie.expose_secret(), COOKIE_SECONDS);
            (StatusCode::SEE_OTHER, [(LOCATION, departure.location), (SET_COOKIE, kept)]).into_response()
        }
        Err(error) => told(&dashboard, Some(to), Refusal::Oidc(error)).await,
    }
}

/// `GET /admin/sign-in/oidc/callback`
pub(super) async fn arrive(
    State(dashboard): State<Dashboard>,
    answer: Result<Query<Answer>, QueryRejection>,
    parts: Parts,
) -> Response {
    let Some(oidc) = &dashboard.oidc else { return Redirect::to("/admin/sign-in").into_response() };
    let answer = answer.map_or_else(|_| Answer::default(), |Query(answer)| answer);
    let address = address_of(&parts, &dashboard.state);
    let mut response = match enter(&dashboard, oidc, &answer, &parts, address).await {
        Ok((session, to)) => {
            let session = cookie(Some(&session), oidc.is_secure() || is_secure(&parts.headers));
            let to = safe(Some(&to)).to_owned();
            (StatusCode::SEE_OTHER, [(LOCATION, to), (SET_COOKIE, session)]).into_response()
        }
        Err(refusal) => {
            if refusal.is_theirs() {
                dashboard.state.note_failed_authentication(address);
            }
            told(&dashboard, None, refusal).await
        }
    };
    // However it went, it is over.
    if let Ok(gone) = HeaderValue::from_str(&journey_cookie(oidc, &parts.headers, "", 0)) {
        response.headers_mut().append(SET_COOKIE, gone);
    }
    response
}

/// Why nobody is signed in.
enum Refusal {
    Throttled,
    Oidc(OidcError),
    /// It has come back before.
    Used,
    /// By its name, and why not.
    Person(String, Found),
    /// Its groups lead to a tenant that does not exist.
    NoTenant,
    Store(StoreError),
}

impl From<OidcError> for Refusal {
    fn from(error: OidcError) -> Self {
        Self::Oidc(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The session, and where whoever has it wanted to go.
async fn enter(
    dashboard: &Dashboard,
    oidc: &Oidc,
    answer: &Answer,
    parts: &Parts,
    address: Option<IpAddr>,
) -> Result<(SessionText, String), Refusal> {
    let (store, now) = (&dashboard.state.store, dashboard.state.clock.now());
    if !dashboard.state.hears(address) {
        return Err(Refusal::Throttled);
    }
    let kept = cookie_named(&parts.headers, COOKIE_NAME);
    let journey = oidc.recognise(now, kept, answer)?;
    // Before the code is redeemed: of two that come at once, one goes on.
    if !store.note_oidc_return(&journey.digest(), now, journey.ends_at()).await? {
        return Err(Refusal::Used);
    }
    let person = oidc.arrive(now, &journey, answer).await?;
    let role = match oidc.role_of(&person) {
        None => None,
        Some(role) => Some(role_here(dashboard, role).await?),
    };
    let vouched = Vouched {
        issuer: &person.issuer,
        subject: &person.subject,
        name: &person.name,
        role,
        may_be_made: oidc.makes_users(),
    };
    let (id, name) = match oidc_users::find_or_make(store, now, vouched, address).await? {
        Found::User { id, name } => (id, name),
        why => return Err(Refusal::Person(person.name, why)),
    };
    let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let text = sessions::begin(store, now, id, &name, SignedInBy::Oidc, address, user_agent).await?;
    info!(event = "user.signed_in", user.name = name, by = "oidc", "Signed in");
    Ok((text, journey.to().to_owned()))
}

async fn role_here(dashboard: &Dashboard, role: &OidcRole) -> Result<(Role, Viewer), Refusal> {
    let holder = match &role.tenant {
        None => Viewer::Operator,
        Some(slug) => {
            let tenant = tenants::find(&dashboard.state.store, slug).await?;
            Viewer::Tenant(tenant.ok_or(Refusal::NoTenant)?)
        }
    };
    let role = match role.role {
        RoleWord::Owner => Role::Owner,
        RoleWord::Operator => Role::Operator,
        RoleWord::Viewer => Role::Viewer,
    };
    Ok((role, holder))
}

impl Refusal {
    /// Whether it counts against whoever asks: what is not as it should be here, or there, does not.
    fn is_theirs(&self) -> bool {
        match self {
            Self::Throttled | Self::NoTenant | Self::Store(_) => false,
            Self::Oidc(error) => !error.is_ours(),
            Self::Used | Self::Person(..) => true,
        }
    }

    fn log(&self) {
        let refused = |reason: &str| {
            info!(event = "user.oidc_refused", reason, "Somebody came from the provider, and is not let in");
        };
        match self {
            Self::Throttled => {}
            Self::Oidc(error) if error.is_ours() => warn!(
                event = "user.oidc_failed",
                reason = error.word(),
                error = error as &dyn std::error::Error,
                "Nobody can sign in at the provider of identities"
            ),
            Self::Oidc(OidcError::Refused(fault)) => warn!(
                event = "user.oidc_token_refused",
                fault = %fault,
                "A token of the provider of identities cannot be believed"
            ),
            Self::Oidc(error) => refused(error.word()),
            Self::Used => refused("used"),
            Self::Person(_, Found::Unknown) => refused("unknown"),
            Self::Person(_, Found::ByPasswordAlone) => refused("by_password_alone"),
            Self::Person(_, Found::Another) => refused("another"),
            Self::Person(_, Found::Disabled) => refused("disabled"),
            Self::Person(_, Found::NoRole | Found::User { .. }) => refused("no_role"),
            Self::NoTenant => refused("no_tenant"),
            Self::Store(error) => warn!(
                event = "user.sign_in_failed",
                error = error as &dyn std::error::Error,
                "Nobody can sign in"
            ),
        }
    }

    /// For whoever wanted to sign in.
    fn sentence(&self) -> (StatusCode, String) {
        let (status, text) = match self {
            Self::Throttled => {
                (StatusCode::TOO_MANY_REQUESTS, "Too many failed attempts from here: wait a few minutes.")
            }
            Self::Used => (
                StatusCode::BAD_REQUEST,
                "This sign-in has been used already. Begin it anew if you are not signed in.",
            ),
            Self::NoTenant => (
                StatusCode::FORBIDDEN,
                "Your groups belong to a tenant that does not exist here. Ask an owner of Lockkeeper.",
            ),
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "The database cannot be reached."),
            Self::Oidc(error) => return of_provider(error),
            Self::Person(name, why) => {
                return (StatusCode::FORBIDDEN, of_person(name, why));
            }
        };
        (status, text.to_owned())
    }
}

fn of_person(name: &str, why: &Found) -> String {
    match why {
        Found::Unknown => format!("Nobody is called {name} here. Ask an owner of Lockkeeper to let you in."),
        Found::ByPasswordAlone => format!(
            "{name} signs in with a password here. An owner of Lockkeeper can allow it the provider as well."
        ),
        Found::Another => format!(
            "{name} is somebody else here than at the provider. Ask an owner of Lockkeeper, who can see to it."
        ),
        Found::Disabled => format!("{name} is disabled here. Ask an owner of Lockkeeper."),
        Found::NoRole | Found::User { .. } => {
            format!(
                "None of the groups of {name} opens Lockkeeper. Ask an owner, or whoever keeps the groups."
            )
        }
    }
}

fn of_provider(error: &OidcError) -> (StatusCode, String) {
    let (status, text) = match error {
        OidcError::Away(_) | OidcError::Discovery(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The provider does not answer as it should. Try again in a moment, or sign in with a password.",
        ),
        OidcError::Busy => {
            (StatusCode::SERVICE_UNAVAILABLE, "Many people are signing in just now. Try again in a moment.")
        }
        OidcError::Unusable | OidcError::Unwelcome(_) => (
            StatusCode::BAD_GATEWAY,
            "The provider and Lockkeeper do not understand each other: the log of the service says why. Sign in with a \
             password meanwhile.",
        ),
        OidcError::Stranger => (
            StatusCode::BAD_REQUEST,
            "This answer of the provider belongs to no sign-in of this browser. Begin it here, and with cookies allowed.",
        ),
        OidcError::TooLate => {
            (StatusCode::BAD_REQUEST, "That took longer than ten minutes. Begin the sign-in anew.")
        }
        OidcError::Denied => (StatusCode::FORBIDDEN, "The provider has not let you in."),
        OidcError::Code => {
            (StatusCode::BAD_REQUEST, "The provider says that this sign-in is over. Begin it anew.")
        }
        OidcError::Refused(TokenFault::Expired | TokenFault::Future) => (
            StatusCode::UNAUTHORIZED,
            "What the provider says is of another time: its clock, or the one of this machine, is wrong.",
        ),
        OidcError::Refused(_) => (
            StatusCode::UNAUTHORIZED,
            "What the provider says of you cannot be believed, and you are not signed in. The log of the service says why.",
        ),
        OidcError::Nameless(claim) => {
            let text = format!("The provider does not say your {claim}, which is your name here.");
            return (StatusCode::FORBIDDEN, text);
        }
        OidcError::Unverified => (
            StatusCode::FORBIDDEN,
            "The provider has not verified your address of mail. Verify it there, then sign in again.",
        ),
    };
    (status, text.to_owned())
}

/// The page of the sign-in, where a password works all the same.
async fn told(dashboard: &Dashboard, to: Option<&str>, refusal: Refusal) -> Response {
    refusal.log();
    if matches!(refusal, Refusal::Store(_)) {
        return page::unavailable();
    }
    let (status, sentence) = refusal.sentence();
    form(dashboard, status, to, Some(&sentence)).await
}

/// Goes to the two addresses of this way alone, and comes back with whom the provider sends, which `Strict` would not.
fn journey_cookie(oidc: &Oidc, headers: &HeaderMap, text: &str, seconds: u32) -> String {
    let secure = if oidc.is_secure() || is_secure(headers) { "; Secure" } else { "" };
    format!("{COOKIE_NAME}={text}; Path={START}; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}
