//! The views, one a file.

mod accounts;
mod authorizations;
mod campaign_form;
mod campaigns;
mod certificates;
mod checks;
mod deployments;
mod dns;
mod events;
mod glance;
mod hostname;
mod hostnames;
mod imports;
mod order;
mod overview;
mod plan;
mod queue;
mod search;
mod tenants;
mod users;
mod webhooks;

use std::convert::Infallible;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use maud::html;

use super::Dashboard;
use super::guard::Visitor;
use super::page;
use super::posted::Fields;

pub(super) fn routes() -> Router<Dashboard> {
    Router::new()
        .route("/admin", get(overview::show))
        .route("/admin/authorizations", get(authorizations::list))
        .route("/admin/queue", get(queue::show))
        .route("/admin/hostnames", get(hostnames::list))
        .route("/admin/hostnames/{hostname}", get(hostname::show))
        .route("/admin/certificates", get(certificates::list))
        .route("/admin/certificates/{certificate}", get(certificates::show))
        .route("/admin/orders/{order}", get(order::show))
        .route("/admin/deployments", get(deployments::list))
        .route("/admin/tenants", get(tenants::list))
        .route("/admin/tenants/{tenant}", get(tenants::show))
        .route("/admin/imports", get(imports::list))
        .route(
            "/admin/imports/new",
            get(imports::form).post(imports::send).layer(DefaultBodyLimit::max(imports::FILE_BYTES_MAX)),
        )
        .route("/admin/imports/{import}", get(imports::show))
        .route("/admin/campaigns", get(campaigns::list))
        .route("/admin/campaigns/new", get(campaign_form::form).post(campaign_form::begin))
        .route("/admin/campaigns/{campaign}", get(campaigns::show))
        .route("/admin/plan", get(plan::form))
        .route("/admin/plan/forecast", post(plan::forecast))
        .route("/admin/events", get(events::list))
        .route("/admin/webhooks", get(webhooks::list))
        .route("/admin/webhooks/{webhook}", get(webhooks::show))
        .route("/admin/accounts", get(accounts::show))
        .route("/admin/checks", get(checks::show))
        .route("/admin/dns", get(dns::show))
        .route("/admin/users", get(users::list))
        .route("/admin/search", get(search::find))
}

/// A path that no view has.
pub(super) async fn missing(visitor: Visitor) -> Response {
    let body = html! {
        p { "There is no such page." }
        p { a href="/admin" { "To the overview" } }
    };
    (StatusCode::NOT_FOUND, page::show(&visitor, "Not found", &body)).into_response()
}

/// The query of an address. What a view does not know in it does not matter.
#[derive(Debug, Clone)]
pub(super) struct Asked(pub(super) Fields);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Fields::parse(parts.uri.query().unwrap_or_default())))
    }
}
