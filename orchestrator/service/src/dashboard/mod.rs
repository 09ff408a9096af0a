//! The admin dashboard: pages for people, made here and readable without scripts.
//!
//! It is a client of the API in the same process: what a page shows is what the API answers to whoever is signed in, and
//! what a button does is a request to it. So a page can show nobody's rows that the API would not, nothing is written
//! without its audit, and whatever can be done here can be done by a program.

mod actions;
mod ask;
mod assets;
mod bulk;
mod chart;
mod guard;
mod live;
mod oidc;
mod page;
mod parts;
mod posted;
mod sign_in;
mod views;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{Redirect, Response};
use axum::routing::{get, post};

use crate::api::{self, ApiState};
use crate::oidc::{CALLBACK, Oidc};

/// Everything is from here, nothing is written into a page, and no other page may hold one of these.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// What the pages work with.
#[derive(Debug, Clone)]
pub(crate) struct Dashboard {
    state: ApiState,
    /// The API itself, asked in this process.
    api: Router,
    /// The provider of identities, where there is one.
    oidc: Option<Arc<Oidc>>,
}

/// The API, and beside it everything below `/admin`, which is a client of it.
pub fn beside_api(state: ApiState, oidc: Option<Arc<Oidc>>) -> Router {
    let api = api::router(state.clone());
    let dashboard = Dashboard { state, api: api.clone(), oidc };
    let pages = views::routes()
        .route("/admin/sign-in", get(sign_in::show).post(sign_in::enter))
        .route("/admin/sign-in/oidc", get(oidc::depart))
        .route(CALLBACK, get(oidc::arrive))
        .route("/admin/sign-out", post(sign_in::leave))
        .route("/admin/actions/{action}", post(actions::act))
        .route("/admin/bulk/{bulk}", post(bulk::act))
        .route("/admin/live", get(live::follow))
        .route("/admin/", get(async || Redirect::permanent("/admin")))
        .route("/admin/{*elsewhere}", get(views::missing))
        .layer(axum::middleware::from_fn(guard::same_origin))
        .layer(axum::middleware::map_response(protect));
    Router::new()
        .route("/admin/assets/{version}/{file}", get(assets::serve))
        .merge(pages)
        .with_state(dashboard)
        .fallback_service(api)
}

/// What no page goes without.
async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "same-origin"),
        (OPENER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
