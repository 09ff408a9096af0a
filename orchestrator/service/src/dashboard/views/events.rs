//! Events: what has come about, and who did what.

use axum::extract::State;
use maud::{Markup, html};

use super::Asked;
use crate::dashboard::Dashboard;
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown};
use crate::dashboard::parts::{Control, filter, listed, next_page, table};
use crate::dashboard::words::instant;
use crate::store::events_view::EventView;
use crate::store::page::Listing;

const PATH: &str = "/admin/events";
const FILTERS: [&str; 5] = ["kind", "subject", "tenant", "certificate", "since"];

pub(super) async fn list(State(dashboard): State<Dashboard>, visitor: Visitor, Asked(asked): Asked) -> Shown {
    let path = listed("/v1/events", &asked, &FILTERS);
    let found: Listing<EventView> = visitor.get(&path).await?;
    let controls = [
        Control::Text { name: "kind", label: "Kind" },
        Control::Text { name: "subject", label: "Subject" },
        Control::Text { name: "tenant", label: "Tenant" },
        Control::Text { name: "since", label: "Since" },
        Control::Hidden { name: "certificate" },
    ];
    let now = dashboard.state.clock.now();
    let body = html! {
        (filter(PATH, &asked, &controls))
        (events(&found.data, now))
        (next_page(PATH, &asked, &FILTERS, found.next_cursor.as_deref()))
    };
    Ok(page::show(&visitor, "Events", &body))
}

pub(super) fn events(events: &[EventView], now: issuance::time::Timestamp) -> Markup {
    let rows: Vec<Markup> = events
        .iter()
        .map(|event| {
            html! {
                td { (instant(now, event.at)) }
                th scope="row" { (event.kind) }
                td {
                    @match (&event.order_id, &event.certificate_id) {
                        (Some(order), _) => a href={ "/admin/orders/" (order) } { (event.subject) },
                        (None, Some(certificate)) => a href={ "/admin/certificates/" (certificate) } { (event.subject) },
                        (None, None) => (event.subject),
                    }
                }
                td {
                    (event.actor.name) " " span.quiet { (event.actor.kind) }
                    @if let Some(address) = &event.actor.address { " " code { (address) } }
                }
                td.text {
                    details {
                        summary { "what" }
                        pre tabindex="0" { (serde_json::to_string_pretty(&event.data).unwrap_or_default()) }
                    }
                }
            }
        })
        .collect();
    table("What has happened", &["When", "What", "About", "Who", "Before and after"], &rows)
}
