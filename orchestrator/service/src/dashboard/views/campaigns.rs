//! Campaigns: certificates that are to be replaced by a deadline, and how far that is.

use axum::extract::{Path, State};
use issuance::time::Timestamp;
use maud::{Markup, html};
use serde_json::Value;

use super::Asked;
use crate::api::address::{segment, with_query};
use crate::dashboard::Dashboard;
use crate::dashboard::actions::{CANCEL_CAMPAIGN, CHANGE_CAMPAIGN, PAUSE_CAMPAIGN, RESUME_CAMPAIGN};
use crate::dashboard::chart::against_deadline;
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown};
use crate::dashboard::parts::{
    Control, badge, button, cause, facts, filter, form, listed, next_page, table, with,
};
use crate::dashboard::words::{count, instant, instant_or_dash, plain, span};
use crate::store::campaigns::view::{BurnDownPoint, CampaignDetail, CampaignView, MemberView};
use crate::store::campaigns::{STATES, STATUSES};
use crate::store::page::Listing;
use crate::store::scope::Scope;

pub(super) const PATH: &str = "/admin/campaigns";
pub(super) const LIST: &str = "/v1/campaigns";

pub(super) async fn list(State(dashboard): State<Dashboard>, visitor: Visitor, Asked(asked): Asked) -> Shown {
    let found: Listing<CampaignView> = visitor.get(&listed(LIST, &asked, &["status"])).await?;
    let now = dashboard.state.clock.now();
    let rows: Vec<Markup> = found
        .data
        .iter()
        .map(|one| {
            html! {
                th scope="row" { a href={ (PATH) "/" (one.id) } { (one.reason) } }
                td { (badge(&one.status)) @if one.late { " " (badge("late")) } }
                td.number { (number(one.certificates)) }
                td.number { (number(one.replaced)) }
                td.number { (number(one.failed)) }
                td { (instant(now, one.deadline)) }
                td { (instant_or_dash(now, one.eta)) }
                td { (one.tenant.as_deref().unwrap_or("the operator's")) }
            }
        })
        .collect();
    let controls = [Control::Choice { name: "status", label: "Status", words: STATUSES.to_vec() }];
    let columns = ["Campaign", "Status", "Certificates", "Replaced", "Failed", "Deadline", "Done", "Of"];
    let body = html! {
        @if visitor.may(Scope::CertificatesWrite) { p { a.button href={ (PATH) "/new" } { "New campaign" } } }
        (filter(PATH, &asked, &controls))
        (table("Campaigns", &columns, &rows))
        (next_page(PATH, &asked, &["status"], found.next_cursor.as_deref()))
    };
    Ok(page::show(&visitor, "Campaigns", &body))
}

fn number(amount: u32) -> String {
    count(amount.into())
}

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path(campaign): Path<String>,
    Asked(asked): Asked,
) -> Shown {
    let path = format!("{LIST}/{}", segment(&campaign));
    let CampaignDetail { campaign: one, burn_down } = visitor.get(&path).await?;
    let members = with_query(
        &format!("{path}/certificates"),
        &with(&asked, &["state"], &[("cursor", asked.get("cursor"))]),
    );
    let members: Listing<MemberView> = visitor.get(&members).await?;
    let now = dashboard.state.clock.now();
    let here = format!("{PATH}/{}", one.id);
    let body = html! {
        p.lead { (standing(&one, now)) }
        @if one.late {
            p.notice.bad role="alert" {
                "As things are, it is not done by its deadline. "
                @if one.failed > 0 { a href=(with_query(&here, &[("state", Some("failed"))])) { "See what has failed" } ", " }
                "raise its rate if it has one, and look at " a href="/admin/accounts" { "what the CA's limits leave" } "."
            }
        }
        (buttons(&visitor, &one))
        (what(&one, now))
        section {
            h2 { "Against the deadline" }
            @if burn_down.len() > 1 { (against_deadline(&burn_down, one.deadline, one.eta)) }
            (history(&burn_down, &one, now))
        }
        section {
            h2 { "Certificates" }
            (filter(&here, &asked, &[Control::Choice { name: "state", label: "State", words: STATES.to_vec() }]))
            (table_of(&members.data, now))
            (next_page(&here, &asked, &["state"], members.next_cursor.as_deref()))
        }
    };
    Ok(page::show(&visitor, &one.reason, &body))
}

