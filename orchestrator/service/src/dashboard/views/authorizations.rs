//! Authorizations: which are open and why, which have failed, which nobody's order holds any more.

use axum::extract::State;
use maud::{Markup, html};

use super::Asked;
use crate::api::address::{segment, with_query};
use crate::dashboard::actions::{LOOK_AT_ORPHAN, SETTLE, SETTLE_ORPHAN};
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown};
use crate::dashboard::parts::{Control, badge, button, cause, filter, next_page, table, with};
use crate::dashboard::words::{instant, instant_or_dash, plain};
use crate::dashboard::{Dashboard, bulk};
use crate::store::authorizations_view::AuthorizationView;
use crate::store::orphans_view::OrphanView;
use crate::store::page::Listing;
use issuance::outlook::Cost;
use issuance::time::Timestamp;

const PATH: &str = "/admin/authorizations";
const LIST: &str = "/v1/authorizations";
/// Of the inbox: it is empty, but for moments.
const INBOX_ROWS: u32 = 100;
const KEPT: [&str; 2] = ["tab", "tenant"];

/// The word in the address, the name, and what the ledger is asked for.
type Tab = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const TABS: [Tab; 4] = [
    ("pending", "Pending", &[("open", "true")]),
    ("failed", "Failed", &[("status", "invalid")]),
    ("orphaned", "Orphaned", &[("open", "true"), ("orphaned", "true")]),
    ("all", "All", &[]),
];

pub(super) async fn list(State(dashboard): State<Dashboard>, visitor: Visitor, Asked(asked): Asked) -> Shown {
    let tab = asked.get("tab").unwrap_or("pending");
    let (word, _, filters) = TABS.iter().find(|(word, ..)| *word == tab).unwrap_or(&TABS[0]);
    let mut parameters = with(&asked, &["tenant", "cursor"], &[]);
    parameters.extend(filters.iter().map(|(name, value)| (*name, Some(*value))));
    let found: Listing<AuthorizationView> = visitor.get(&with_query(LIST, &parameters)).await?;
    let now = dashboard.state.clock.now();
    let found_at_the_ca = match *word {
        "orphaned" if visitor.is_operator() => {
            let inbox: Listing<OrphanView> = visitor.get(&format!("/v1/orphans?limit={INBOX_ROWS}")).await?;
            Some(inbox)
        }
        _ => None,
    };
    let rows: Vec<Markup> = found.data.iter().map(|one| row(&visitor, one, now)).collect();
    let tenant = [("tenant", asked.get("tenant"))];
    let whose: Vec<_> =
        tenant.into_iter().chain(filters.iter().map(|(name, value)| (*name, Some(*value)))).collect();
    let body = html! {
        (tabs(word, asked.get("tenant")))
        (filter(PATH, &asked, &[Control::Hidden { name: "tab" }, Control::Text { name: "tenant", label: "Tenant" }]))
        @if filters.iter().any(|(name, _)| *name == "open") && !found.data.is_empty() {
            (bulk::button(&visitor, &bulk::SETTLE_ALL, &whose))
        }
        (table(
            if *word == "orphaned" { "Authorizations whose order has ended" } else { "Authorizations" },
            &["Hostname", "Tenant", "Status", "Opened", "Why", "Expires at the CA", "Cost if dropped", "Order", ""],
            &rows,
        ))
        (next_page(PATH, &asked, &KEPT, found.next_cursor.as_deref()))
        @if let Some(inbox) = &found_at_the_ca { (orphans(&visitor, inbox, now)) }
    };
    Ok(page::show(&visitor, "Authorizations", &body))
}

fn tabs(current: &str, tenant: Option<&str>) -> Markup {
    html! {
        nav.tabs aria-label="Kinds of authorizations" {
            @for (word, name, _) in TABS {
                a href=(with_query(PATH, &[("tab", Some(word)), ("tenant", tenant)]))
                    aria-current=[(word == current).then_some("true")] { (name) }
            }
        }
    }
}

/// What workers learnt of at the CA when they could no longer write it under their lease.
fn orphans(visitor: &Visitor, inbox: &Listing<OrphanView>, now: Timestamp) -> Markup {
    let mut waiting: Vec<&OrphanView> = inbox.data.iter().collect();
    waiting.sort_by_key(|one| one.learnt_at);
    let rows: Vec<Markup> = waiting.into_iter().map(|one| orphan(visitor, one, now)).collect();
    html! {
        section {
            h2 { "Found at the CA, and in no row of ours yet" }
            (table(
                "Each counts in the account's budget until it is resolved",
                &["At the CA", "Order", "Found", "Looked at", "What will be done", "Settled by", ""],
                &rows,
            ))
            @if inbox.next_cursor.is_some() { p.quiet { "There are more than these " (INBOX_ROWS) "." } }
        }
    }
}

fn orphan(visitor: &Visitor, one: &OrphanView, now: Timestamp) -> Markup {
    let id = one.id.to_string();
    let target = [("id", id.as_str())];
    html! {
        th scope="row" { (plain(&one.kind)) div { code { (one.url) } } }
        td.text {
            a href={ "/admin/orders/" (one.order_id) } { (super::certificates::names(&one.names)) }
            div.quiet { (one.tenant) }
        }
        td { (instant(now, one.learnt_at)) }
        td { (instant_or_dash(now, one.looked_at)) }
        td.text {
            (one.detail)
            @if let Some(at) = one.held_until { "; until " (instant(now, at)) " at the latest" }
        }
        td {
            (instant_or_dash(now, one.settle_at))
            @if one.settle_requested_at.is_some() { div.quiet { "as asked for" } }
        }
        td {
            (button(visitor, &LOOK_AT_ORPHAN, &target)) " "
            @if one.settle_at.is_some() { (button(visitor, &SETTLE_ORPHAN, &target)) }
        }
    }
}

fn row(visitor: &Visitor, one: &AuthorizationView, now: Timestamp) -> Markup {
    let id = one.id.to_string();
    html! {
        th scope="row" {
            @if let Some(name) = &one.identifier {
                a href={ "/admin/hostnames/" (segment(name)) } {
                    @if one.wildcard { "*." } (name)
                }
            } @else { "not read yet" }
        }
        td { (one.tenant) }
        td {
            (badge(&one.status))
            @if one.origin != "ours" { " " (badge(&one.origin)) }
            @if let Some(challenge) = &one.challenge_type { div.quiet { (challenge) } }
        }
        td {
            (instant(now, one.opened_at))
            @if let Some(at) = one.settled_at { div.quiet { "settled " (instant(now, at)) } }
        }
        td.text {
            @if let Some(outlook) = &one.outlook {
                (outlook.why.sentence())
                @if let Some(at) = outlook.next_at { "; next " (instant(now, at)) }
            }
            @if let Some(fault) = &one.fault {
                p { (cause(fault.class.as_str())) " " (fault.detail) }
            }
        }
        td { (instant(now, one.expires_at)) }
        td {
            @match one.outlook.map(|outlook| outlook.cost) {
                Some(Cost::FailureToken) => "1 of the hostname's failure tokens",
                Some(Cost::Nothing) => "nothing",
                None => "–",
            }
        }
        td { a href={ "/admin/orders/" (one.order_id) } { (plain(&one.order_stage)) } }
        td { @if one.open { (button(visitor, &SETTLE, &[("id", &id)])) } }
    }
}
