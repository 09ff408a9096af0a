//! DNS: how long zones of each provider settle, as the CA has taught.

use axum::extract::State;
use maud::{Markup, html};

use crate::api::settlings::SettlingList;
use crate::dashboard::Dashboard;
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown};
use crate::dashboard::parts::table;
use crate::dashboard::words::{count, instant};

pub(super) async fn show(State(dashboard): State<Dashboard>, visitor: Visitor) -> Shown {
    let found: SettlingList = visitor.get("/v1/dns01/settlings").await?;
    let now = dashboard.state.clock.now();
    let rows: Vec<Markup> = found
        .data
        .iter()
        .map(|one| {
            html! {
                th scope="row" { (one.servers) }
                td { (one.provider.as_deref().unwrap_or("none configured")) }
                td.number { (one.delay_seconds) " s" }
                td.number { (count(u64::from(one.failures))) }
                td.number { (count(u64::from(one.successes))) }
                td { (instant(now, one.learnt_at)) }
            }
        })
        .collect();
    let columns =
        ["Name servers", "Provider", "Waited after green", "Failures since", "Successes since", "Learnt"];
    let body = html! {
        p {
            "After all of a zone's servers show a record, so long is waited before the CA is told to look: what "
            "validations that failed nevertheless have taught."
        }
        (table("Zones that settle late", &columns, &rows))
        p.quiet { "Whether each provider can be written and read is tried by " code { "lockkeeper doctor" } "." }
    };
    Ok(page::show(&visitor, "DNS", &body))
}
