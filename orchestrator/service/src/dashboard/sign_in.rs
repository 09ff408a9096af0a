//! Signing in and out.

use axum::extract::{Query, State};
use axum::http::header::{LOCATION, SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;
use serde::Deserialize;
use tracing::{info, warn};

use super::guard::{cookie, is_secure};
use super::oidc::START;
use super::posted::{Fields, Posted};
use super::{Dashboard, page};
use crate::api::auth::address_of;
use crate::keys::password;
use crate::store::StoreError;
use crate::store::sessions::{self, SessionText, SignedInBy};

const HOME: &str = "/admin";

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    pub(super) to: Option<String>,
}

/// `GET /admin/sign-in`
pub(super) async fn show(State(dashboard): State<Dashboard>, Query(wanted): Query<Wanted>) -> Response {
    form(&dashboard, StatusCode::OK, wanted.to.as_deref(), None).await
}

/// `POST /admin/sign-in`
pub(super) async fn enter(State(dashboard): State<Dashboard>, parts: Parts, body: String) -> Response {
    let fields = Fields::parse(&body);
    let to = fields.get("to").map(str::to_owned);
    let address = address_of(&parts, &dashboard.state);
    let refused = async |status, why: &str| form(&dashboard, status, to.as_deref(), Some(why)).await;
    if !dashboard.state.hears(address) {
        return refused(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many failed attempts from here: wait a few minutes.",
        )
        .await;
    }
    let name = fields.get("name").unwrap_or_default().trim().to_owned();
    let password = SecretString::from(fields.get("password").unwrap_or_default().to_owned());
    let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match begin(&dashboard, &name, password, address, user_agent).await {
        Ok(Entry::Opened(text)) => {
            info!(event = "user.signed_in", user.name = name, by = "password", "Signed in");
            let cookie = cookie(Some(&text), is_secure(&parts.headers));
            go(safe(to.as_deref()), cookie)
        }
        Ok(Entry::Refused) => {
            dashboard.state.note_failed_authentication(address);
            refused(StatusCode::UNAUTHORIZED, "Nobody signs in with this name and this password.").await
        }
        Ok(Entry::Barred) => {
            let why = "Too many wrong passwords for this name: wait a few minutes, then try again.";
            refused(StatusCode::TOO_MANY_REQUESTS, why).await
        }
        Err(error) => {
            warn!(
                event = "user.sign_in_failed",
                error = &error as &dyn std::error::Error,
                "Nobody can sign in"
            );
            page::unavailable()
        }
    }
}

enum Entry {
    Opened(SessionText),
    Refused,
    Barred,
}

async fn begin(
    dashboard: &Dashboard,
    name: &str,
    password: SecretString,
    address: Option<std::net::IpAddr>,
    user_agent: &str,
) -> Result<Entry, StoreError> {
    let (store, now) = (&dashboard.state.store, dashboard.state.clock.now());
    let found = store.credentials(now, name).await?;
    if found.as_ref().is_some_and(|found| found.barred_until.is_some()) {
        return Ok(Entry::Barred);
    }
    let kept = found.as_ref().and_then(|found| found.password.clone());
    // A thread of its own, as it takes a processor for a while; a refusal takes as long whatever was wrong.
    let right = tokio::task::spawn_blocking(move || password::verify(&password, kept.as_ref())).await;
    let Some(found) = found else { return Ok(Entry::Refused) };
    if !right.unwrap_or(false) || found.disabled {
        store.note_wrong_password(found.id, now).await?;
        return Ok(Entry::Refused);
    }
    let by = SignedInBy::Password;
    sessions::begin(store, now, found.id, &found.name, by, address, user_agent).await.map(Entry::Opened)
}

/// `POST /admin/sign-out`
pub(super) async fn leave(
    State(dashboard): State<Dashboard>,
    headers: HeaderMap,
    posted: Posted,
) -> Response {
    let visitor = posted.visitor;
    let (store, now) = (&dashboard.state.store, dashboard.state.clock.now());
    match sessions::end(store, now, &visitor.text, &visitor.session, visitor.address).await {
        Ok(()) => go("/admin/sign-in", cookie(None, is_secure(&headers))),
        Err(_) => page::unavailable(),
    }
}

fn go(to: &str, cookie: String) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, to.to_owned()), (SET_COOKIE, cookie)]).into_response()
}

/// A page of ours, or the first of them: nobody is sent elsewhere with our name on it.
pub(super) fn safe(to: Option<&str>) -> &str {
    let plain = |to: &&str| to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let ours = |to: &&str| *to == HOME || to.starts_with("/admin/") || to.starts_with("/admin?");
    to.filter(ours).filter(plain).unwrap_or(HOME)
}

pub(super) async fn form(
    dashboard: &Dashboard,
    status: StatusCode,
    to: Option<&str>,
    why: Option<&str>,
) -> Response {
    let Ok(anybody) = dashboard.state.store.has_users().await else { return page::unavailable() };
    let body: Markup = html! {
        @if let Some(why) = why { p.notice.bad role="alert" { (why) } }
        @if !anybody {
            p.notice {
                "Nobody can sign in yet. On the machine of the service, run "
                code { "lockkeeper admin create-user NAME --role owner" }
                "."
            }
        }
        @if let Some(oidc) = &dashboard.oidc {
            // A link, since the policy lets no form lead elsewhere.
            p {
                a.button.primary href=(format!("{START}?to={}", utf8_percent_encode(safe(to), NON_ALPHANUMERIC))) {
                    "Sign in with " (oidc.name())
                }
            }
            p.quiet { "Or with a name and a password of Lockkeeper's own:" }
        }
        form.stack method="post" action="/admin/sign-in" {
            input type="hidden" name="to" value=(safe(to));
            label { "Name" input name="name" autocomplete="username" autocapitalize="none" required autofocus; }
            label { "Password" input name="password" type="password" autocomplete="current-password" required; }
            button.primary type="submit" { "Sign in" }
        }
    };
    (status, page::outside("Sign in", &body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(safe(Some("/admin/orders?stage=parked")), "/admin/orders?stage=parked");
        for elsewhere in [
            "https://evil.test",
            "//evil.test",
            "/\\evil.test",
            "/v1/summary",
            "/administrator",
            "/admin/\\x",
        ] {
            assert_eq!(safe(Some(elsewhere)), HOME, "{elsewhere}");
        }
    }
}
