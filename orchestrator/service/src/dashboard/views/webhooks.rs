//! Webhooks: who is told, how that goes, and sending again.

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::Asked;
use crate::api::address::segment;
use crate::dashboard::Dashboard;
use crate::dashboard::actions::{
    DISABLE_WEBHOOK, ENABLE_WEBHOOK, RECOVER_WEBHOOK, RESEND_DELIVERY, TEST_WEBHOOK,
};
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown};
use crate::dashboard::parts::{badge, button, facts, form, listed, next_page, table};
use crate::dashboard::words::{count, instant, instant_or_dash, plain};
use crate::store::page::Listing;
use crate::store::webhook_attempts::{AttemptView, DeliveryView};
use crate::store::webhooks::WebhookView;

const PATH: &str = "/admin/webhooks";

pub(super) async fn list(State(dashboard): State<Dashboard>, visitor: Visitor, Asked(asked): Asked) -> Shown {
    let path = listed("/v1/webhooks", &asked, &[]);
    let found: Listing<WebhookView> = visitor.get(&path).await?;
    let now = dashboard.state.clock.now();
    let rows: Vec<Markup> = found
        .data
        .iter()
        .map(|one| {
            html! {
                th scope="row" { a href={ (PATH) "/" (one.id) } { (one.url) } }
                td { (badge(&one.status)) }
                td.text { @if one.kinds.is_empty() { "everything" } @else { (one.kinds.join(", ")) } }
                td.number { (count(one.pending)) }
                td { (instant_or_dash(now, one.failing_since)) }
                td.text { (one.description) }
            }
        })
        .collect();
    let body = html! {
        (table("Who is told of events", &["Address", "Status", "Told of", "On their way", "Failing since", "Description"], &rows))
        (next_page(PATH, &asked, &[], found.next_cursor.as_deref()))
        p.quiet { "Made with " code { "lockkeeper webhook create" } " or the API, which show the secret once." }
    };
    Ok(page::show(&visitor, "Webhooks", &body))
}

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path(webhook): Path<String>,
) -> Shown {
    let path = format!("/v1/webhooks/{}", segment(&webhook));
    let one: WebhookView = visitor.get(&path).await?;
    let attempts: Listing<AttemptView> = visitor.get(&format!("{path}/attempts")).await?;
    let deliveries: Listing<DeliveryView> = visitor.get(&format!("{path}/deliveries")).await?;
    let now = dashboard.state.clock.now();
    let (id, version) = (one.id.to_string(), one.version.to_string());
    let versioned = [("id", id.as_str()), ("version", version.as_str())];
    let body = html! {
        p.lead {
            (badge(&one.status))
            @if let Some(detail) = &one.disabled_detail { " " (detail) }
        }
        div.row {
            (button(&visitor, &TEST_WEBHOOK, &[("id", &id)]))
            (button(&visitor, if one.enabled { &DISABLE_WEBHOOK } else { &ENABLE_WEBHOOK }, &versioned))
            (form(&visitor, &RECOVER_WEBHOOK, &[("id", &id)], &html! {
                label { "Everything since" input name="since" required placeholder="2026-11-28T00:00:00Z"; }
            }))
        }
        (facts(&[
            ("Address", html! { code { (one.url) } }),
            ("Told of", html! { @if one.kinds.is_empty() { "everything" } @else { (one.kinds.join(", ")) } }),
            ("On their way", html! { (count(one.pending)) }),
            ("Failing since", instant_or_dash(now, one.failing_since)),
            ("The secret before is good until", instant_or_dash(now, one.previous_secret_until)),
        ]))
        section { h2 { "Deliveries" } (deliveries_table(&visitor, &id, &deliveries.data, now)) }
        section { h2 { "Attempts" } (attempts_table(&attempts.data, now)) }
    };
    Ok(page::show(&visitor, "Webhook", &body))
}

fn deliveries_table(
    visitor: &Visitor,
    webhook: &str,
    all: &[DeliveryView],
    now: issuance::time::Timestamp,
) -> Markup {
    let rows: Vec<Markup> = all
        .iter()
        .map(|one| {
            let delivery = one.id.to_string();
            html! {
                th scope="row" { (one.kind) }
                td { (one.subject) }
                td { (badge(&one.state)) }
                td.number { (one.attempts) }
                td { (instant(now, one.created_at)) }
                td { (instant_or_dash(now, one.next_attempt_at)) }
                td {
                    @if one.ended_at.is_some() {
                        (button(visitor, &RESEND_DELIVERY, &[("id", webhook), ("delivery", &delivery)]))
                    }
                }
            }
        })
        .collect();
    table(
        "Events on their way, or told",
        &["Event", "About", "State", "Attempts", "Made", "Next attempt", ""],
        &rows,
    )
}

fn attempts_table(all: &[AttemptView], now: issuance::time::Timestamp) -> Markup {
    let rows: Vec<Markup> = all
        .iter()
        .map(|one| {
            html! {
                td { (instant(now, one.at)) }
                th scope="row" { (one.kind) }
                td { (badge(&one.outcome)) }
                td { @if let Some(status) = one.http_status { (status) } @else { "–" } }
                td.number { (one.took_ms) " ms" }
                td.text { (plain(one.detail.as_deref().unwrap_or("–"))) }
            }
        })
        .collect();
    table("What the receiver answered", &["When", "Event", "Outcome", "Status", "Took", "Detail"], &rows)
}
