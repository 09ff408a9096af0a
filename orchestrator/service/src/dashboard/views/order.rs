//! One order: its way so far, what the CA said word for word, and who has fetched its tokens.

use std::time::Duration;

use axum::extract::{Path, State};
use issuance::time::Timestamp;
use maud::{Markup, html};

use crate::api::address::segment;
use crate::dashboard::Dashboard;
use crate::dashboard::actions::{CANCEL_ORDER, SETTLE};
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown};
use crate::dashboard::parts::{badge, button, facts, table};
use crate::dashboard::words::{instant, instant_or_dash, plain, span};
use crate::store::fetches::FetchView;
use crate::store::orders_view::OrderView;
use crate::store::page::Listing;
use crate::store::timelines::{Moment, Timeline};

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path(order): Path<String>,
) -> Shown {
    let path = format!("/v1/orders/{}", segment(&order));
    let one: OrderView = visitor.get(&path).await?;
    let timeline: Timeline = visitor.get(&format!("{path}/timeline")).await?;
    let fetches: Listing<FetchView> = visitor.get(&format!("{path}/fetches?limit=50")).await?;
    let now = dashboard.state.clock.now();
    let id = one.id.to_string();
    let body = html! {
        p.lead {
            (badge(&one.stage)) " " (one.names.join(", "))
            @if let Some(fault) = &one.fault { ": " (fault.detail) }
            @else if let Some(wait) = &one.waits_for { ": " (super::queue::waits(wait, now)) }
        }
        @if one.ended_at.is_none() { (button(&visitor, &CANCEL_ORDER, &[("id", &id)])) }
        (what(&one, now))
        section { h2 { "Phases" } (waterfall(&timeline.data, &one, now)) }
        section { h2 { "Authorizations" } (authorizations(&visitor, &one, now)) }
        section { h2 { "What has happened" } (moments(&timeline.data, now)) }
        section { h2 { "Who has fetched the tokens" } (fetched(&fetches.data, now)) }
    };
    Ok(page::show(&visitor, &format!("Order for {}", one.names.first().map_or("", String::as_str)), &body))
}

fn what(one: &OrderView, now: Timestamp) -> Markup {
    facts(&[
        ("Id", html! { code { (one.id) } }),
        ("Tenant", html! { (one.tenant) }),
        (
            "Certificate",
            html! { a href={ "/admin/certificates/" (one.certificate_id) } { (one.certificate_id) } },
        ),
        ("Lane", html! { (one.lane) }),
        ("Accepted", instant(now, one.accepted_at)),
        ("Proven at home", instant_or_dash(now, one.proven_at)),
        ("Admitted", instant_or_dash(now, one.admitted_at)),
        ("Ended", instant_or_dash(now, one.ended_at)),
        ("Next step", instant_or_dash(now, one.next_attempt_at)),
        ("In a worker's hands until", instant_or_dash(now, one.lease_expires_at)),
        ("Expires at the CA", instant_or_dash(now, one.ca_expires_at)),
        ("Order at the CA", html! { @match &one.ca_order_url { Some(url) => code { (url) }, None => "–" } }),
        ("Profile", html! { (one.profile.as_deref().unwrap_or("the CA's own")) }),
        ("Trace", html! { code { (one.trace_id) } }),
        ("Renews", html! { @match &one.replaces { Some(replaced) => code { (replaced) }, None => "–" } }),
    ])
}

