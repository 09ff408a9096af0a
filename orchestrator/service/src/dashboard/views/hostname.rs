//! One hostname: why it has no certificate, what to publish, and when it is tried next.

use axum::extract::{Path, State};
use issuance::time::Timestamp;
use maud::{Markup, html};

use crate::api::address::{segment, with_query};
use crate::dashboard::Dashboard;
use crate::dashboard::actions::{CHECK, FORGET_HOSTNAME, MIND_CHECK, SKIP_CHECK, TAKE_UP};
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown};
use crate::dashboard::parts::{badge, button, cause, copied, facts, form, table};
use crate::dashboard::words::{instant, instant_or_dash, plain};
use crate::store::explanations::HostnameView;

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path(hostname): Path<String>,
) -> Shown {
    let path = format!("/v1/hostnames/{}", segment(&hostname));
    let one: HostnameView = visitor.get(&path).await?;
    let now = dashboard.state.clock.now();
    let body = html! {
        p.lead {
            (badge(one.status.as_str())) " "
            @if let Some(to_do) = &one.to_do { (to_do) }
            @else if let Some(fault) = &one.fault { (fault.detail) }
        }
        div.row {
            (button(&visitor, &CHECK, &[("hostname", &one.hostname)]))
            (button(&visitor, &TAKE_UP, &[("hostname", &one.hostname)]))
        }
        (what(&one, now))
        (records(&one))
        (checks(&visitor, &one))
        @if let Some(problem) = &one.ca_problem {
            section {
                h2 { "What the CA said" }
                p { (instant(now, problem.at)) }
                pre tabindex="0" { (serde_json::to_string_pretty(problem).unwrap_or_default()) }
            }
        }
        @for warning in &one.warnings { p.notice { (warning.detail) } }
        (form(
            &visitor,
            &FORGET_HOSTNAME,
            &[("hostname", &one.hostname), ("version", &one.version.to_string())],
            &html! {},
        ))
    };
    Ok(page::show(&visitor, &one.hostname, &body))
}

fn what(one: &HostnameView, now: Timestamp) -> Markup {
    facts(&[
        ("Tenant", html! { (one.tenant) }),
        ("Cause", html! { @if let Some(fault) = &one.fault { (cause(fault.class.as_str())) } @else { "–" } }),
        ("Who acts", html! { @if let Some(actor) = one.actor { (actor.as_str()) } @else { "nobody" } }),
        ("Next attempt", instant_or_dash(now, one.next_attempt_at)),
        ("Next look", instant_or_dash(now, one.next_look_at)),
        ("Rate limited until", instant_or_dash(now, one.rate_limited_until)),
        ("Broken since", instant_or_dash(now, one.broken_since)),
        ("Failures in a row", html! { (one.failures) }),
        ("Checked", instant_or_dash(now, one.checked_at)),
        (
            "Certificate",
            html! {
                @match &one.certificate_id {
                    Some(id) => a href={ "/admin/certificates/" (id) } { (id) },
                    None => "–",
                }
            },
        ),
        (
            "Order",
            html! {
                @match &one.order_id {
                    Some(id) => { a href={ "/admin/orders/" (id) } { (plain(one.stage.as_deref().unwrap_or("order"))) } },
                    None => "–",
                }
            },
        ),
        (
            "Events",
            html! { a href=(with_query("/admin/events", &[("subject", Some(&one.hostname))])) { "of this name" } },
        ),
    ])
}

/// What the tenant is to publish, ready to be copied.
fn records(one: &HostnameView) -> Markup {
    let rows: Vec<Markup> = one
        .records
        .iter()
        .map(|record| {
            html! {
                td { (plain(&record.action)) }
                td { (copied(&record.name)) }
                td { (record.r#type) }
                td { (copied(&record.value)) }
            }
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            section {
                h2 { "DNS to publish" }
                (table("Records that mend it", &["Do", "Name", "Type", "Value"], &rows))
            }
        }
    }
}

fn checks(visitor: &Visitor, one: &HostnameView) -> Markup {
    let rows: Vec<Markup> = one
        .checks
        .iter()
        .map(|check| {
            let finding = &check.finding;
            let word = finding.check.as_str();
            let target = [("hostname", one.hostname.as_str()), ("check", word)];
            let skipped = one.overrides.iter().find(|skip| skip.check == finding.check);
            html! {
                th scope="row" { (plain(word)) @if let Some(at) = &finding.at { " " span.quiet { (at) } } }
                td { (badge(finding.outcome.as_str())) @if check.weight != "blocks" { " " span.quiet { (check.weight) } } }
                td.text { (finding.expected) }
                td.text { (finding.observed) }
                td.text { (check.hint.as_deref().unwrap_or("–")) }
                td {
                    @if skipped.is_some() {
                        (button(visitor, &MIND_CHECK, &target))
                    } @else if finding.outcome.as_str() == "failed" {
                        (form(visitor, &SKIP_CHECK, &target, &html! {
                            label { span.hidden { "Why it is skipped" } input name="note" required placeholder="why"; }
                        }))
                    }
                }
            }
        })
        .collect();
    html! {
        section {
            h2 { "Checks" }
            (table("What was looked at before an order", &["Check", "Outcome", "Wanted", "Found", "What to do", ""], &rows))
        }
    }
}
