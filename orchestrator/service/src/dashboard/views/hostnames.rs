//! Hostnames: those that fail by cause and remedy, and any by filter.

use axum::extract::State;
use issuance::fault::FailureClass;
use maud::{Markup, html};

use super::Asked;
use super::glance::glance;
use crate::api::address::{segment, with_query};
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown};
use crate::dashboard::parts::{Control, badge, filter, listed, next_page, table, with};
use crate::dashboard::words::{count, instant_or_dash, plain};
use crate::dashboard::{Dashboard, bulk};
use crate::store::explanations::HostnameStatus;
use crate::store::hostnames_view::HostnameSummary;
use crate::store::page::Listing;

const PATH: &str = "/admin/hostnames";
const FILTERS: [&str; 5] = ["status", "tenant", "failure_class", "label", "q"];

pub(super) async fn list(State(dashboard): State<Dashboard>, visitor: Visitor, Asked(asked): Asked) -> Shown {
    let path = listed("/v1/hostnames", &asked, &FILTERS);
    let found: Listing<HostnameSummary> = visitor.get(&path).await?;
    let filtered = FILTERS.iter().any(|name| asked.get(name).is_some());
    let wrong = if filtered { Vec::new() } else { glance(&visitor).await?.causes };
    let now = dashboard.state.clock.now();
    let rows: Vec<Markup> = found
        .data
        .iter()
        .map(|one| {
            html! {
                th scope="row" { a href={ (PATH) "/" (segment(&one.hostname)) } { (one.hostname) } }
                td { (one.tenant) }
                td { (badge(one.status.as_str())) }
                td { @if let Some(class) = one.failure_class { (plain(class.as_str())) } @else { "–" } }
                td { (instant_or_dash(now, one.next_attempt_at)) }
                td.text { (one.external_id.as_deref().unwrap_or("–")) }
            }
        })
        .collect();
    let statuses = HostnameStatus::ALL.iter().map(|status| status.as_str()).collect();
    let classes = FailureClass::ALL.iter().map(|class| class.as_str()).collect();
    let controls = [
        Control::Text { name: "q", label: "Begins with" },
        Control::Choice { name: "status", label: "Status", words: statuses },
        Control::Choice { name: "failure_class", label: "Cause", words: classes },
        Control::Text { name: "tenant", label: "Tenant" },
        Control::Text { name: "label", label: "Label" },
    ];
    let matching = with(&asked, &FILTERS, &[]);
    let body = html! {
        (causes(&wrong))
        (filter(PATH, &asked, &controls))
        @if filtered && !found.data.is_empty() {
            div.row {
                (bulk::button(&visitor, &bulk::CHECK_ALL, &matching))
                (bulk::button(&visitor, &bulk::TAKE_UP_ALL, &matching))
            }
        }
        (table("Hostnames", &["Hostname", "Tenant", "Status", "Cause", "Next attempt", "External id"], &rows))
        (next_page(PATH, &asked, &FILTERS, found.next_cursor.as_deref()))
    };
    Ok(page::show(&visitor, "Hostnames", &body))
}

/// What is wrong, how often, and who can mend it.
pub(super) fn causes(causes: &[(String, u64)]) -> Markup {
    let rows: Vec<Markup> = causes
        .iter()
        .map(|(word, amount)| {
            let class = FailureClass::parse(word);
            html! {
                th scope="row" { a href=(with_query(PATH, &[("failure_class", Some(word))])) { (plain(word)) } }
                td.number { (count(*amount)) }
                td { @if let Some(class) = class { (class.actor().as_str()) } }
                td.text { @if let Some(class) = class { (class.advice()) } }
            }
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            section {
                h2 { "What is wrong" }
                (table("Causes, the most frequent first", &["Cause", "How often", "Who acts", "What to do"], &rows))
            }
        }
    }
}
