//! Checks: how often each one was right, and whether it keeps names back.

use axum::extract::State;
use issuance::precision::Standing;
use maud::{Markup, html};

use crate::api::checks::CheckList;
use crate::dashboard::Dashboard;
use crate::dashboard::actions::{DEMOTE_CHECK, PROMOTE_CHECK};
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown};
use crate::dashboard::parts::{button, table};
use crate::dashboard::words::{count, instant_or_dash, plain};

pub(super) async fn show(State(dashboard): State<Dashboard>, visitor: Visitor) -> Shown {
    let found: CheckList = visitor.get("/v1/checks").await?;
    let now = dashboard.state.clock.now();
    let rows: Vec<Markup> = found
        .data
        .iter()
        .map(|one| {
            let (now_it, other) = match one.standing {
                Standing::Blocks => ("keeps names back", &DEMOTE_CHECK),
                Standing::Advice => ("only advises", &PROMOTE_CHECK),
            };
            html! {
                th scope="row" { (plain(one.check.as_str())) }
                td { (now_it) }
                td { (instant_or_dash(now, one.standing_since)) @if let Some(by) = &one.standing_by { " by " (by) } }
                td.number { (count(one.ready_valid)) }
                td.number { (count(one.ready_invalid)) }
                td.number { (count(one.not_ready_valid)) }
                td.number { (count(one.not_ready_invalid)) }
                td { (button(&visitor, other, &[("check", one.check.as_str())])) }
            }
        })
        .collect();
    let columns = [
        "Check",
        "What it does",
        "Since",
        "Ready, and valid",
        "Ready, and invalid",
        "Not ready, yet valid",
        "Not ready, and invalid",
        "",
    ];
    let body = html! {
        p {
            "What each check said before an order, beside what the CA found. One that keeps names back has them wait until what it \
             finds is mended; one that only advises says so and lets them be ordered."
        }
        (table("Checks", &columns, &rows))
    };
    Ok(page::show(&visitor, "Checks", &body))
}