/// How it is, in a sentence.
fn standing(one: &CampaignView, now: Timestamp) -> Markup {
    html! {
        (badge(&one.status)) @if one.late { " " (badge("late")) } " "
        (number(one.replaced)) " of " (number(one.certificates)) " replaced"
        @if !one.complete && one.ended_at.is_none() { ", and more are still looked for" }
        @if let Some(eta) = one.eta.filter(|_| one.waiting + one.queued > 0) { "; the last one " (instant(now, eta)) }
        @if one.ended_at.is_none() { "; the deadline is " (instant(now, one.deadline)) }
        "."
    }
}

fn buttons(visitor: &Visitor, one: &CampaignView) -> Markup {
    let id = one.id.to_string();
    let target = [("id", id.as_str())];
    html! {
        @if one.ended_at.is_none() {
            div.row {
                @if one.status == "paused" { (button(visitor, &RESUME_CAMPAIGN, &target)) }
                @else { (button(visitor, &PAUSE_CAMPAIGN, &target)) }
                (button(visitor, &CANCEL_CAMPAIGN, &target))
            }
            (form(visitor, &CHANGE_CAMPAIGN, &target, &html! {
                label { "Deadline (UTC)" input type="text" name="deadline" value=(one.deadline); }
                label {
                    "Orders in an hour"
                    input type="number" name="rate_per_hour" min="1" value=[one.rate_per_hour] placeholder="as many as the CA allows";
                }
            }))
        }
    }
}

fn what(one: &CampaignView, now: Timestamp) -> Markup {
    let selector = serde_json::to_value(&one.selector).unwrap_or_default();
    let selected = selector.as_object().cloned().unwrap_or_default();
    let says = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    facts(&[
        ("Waiting", html! { (number(one.waiting)) }),
        ("Under way", html! { (number(one.queued)) }),
        ("Replaced", html! { (number(one.replaced)) }),
        ("Failed", html! { (number(one.failed)) }),
        ("Skipped: nothing left to replace", html! { (number(one.skipped)) }),
        (
            "Of certificates with",
            html! {
                @for (name, value) in &selected { div { (plain(name)) ": " (says(value)) } }
                @if one.serials_listed > 0 { div { (number(one.serials_listed)) " serials" } }
            },
        ),
        ("Keys", html! { @if one.new_keys { "new ones" } @else { "as each certificate says" } }),
        (
            "Orders in an hour",
            html! { @match one.rate_per_hour { Some(rate) => (number(rate)), None => "as many as the CA allows" } },
        ),
        ("Foreseen at its beginning", instant_or_dash(now, one.foreseen)),
        ("Begun", html! { (instant(now, one.created_at)) " by " (one.created_by) }),
        ("Ended", instant_or_dash(now, one.ended_at)),
    ])
}

/// The picture in numbers: an hour a row, the latest first.
fn history(points: &[BurnDownPoint], one: &CampaignView, now: Timestamp) -> Markup {
    const HOURS_SHOWN: usize = 24;
    let mut hours: Vec<_> = Vec::new();
    for point in points.iter().rev() {
        let hour = point.at.unix_seconds() / 3_600;
        if hours.last().is_none_or(|(last, _)| *last != hour) {
            hours.push((hour, point));
        }
    }
    let rows: Vec<Markup> = hours
        .iter()
        .take(HOURS_SHOWN)
        .map(|(_, point)| {
            html! {
                th scope="row" { (instant(now, point.at)) }
                td.number { (number(point.remaining)) }
                td.number { (number(point.replaced)) }
                td.number { (number(point.failed)) }
                td { (span(point.at.until(one.deadline))) }
            }
        })
        .collect();
    table("How it went down", &["When", "To be replaced", "Replaced", "Failed", "To the deadline"], &rows)
}

fn table_of(members: &[MemberView], now: Timestamp) -> Markup {
    let rows: Vec<Markup> = members
        .iter()
        .map(|one| {
            html! {
                th scope="row" {
                    a href={ "/admin/certificates/" (one.certificate_id) } { (super::certificates::names(&one.names)) }
                }
                td { (one.tenant) }
                td { (badge(&one.state)) }
                td.text {
                    @if let Some(why) = &one.why { (cause(why)) " " }
                    @if let Some(detail) = &one.detail { (detail) }
                }
                td {
                    @match &one.order_id {
                        Some(order) => a href={ "/admin/orders/" (order) } { (instant_or_dash(now, one.queued_at)) },
                        None => (instant_or_dash(now, one.queued_at)),
                    }
                }
                td.serial { code { (one.serial) } }
                td.serial { @if let Some(serial) = &one.replaced_by_serial { code { (serial) } } @else { "–" } }
            }
        })
        .collect();
    let columns = ["Names", "Tenant", "State", "Cause", "Ordered", "Serial", "Replaced by"];
    table("What has become of each", &columns, &rows)
}
