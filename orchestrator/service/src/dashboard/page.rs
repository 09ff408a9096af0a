//! The frame of a page: what stands around each view.

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::ask::Refusal;
use super::assets::address;
use super::guard::Visitor;
use super::posted::TOKEN;
use crate::store::scope::Scope;

/// A view: its place in the navigation, and who may see it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    scope: Scope,
    /// What concerns more than one tenant.
    operators: bool,
    group: &'static str,
}

const fn place(path: &'static str, name: &'static str, scope: Scope, group: &'static str) -> Place {
    Place { path, name, scope, operators: false, group }
}

const fn of_operators(path: &'static str, name: &'static str, scope: Scope, group: &'static str) -> Place {
    Place { path, name, scope, operators: true, group }
}

const NOW: &str = "Now";
const FLEET: &str = "Fleet";
const WORK: &str = "Work";
const SERVICE: &str = "Service";

/// In the order of the navigation.
pub(super) const PLACES: [Place; 16] = [
    place("/admin", "Overview", Scope::CertificatesRead, NOW),
    place("/admin/authorizations", "Authorizations", Scope::AuthorizationsRead, NOW),
    place("/admin/queue", "Queue", Scope::OrdersRead, NOW),
    place("/admin/hostnames", "Hostnames", Scope::HostnamesRead, FLEET),
    place("/admin/certificates", "Certificates", Scope::CertificatesRead, FLEET),
    place("/admin/deployments", "Deployments", Scope::CertificatesRead, FLEET),
    of_operators("/admin/tenants", "Tenants", Scope::TenantsManage, FLEET),
    place("/admin/imports", "Imports", Scope::ImportsWrite, WORK),
    place("/admin/campaigns", "Campaigns", Scope::CertificatesRead, WORK),
    place("/admin/plan", "What-if", Scope::HeadroomRead, WORK),
    place("/admin/events", "Events", Scope::EventsRead, WORK),
    place("/admin/webhooks", "Webhooks", Scope::WebhooksManage, WORK),
    of_operators("/admin/accounts", "Accounts and limits", Scope::HeadroomRead, SERVICE),
    of_operators("/admin/checks", "Checks", Scope::AccountsManage, SERVICE),
    of_operators("/admin/dns", "DNS", Scope::DnsManage, SERVICE),
    place("/admin/users", "Users", Scope::KeysManage, SERVICE),
];

impl Place {
    pub(super) fn is_open_to(&self, visitor: &Visitor) -> bool {
        visitor.may(self.scope) && (visitor.is_operator() || !self.operators)
    }

