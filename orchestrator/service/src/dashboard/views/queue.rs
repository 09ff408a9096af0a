//! The queue by lane: what waits, for what, and until when.

use axum::extract::State;
use issuance::order::Stage;
use issuance::time::Timestamp;
use maud::{Markup, html};

use super::Asked;
use super::glance::{Count, glance};
use crate::api::address::with_query;
use crate::dashboard::Dashboard;
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown};
use crate::dashboard::parts::{Control, badge, filter, next_page, table, with};
use crate::dashboard::words::{count, instant, instant_or_dash};
use crate::store::orders_view::{LANES, OrderView, WaitView};
use crate::store::page::Listing;

const PATH: &str = "/admin/queue";
const FILTERS: [&str; 5] = ["stage", "lane", "tenant", "certificate", "resting"];

pub(super) async fn show(State(dashboard): State<Dashboard>, visitor: Visitor, Asked(asked): Asked) -> Shown {
    let mut parameters = with(&asked, &FILTERS, &[("cursor", asked.get("cursor"))]);
    // Whoever asks for a lane or a tenant asks who waits; only a stage, or one certificate, leads to what rests.
    let open = !["stage", "certificate", "resting"].iter().any(|name| asked.get(name).is_some());
    if open {
        parameters.push(("resting", Some("false")));
    }
    let found: Listing<OrderView> = visitor.get(&with_query("/v1/orders", &parameters)).await?;
    let glance = glance(&visitor).await?;
    let now = dashboard.state.clock.now();
    let rows: Vec<Markup> = found
        .data
        .iter()
        .map(|one| {
            html! {
                th scope="row" { a href={ "/admin/orders/" (one.id) } { (super::certificates::names(&one.names)) } }
                td { (one.tenant) }
                td { (one.lane) }
                td { (badge(&one.stage)) }
                td.text {
                    @if let Some(fault) = &one.fault { (fault.detail) }
                    @else if let Some(wait) = &one.waits_for { (waits(wait, now)) }
                    @else { (reason(one)) }
                }
                td { (instant_or_dash(now, one.next_attempt_at)) }
                td { (instant(now, one.accepted_at)) }
            }
        })
        .collect();
    let controls = [
        Control::Choice { name: "lane", label: "Lane", words: LANES.to_vec() },
        Control::Choice { name: "stage", label: "Stage", words: Stage::NAMES.to_vec() },
        Control::Text { name: "tenant", label: "Tenant" },
        Control::Hidden { name: "certificate" },
        Control::Hidden { name: "resting" },
    ];
    let body = html! {
        @if !glance.lanes.is_empty() {
            h2 { "By lane" }
            (tiles(&glance.lanes))
            h2 { "By where they stand" }
        }
        (tiles(&glance.orders))
        (filter(PATH, &asked, &controls))
        (table(
            if open { "Orders with something left to do, the earliest first" } else { "Orders" },
            &["Names", "Tenant", "Lane", "Stage", "Why it waits", "Next step", "Accepted"],
            &rows,
        ))
        (next_page(PATH, &asked, &FILTERS, found.next_cursor.as_deref()))
    };
    Ok(page::show(&visitor, "Queue", &body))
}

fn tiles(counts: &[Count]) -> Markup {
    html! {
        ul.tiles {
            @for one in counts { li { a href=(one.to) { b { (count(one.amount)) } " " (one.word) } } }
        }
    }
}

/// What keeps an order from the CA, and until when.
pub(super) fn waits(wait: &WaitView, now: Timestamp) -> Markup {
    html! {
        "it " (wait.detail)
        @if let Some(at) = wait.until.filter(|at| *at > now) { "; next at " (instant(now, at)) }
    }
}

/// Why an order is where it is, where neither a fault nor a limit says so.
fn reason(one: &OrderView) -> &'static str {
    match one.stage.as_str() {
        "accepted" if one.lease_expires_at.is_some() => "its names are being looked at",
        "accepted" if one.proven_at.is_some() => {
            "its names are ready; it waits for the CA's limits and its turn"
        }
        "accepted" => "it waits for its turn to be looked at",
        "parked" => "it waits for somebody to mend its names",
        "admitted" => "it is about to be placed at the CA",
        "placed" | "presented" => "its responses are being provisioned and checked",
        "submitted" => "the CA is validating",
        "ready" | "finalizing" => "the CA is making the certificate",
        _ => "its authorizations are being settled",
    }
}