/// One bar for what lies between two moments, on one scale.
fn waterfall(moments: &[Moment], one: &OrderView, now: Timestamp) -> Markup {
    const WIDTH: f64 = 640.0;
    const LINE: usize = 22;
    const LABELS: f64 = 200.0;
    let from = moments.first().map_or(one.accepted_at, |moment| moment.at).min(one.accepted_at);
    let last = moments.iter().map(|moment| moment.last_at.unwrap_or(moment.at)).max().unwrap_or(now);
    let to = one.ended_at.unwrap_or(now).max(last);
    let whole = from.until(to).as_secs_f64().max(0.001);
    let place = |at: Timestamp| LABELS + (from.until(at).as_secs_f64() / whole).clamp(0.0, 1.0) * WIDTH;
    let ends = moments.iter().skip(1).map(|moment| moment.at).chain([to]);
    let spans: Vec<_> = moments.iter().zip(ends).collect();
    let height = spans.len() * LINE + 4;
    html! {
        div.scroll tabindex="0" role="region" aria-label="Phases" {
            svg.waterfall viewBox=(format!("0 0 {} {height}", LABELS + WIDTH + 80.0)) role="img"
                aria-label=(format!("{} moments over {}", spans.len(), span(from.until(to)))) {
                @for (line, (moment, end)) in spans.iter().enumerate() {
                    @let y = line * LINE;
                    text x="0" y=(y + 15) { (label(moment)) }
                    rect.phase x=(format!("{:.1}", place(moment.at))) y=(y + 4) height="14" rx="3"
                        width=(format!("{:.1}", (place(*end) - place(moment.at)).max(2.0))) {}
                    text.quiet x=(format!("{:.1}", place(*end) + 6.0)) y=(y + 15) { (short(moment.at.until(*end))) }
                }
            }
        }
    }
}

/// Like a span, and exact below a second.
fn short(lasted: Duration) -> String {
    if lasted < Duration::from_secs(1) { format!("{} ms", lasted.as_millis()) } else { span(lasted) }
}

fn label(moment: &Moment) -> String {
    const CHARS: usize = 26;
    let word = moment.step.as_deref().unwrap_or(&moment.kind);
    let text = match &moment.identifier {
        Some(name) => format!("{} {name}", plain(word)),
        None => plain(word),
    };
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn authorizations(visitor: &Visitor, one: &OrderView, now: Timestamp) -> Markup {
    let rows: Vec<Markup> = one
        .authorizations
        .iter()
        .flatten()
        .map(|authorization| {
            let id = authorization.id.to_string();
            html! {
                th scope="row" { (authorization.identifier.as_deref().unwrap_or("not read yet")) }
                td { (badge(&authorization.status)) }
                td.text {
                    @if let Some(outlook) = &authorization.outlook { (outlook.why.sentence()) }
                    @if let Some(fault) = &authorization.fault { (fault.detail) }
                }
                td { (instant(now, authorization.opened_at)) }
                td { (instant_or_dash(now, authorization.submitted_at)) }
                td { (instant_or_dash(now, authorization.settled_at)) }
                td { @if authorization.open { (button(visitor, &SETTLE, &[("id", &id)])) } }
            }
        })
        .collect();
    table(
        "What the CA asks to be proven",
        &["Hostname", "Status", "Why", "Opened", "Submitted", "Settled", ""],
        &rows,
    )
}

fn moments(moments: &[Moment], now: Timestamp) -> Markup {
    html! {
        ol.moments {
            @for moment in moments {
                li {
                    (instant(now, moment.at)) " "
                    b { (plain(&moment.kind)) }
                    @if let Some(name) = &moment.identifier { " " code { (name) } }
                    @if let Some(times) = moment.times.filter(|times| *times > 1) { " (" (times) " times)" }
                    p { (moment.summary) }
                    @if let Some(problem) = &moment.problem {
                        details {
                            summary { "The problem document" }
                            pre tabindex="0" { (serde_json::to_string_pretty(problem).unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    }
}

fn fetched(fetches: &[FetchView], now: Timestamp) -> Markup {
    let rows: Vec<Markup> = fetches
        .iter()
        .map(|fetch| {
            html! {
                td { (instant(now, fetch.at)) }
                td { code { (fetch.source) } @if fetch.own { " " span.quiet { "our own probe" } } }
                td { (fetch.host.as_deref().unwrap_or("–")) }
                td { (fetch.method) " " (fetch.status) }
                td.text { (fetch.user_agent.as_deref().unwrap_or("–")) }
            }
        })
        .collect();
    table("Requests for the responses", &["When", "From", "Host", "Answer", "User agent"], &rows)
}