    /// The view itself and what is below it.
    fn holds(&self, here: &str) -> bool {
        let path = here.split('?').next().unwrap_or_default();
        path == self.path
            || (self.path != "/admin"
                && path.strip_prefix(self.path).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// What a handler answers: a page, or why there is none.
pub(super) type Shown = Result<Response, Fault>;

/// Why there is no page.
#[derive(Debug)]
pub(super) struct Fault {
    refusal: Box<Refusal>,
    visitor: Box<Visitor>,
}

impl Fault {
    pub(super) fn new(visitor: &Visitor, refusal: Box<Refusal>) -> Self {
        Self { refusal, visitor: Box::new(visitor.clone()) }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = self.refusal.status();
        let title = if status == StatusCode::NOT_FOUND { "Not found" } else { self.refusal.title.as_str() };
        let body = html! {
            p.notice.bad role="alert" { (self.refusal.detail) }
            @if !self.refusal.request_id.is_empty() {
                p.quiet { "Request " code { (self.refusal.request_id) } ", code " code { (self.refusal.code) } "." }
            }
            p { a href="/admin" { "To the overview" } }
        };
        let mut response = (status, frame(&self.visitor, title, &body, None)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// A page of the visitor's; the notice that waits for it is shown on it.
pub(super) fn show(visitor: &Visitor, title: &str, body: &Markup) -> Response {
    frame(visitor, title, body, visitor.session.notice.as_deref()).into_response()
}

/// The hidden field that every form carries.
pub(super) fn token(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name=(TOKEN) value=(visitor.session.csrf); }
}

fn frame(visitor: &Visitor, title: &str, body: &Markup, notice: Option<&str>) -> Markup {
    let open = || PLACES.iter().filter(|place| place.is_open_to(visitor));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (head(title))
                script src=(address("htmx.min.js")) defer {}
                script src=(address("uplot.min.js")) defer {}
                script src=(address("app.js")) defer {}
                link rel="stylesheet" href=(address("uplot.min.css"));
            }
            body {
                a.skip href="#main" { "To the content" }
                header {
                    a.brand href="/admin" { "Lockkeeper" }
                    form.search role="search" action="/admin/search" method="get" {
                        label.hidden for="search" { "A hostname, an id or a tenant" }
                        input #search name="q" type="search" placeholder="hostname, id or tenant" autocomplete="off";
                        button type="submit" { "Find" }
                    }
                    button #palette-open type="button" data-needs-script title="Ctrl K" { "Go to…" }
                    button #refresh-toggle type="button" data-needs-script aria-pressed="false" { "Pause refresh" }
                    button #theme-toggle type="button" data-needs-script { "Theme" }
                    details.who {
                        summary { (visitor.session.name) }
                        p.quiet {
                            (visitor.session.role)
                            @if let Some(tenant) = &visitor.session.tenant { " of " (tenant) }
                        }
                        form method="post" action="/admin/sign-out" {
                            (token(visitor))
                            button type="submit" { "Sign out" }
                        }
                    }
                }
                nav.wide aria-label="Views" { (places(visitor)) }
                // The same on a phone, where it is one line until it is pressed. The style shows one of the two.
                nav.narrow aria-label="Views" {
                    details {
                        summary {
                            "Menu"
                            @if let Some(place) = open().find(|place| place.holds(&visitor.here)) { ": " (place.name) }
                        }
                        (places(visitor))
                    }
                }
                main #main tabindex="-1" {
                    h1 { (title) }
                    div #notices role="status" aria-live="polite" {
                        @if let Some(notice) = notice { p.notice { (notice) } }
                    }
                    div #view data-refresh=[visitor.reads.then_some("")] { (body) }
                }
                dialog #palette aria-label="Go to" {
                    form method="dialog" {
                        label for="palette-input" { "Go to a view, or find a hostname, an id or a tenant" }
                        input #palette-input type="text" autocomplete="off" role="combobox" aria-expanded="true"
                            aria-controls="palette-list" aria-autocomplete="list";
                        ul #palette-list role="listbox" aria-label="Views" {
                            @for place in open() {
                                li role="option" aria-selected="false" data-path=(place.path) { (place.name) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The way to each view that is open to the visitor.
fn places(visitor: &Visitor) -> Markup {
    let open = || PLACES.iter().filter(|place| place.is_open_to(visitor));
    html! {
        @for group in [NOW, FLEET, WORK, SERVICE] {
            @if open().any(|place| place.group == group) {
                h2 { (group) }
                ul {
                    @for place in open().filter(|place| place.group == group) {
                        li {
                            a href=(place.path) aria-current=[place.holds(&visitor.here).then_some("page")] { (place.name) }
                        }
                    }
                }
            }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        meta name="color-scheme" content="light dark";
        meta name="htmx-config" content=r#"{"includeIndicatorCSS":false}"#;
        title { (title) " · Lockkeeper" }
        link rel="icon" href="data:,";
        link rel="stylesheet" href=(address("app.css"));
        // Before anything is drawn: the colours that were chosen.
        script src=(address("theme.js")) {}
    }
}

/// A page for nobody in particular.
pub(super) fn outside(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { (head(title)) }
            body.outside {
                header { span.brand { "Lockkeeper" } }
                main #main {
                    h1 { (title) }
                    (body)
                }
            }
        }
    }
}

/// What anybody is told while the database is away.
pub(super) fn unavailable() -> Response {
    let body = html! {
        p.notice.bad role="alert" { "The database cannot be reached. Nothing was changed; try again in a moment." }
    };
    let headers = [(RETRY_AFTER, "5")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, outside("For a moment, nothing can be shown", &body))
        .into_response()
}
