//! Certificates: how each one is, its versions, and where it is served.

use axum::extract::{Path, State};
use issuance::time::Timestamp;
use maud::{Markup, html};

use super::Asked;
use super::deployments::deployments;
use crate::api::address::{segment, with_query};
use crate::dashboard::Dashboard;
use crate::dashboard::actions::{DELETE_CERTIFICATE, PAUSE, RENEW, RESUME, RETRY, REVOKE};
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown};
use crate::dashboard::parts::{Control, badge, button, facts, filter, form, listed, next_page, table};
use crate::dashboard::words::{instant, instant_or_dash, plain};
use crate::store::certificates::{CertificateStatus, CertificateView};
use crate::store::deployments::DeploymentView;
use crate::store::page::Listing;
use crate::store::versions::VersionView;

const PATH: &str = "/admin/certificates";
const FILTERS: [&str; 6] = ["status", "tenant", "hostname", "external_id", "label", "failure_class"];
const NAMES_SHOWN: usize = 3;

pub(super) async fn list(State(dashboard): State<Dashboard>, visitor: Visitor, Asked(asked): Asked) -> Shown {
    let path = listed("/v1/certificates", &asked, &FILTERS);
    let found: Listing<CertificateView> = visitor.get(&path).await?;
    let now = dashboard.state.clock.now();
    let rows: Vec<Markup> = found
        .data
        .iter()
        .map(|one| {
            html! {
                th scope="row" { a href={ (PATH) "/" (one.id) } { (names(&one.names)) } }
                td { (one.tenant) }
                td { (badge(one.status.as_str())) }
                td { (instant_or_dash(now, one.current.as_ref().map(|current| current.not_after))) }
                td { (instant_or_dash(now, one.renewal.as_ref().map(|renewal| renewal.renew_at))) }
                td { (instant_or_dash(now, one.next_attempt_at)) }
                td.text { (one.external_id) }
            }
        })
        .collect();
    let statuses = CertificateStatus::ALL.iter().map(|status| status.as_str()).collect();
    let controls = [
        Control::Choice { name: "status", label: "Status", words: statuses },
        Control::Text { name: "hostname", label: "Hostname" },
        Control::Text { name: "tenant", label: "Tenant" },
        Control::Text { name: "external_id", label: "External id" },
        Control::Text { name: "label", label: "Label" },
        Control::Hidden { name: "failure_class" },
    ];
    let columns = ["Names", "Tenant", "Status", "Expires", "Renewal", "Next attempt", "External id"];
    let body = html! {
        (filter(PATH, &asked, &controls))
        (table("Certificates", &columns, &rows))
        (next_page(PATH, &asked, &FILTERS, found.next_cursor.as_deref()))
    };
    Ok(page::show(&visitor, "Certificates", &body))
}

/// The first few, and how many more.
pub(super) fn names(names: &[String]) -> Markup {
    html! {
        (names.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", "))
        @if names.len() > NAMES_SHOWN { " and " (names.len() - NAMES_SHOWN) " more" }
    }
}

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path(certificate): Path<String>,
) -> Shown {
    let path = format!("/v1/certificates/{}", segment(&certificate));
    let one: CertificateView = visitor.get(&path).await?;
    let versions: Listing<VersionView> = visitor.get(&format!("{path}/versions")).await?;
    let id = one.id.to_string();
    let of_it = with_query("/v1/deployments", &[("certificate", Some(&id))]);
    let servers: Listing<DeploymentView> = visitor.get(&of_it).await?;
    let now = dashboard.state.clock.now();
    let version = one.version.to_string();
    let target = [("id", id.as_str())];
    let body = html! {
        p.lead {
            (badge(one.status.as_str())) " "
            @if let Some(error) = &one.last_error { (error.summary) ". " (error.advice) }
        }
        div.row {
            (button(&visitor, &RETRY, &target))
            (button(&visitor, &RENEW, &target))
            @if one.paused_at.is_some() { (button(&visitor, &RESUME, &target)) } @else { (button(&visitor, &PAUSE, &target)) }
            (form(&visitor, &DELETE_CERTIFICATE, &[("id", &id), ("version", &version)], &html! {}))
        }
        @if one.current.is_some() && one.revocation.is_none() { (revoke(&visitor, &id)) }
        section {
            h2 { "Names" }
            ul.names {
                @for name in &one.names { li { a href={ "/admin/hostnames/" (segment(name)) } { (name) } } }
            }
        }
        (what(&one, now))
        @if let Some(renewal) = &one.renewal { (window(renewal.window.as_ref().map(|w| (w.start, w.end)), &one, now)) }
        @if let Some(acme) = one.last_error.as_ref().and_then(|error| error.acme.as_ref()) {
            section {
                h2 { "What the CA said" }
                pre tabindex="0" { (serde_json::to_string_pretty(acme).unwrap_or_default()) }
            }
        }
        section { h2 { "Versions" } (versions_table(&versions.data, now)) }
        section { h2 { "Where it is served" } (deployments(&servers.data, now)) }
        p {
            a href=(with_query("/admin/events", &[("certificate", Some(&id))])) { "Events of this certificate" }
            " · "
            a href=(with_query("/admin/queue", &[("certificate", Some(&id))])) { "Its orders" }
        }
    };
    Ok(page::show(&visitor, &one.names.first().cloned().unwrap_or(id.clone()), &body))
}

