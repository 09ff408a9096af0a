//! Who is at the door: the session behind a request, and whether a form comes from a page of ours.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, Request};
use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::de::DeserializeOwned;

use super::Dashboard;
use super::ask::Ask;
use super::page::{self, Fault};
use crate::api::auth::{SignedIn, address_of};
use crate::store::scope::Scope;
use crate::store::sessions::{self, Session, SessionText};
use crate::store::viewer::Viewer;

const COOKIE_NAME: &str = "lockkeeper_session";
const FETCH_SITE: &str = "sec-fetch-site";
/// Sent by htmx.
const SCRIPT: &str = "hx-request";
const LIVE: &str = "/admin/live";

/// Somebody who is signed in, on a page.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) session: Session,
    pub(super) text: SessionText,
    pub(super) ask: Ask,
    pub(super) address: Option<IpAddr>,
    /// What was asked for, from the slash on.
    pub(super) here: String,
    /// It asks for a page, and changes nothing.
    pub(super) reads: bool,
}

impl Visitor {
    /// Whether the role opens it: what it does not open is not shown.
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.ask.user.scopes.contains(scope)
    }

    /// What the API answers to this visitor, or the page that says why nothing is shown.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        self.ask.get(path).await.map_err(|refusal| Fault::new(self, refusal))
    }

    /// The same, where there may be nothing.
    pub(super) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Fault> {
        self.ask.find(path).await.map_err(|refusal| Fault::new(self, refusal))
    }

    pub(super) fn is_operator(&self) -> bool {
        self.session.viewer == Viewer::Operator
    }
}

impl FromRequestParts<Dashboard> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Dashboard) -> Result<Self, Response> {
        let (store, now) = (&dashboard.state.store, dashboard.state.clock.now());
        let here = parts.uri.path_and_query().map_or("/admin", |path| path.as_str()).to_owned();
        let Some(text) = session_text(&parts.headers) else { return Err(sign_in_first(parts, &here)) };
        let found = sessions::find(store, now, &text).await.map_err(|_| page::unavailable())?;
        let Some(mut session) = found else { return Err(sign_in_first(parts, &here)) };
        let reads = parts.method == Method::GET;
        if session.notice.is_some() {
            // It is told once, and on a page: not to a script that looks again.
            if reads && !parts.headers.contains_key(SCRIPT) && here != LIVE {
                sessions::keep_notice(store, &text, None).await.map_err(|_| page::unavailable())?;
            } else {
                session.notice = None;
            }
        }
        let address = address_of(parts, &dashboard.state);
        let user = SignedIn {
            viewer: session.viewer,
            user: session.user,
            name: session.name.clone(),
            role: session.role,
            scopes: session.role.scopes(session.viewer),
            address,
        };
        let ask = Ask { api: dashboard.api.clone(), user };
        Ok(Self { session, text, ask, address, here, reads })
    }
}

/// The way back leads to a page; what a form was sent to is none.
fn sign_in_first(parts: &Parts, here: &str) -> Response {
    let back = if parts.method == Method::GET { here } else { "/admin" };
    let to = percent_encoding::utf8_percent_encode(back, percent_encoding::NON_ALPHANUMERIC);
    Redirect::to(&format!("/admin/sign-in?to={to}")).into_response()
}

pub(super) fn session_text(headers: &HeaderMap) -> Option<SessionText> {
    SessionText::parse(cookie_named(headers, COOKIE_NAME)?)
}

pub(super) fn cookie_named<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, text)| text)
}

/// The cookie of a session; without a text, the one that ends it. `secure`: the browser came over TLS.
pub(super) fn cookie(text: Option<&SessionText>, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    match text {
        Some(text) => {
            format!("{COOKIE_NAME}={}; Path=/admin; HttpOnly; SameSite=Lax{secure}", text.reveal())
        }
        None => format!("{COOKIE_NAME}=; Path=/admin; HttpOnly; SameSite=Lax; Max-Age=0{secure}"),
    }
}

/// Whether a browser came over TLS, as the proxy in front says. Whoever lies about it hurts itself.
pub(super) fn is_secure(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// Forms are sent by our own pages alone: what a browser says about it is believed when it says no.
pub(super) async fn same_origin(request: Request, next: Next) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD && !is_same_origin(&request) {
        return (StatusCode::FORBIDDEN, "This form was sent from another site, and nothing was done.\n")
            .into_response();
    }
    next.run(request).await
}

fn is_same_origin(request: &Request) -> bool {
    let headers = request.headers();
    if let Some(site) = headers.get(FETCH_SITE)
        && !matches!(site.as_bytes(), b"same-origin" | b"none")
    {
        return false;
    }
    let Some(from) = headers.get(ORIGIN) else { return true };
    let from = from.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
    let from = from.and_then(|uri| uri.authority().cloned());
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    match (from, host.or_else(|| request.uri().authority().cloned())) {
        (Some(from), Some(host)) => from == host,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn only_pages_of_our_own_send_forms() {
        let asked = |headers: &[(&str, &str)]| {
            let mut request = Request::builder()
                .method(Method::POST)
                .uri("/admin/sign-out")
                .header(HOST, "panel.test:8400");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            is_same_origin(&request.body(Body::empty()).expect("a request"))
        };
        assert!(asked(&[]), "no browser leaves both out; a program has no cookie to be misused");
        assert!(asked(&[("origin", "http://panel.test:8400")]));
        assert!(asked(&[("origin", "http://panel.test:8400"), (FETCH_SITE, "same-origin")]));
        for foreign in ["https://evil.test", "http://panel.test", "http://panel.test:8400.evil.test", "null"]
        {
            assert!(!asked(&[("origin", foreign)]), "{foreign}");
        }
        assert!(!asked(&[(FETCH_SITE, "cross-site")]));
        assert!(!asked(&[(FETCH_SITE, "same-site")]), "a customer's page on a neighbouring name");
    }
}
