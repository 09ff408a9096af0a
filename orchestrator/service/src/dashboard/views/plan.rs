//! What if: a list of sites, and when the CA's limits let each of them have its certificate.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::Method;
use issuance::time::Timestamp;
use maud::{Markup, html};
use serde_json::json;

use crate::api::headroom::answer::ForecastAnswer;
use crate::api::headroom::forecast::{ForecastRequest, WantedSite};
use crate::dashboard::Dashboard;
use crate::dashboard::ask::Write;
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Fault, Shown, token};
use crate::dashboard::parts::{facts, table};
use crate::dashboard::posted::Posted;
use crate::dashboard::words::{count, instant, plain, span};

pub(super) async fn form(visitor: Visitor) -> Shown {
    let body = html! { (ask(&visitor, "", "what-if")) };
    Ok(page::show(&visitor, "What-if", &body))
}

fn ask(visitor: &Visitor, sites: &str, tenant: &str) -> Markup {
    html! {
        p {
            "Nothing is ordered. Write the names of one certificate on each line; the forecast says what the CA counts, which "
            "limit holds what up, and when all would be done beside what is queued already."
        }
        form.stack method="post" action="/admin/plan/forecast" {
            (token(visitor))
            label { "Sites" textarea name="sites" rows="10" placeholder="shop.example.com www.shop.example.com" { (sites) } }
            @if visitor.is_operator() {
                label { "Tenant" input name="tenant" value=(tenant) required; }
            }
            div.row {
                button.primary type="submit" name="of" value="sites" { "Forecast" }
                button type="submit" name="of" value="queue" formnovalidate { "Forecast of what is queued" }
            }
        }
    }
}

pub(super) async fn forecast(State(dashboard): State<Dashboard>, posted: Posted) -> Shown {
    let Posted { visitor, fields } = posted;
    let (text, tenant) = (fields.get("sites").unwrap_or_default(), fields.get("tenant").unwrap_or_default());
    let of_queue = fields.get("of") == Some("queue");
    let owner = (visitor.is_operator() && !tenant.is_empty()).then(|| tenant.to_owned());
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let sites = lines.map(|line| WantedSite {
        names: line.split([' ', '\t', ',', ';']).filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        tenant: owner.clone(),
        lane: None,
    });
    let wanted =
        ForecastRequest { sites: (!of_queue).then(|| sites.collect()), ..ForecastRequest::default() };
    let write = Write::json(Method::POST, "/v1/headroom/forecast".to_owned(), Some(&json!(wanted)));
    let now = dashboard.state.clock.now();
    let told = match visitor.ask.write(write).await {
        Ok(answer) => match serde_json::from_value::<ForecastAnswer>(answer) {
            Ok(answer) => tell(&answer, now),
            Err(error) => html! { p.notice.bad role="alert" { (error) } },
        },
        Err(refusal) if (400..500).contains(&refusal.status) => {
            html! { p.notice.bad role="alert" { (refusal.sentence()) } }
        }
        Err(refusal) => return Err(Fault::new(&visitor, refusal)),
    };
    let body = html! { (told) (ask(&visitor, text, if tenant.is_empty() { "what-if" } else { tenant })) };
    Ok(page::show(&visitor, "What-if", &body))
}

fn tell(answer: &ForecastAnswer, now: Timestamp) -> Markup {
    let orders = &answer.orders;
    html! {
        section {
            h2 { "Forecast" }
            @match &answer.finish {
                Some(finish) => p.lead { "Done " (instant(now, finish.p50)) " at the median, and " (instant(now, finish.p90)) " in nine cases of ten." },
                None => p.lead { "None of it ever finishes as things are." },
            }
            (facts(&[
                ("Orders", html! { (count(orders.total)) }),
                ("Charged", html! { (count(orders.charged)) }),
                ("Exempt: the same set was issued lately", html! { (count(orders.exempt_by_exact_set)) }),
                ("Exempt: renewal in its window", html! { (count(orders.exempt_by_renewal_info)) }),
                ("Queued in front", html! { @match orders.ahead { Some(ahead) => (count(ahead)), None => "–" } }),
            ]))
            (binding(answer))
            (days(answer, now))
            (proposals(answer, now))
        }
    }
}

fn binding(answer: &ForecastAnswer) -> Markup {
    let rows: Vec<Markup> = answer
        .binding_limits
        .iter()
        .map(|limit| {
            html! {
                th scope="row" { (plain(limit.limit.as_str())) }
                td.number { (count(limit.orders)) }
                td { (span(std::time::Duration::from_secs(limit.costs_seconds))) }
            }
        })
        .collect();
    table("What holds it up", &["Limit", "Orders that wait for it longest", "Sooner by, without it"], &rows)
}

/// How many finish on each day.
fn days(answer: &ForecastAnswer, now: Timestamp) -> Markup {
    let mut days: BTreeMap<u64, u64> = BTreeMap::new();
    for finish in answer.sites.iter().filter_map(|site| site.finish.as_ref()) {
        *days.entry(now.until(finish.p50).as_secs() / 86_400).or_default() += 1;
    }
    let rows: Vec<Markup> = days
        .iter()
        .map(|(day, sites)| html! { th scope="row" { (day + 1) } td.number { (count(*sites)) } })
        .collect();
    html! { @if !rows.is_empty() { (table("Certificates by day", &["Day", "Certificates"], &rows)) } }
}

fn proposals(answer: &ForecastAnswer, now: Timestamp) -> Markup {
    html! {
        @for proposal in &answer.proposals {
            @if !proposal.overrides.is_empty() {
                h3 {
                    "To ask the CA for, to be done "
                    @match proposal.finish { Some(at) => (instant(now, at)), None => "at all" }
                }
                (table(
                    "Overrides to ask for",
                    &["Limit", "Of", "Now", "Needed", "Period"],
                    &proposal.overrides.iter().map(|one| html! {
                        th scope="row" { (plain(one.limit.as_str())) }
                        td { (one.key.as_deref().unwrap_or("the account")) }
                        td.number { (one.count_now) }
                        td.number { (one.count) }
                        td { (span(std::time::Duration::from_secs(one.period_seconds))) }
                    }).collect::<Vec<_>>(),
                ))
            }
        }
    }
}