fn revoke(visitor: &Visitor, id: &str) -> Markup {
    const REASONS: [&str; 5] =
        ["superseded", "key_compromise", "cessation_of_operation", "affiliation_changed", "unspecified"];
    html! {
        details.revoke {
            summary { "Revoke" }
            (form(visitor, &REVOKE, &[("id", id)], &html! {
                label {
                    "Why"
                    select name="reason" { @for reason in REASONS { option value=(reason) { (plain(reason)) } } }
                }
                label.ticked { input type="checkbox" name="replace" value="yes" checked; "Order a replacement" }
            }))
        }
    }
}

fn what(one: &CertificateView, now: Timestamp) -> Markup {
    facts(&[
        ("Id", html! { code { (one.id) } }),
        ("Tenant", html! { (one.tenant) }),
        ("External id", html! { (one.external_id) }),
        ("Challenge", html! { (one.challenge) }),
        (
            "Key",
            html! {
                @match &one.key.r#type { Some(kind) => (kind), None => "as the service prefers" }
                @if one.key.kept_by_owner { ", kept by its owner" }
            },
        ),
        ("Labels", html! { code { (one.labels) } }),
        ("Expires", instant_or_dash(now, one.current.as_ref().map(|current| current.not_after))),
        ("Issuer", html! { @if let Some(current) = &one.current { (current.issuer) } @else { "–" } }),
        (
            "Renewal",
            html! {
                @match &one.renewal {
                    Some(renewal) => { (instant(now, renewal.renew_at)) " " span.quiet { "by " (plain(&renewal.basis)) } },
                    None => "–",
                }
            },
        ),
        (
            "Order",
            html! {
                @match &one.order_id {
                    Some(order) => a href={ "/admin/orders/" (order) } { (plain(one.stage.as_deref().unwrap_or("order"))) },
                    None => "–",
                }
            },
        ),
        ("Attempts", html! { (one.attempts) }),
        ("Next attempt", instant_or_dash(now, one.next_attempt_at)),
        ("Rate limited until", instant_or_dash(now, one.rate_limited_until)),
        (
            "In the queue",
            html! {
                @match &one.queue {
                    Some(queue) => {
                        @if queue.ahead_at_least { "at least " } (queue.ahead) " ahead"
                        @if let Some(at) = queue.expected_at { ", about " (instant(now, at)) }
                    },
                    None => "–",
                }
            },
        ),
    ])
}

/// The life of what is served: when it began, the CA's window, when it ends.
fn window(window: Option<(Timestamp, Timestamp)>, one: &CertificateView, now: Timestamp) -> Markup {
    const WIDTH: f64 = 600.0;
    let Some(current) = &one.current else { return html! {} };
    let life = current.not_before.until(current.not_after).as_secs_f64().max(1.0);
    let place = |at: Timestamp| (current.not_before.until(at).as_secs_f64() / life).clamp(0.0, 1.0) * WIDTH;
    html! {
        figure {
            svg.bar viewBox="0 0 600 24" role="img" aria-label="The life of the certificate with its renewal window" {
                rect.track x="0" y="8" width="600" height="8" rx="4" {}
                @if let Some((start, end)) = window {
                    rect.window x=(format!("{:.1}", place(start))) y="4" height="16" rx="2"
                        width=(format!("{:.1}", (place(end) - place(start)).max(3.0))) {}
                }
                @if let Some(renewal) = &one.renewal {
                    rect.mark x=(format!("{:.1}", place(renewal.renew_at))) y="2" width="3" height="20" {}
                }
                rect.now x=(format!("{:.1}", place(now))) y="0" width="2" height="24" {}
            }
            figcaption {
                "From " (instant(now, current.not_before)) " to " (instant(now, current.not_after))
                @if let Some((start, end)) = window {
                    "; the CA asks for the renewal between " (instant(now, start)) " and " (instant(now, end))
                }
                "."
            }
        }
    }
}

fn versions_table(versions: &[VersionView], now: Timestamp) -> Markup {
    let rows: Vec<Markup> = versions
        .iter()
        .map(|version| {
            html! {
                th scope="row" { (version.number) @if version.is_current { " " (badge("current")) } }
                td { (instant(now, version.issued_at)) }
                td { (instant(now, version.not_after)) }
                td.text { (version.issuer) }
                td { code { (version.serial) } }
                td { @if version.has_key { "held here" } @else { "kept by its owner" } }
            }
        })
        .collect();
    table("What the CA has signed", &["Version", "Issued", "Expires", "Issuer", "Serial", "Key"], &rows)
}
