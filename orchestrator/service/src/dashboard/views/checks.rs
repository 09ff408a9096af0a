//! Checks: how often each one was right, and whether it keeps names back.

use axum::extract::State;
use issuance::precision::Standing;
use maud::{Markup, html};

use crate::api::checks::CheckList;
use crate::dashboard::Dashboard;
use crate::dashboard::actions::SET_STANDING;
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown};
use crate::dashboard::parts::{form, table};
use crate::dashboard::words::{count, instant_or_dash, plain};

pub(super) async fn show(State(dashboard): State<Dashboard>, visitor: Visitor) -> Shown {
    let found: CheckList = visitor.get("/v1/checks").await?;
    let now = dashboard.state.clock.now();
    let rows: Vec<Markup> = found
        .data
        .iter()
        .map(|one| {
            let other = match one.standing {
                Standing::Blocks => "advice",
                Standing::Advice => "blocks",
            };
            html! {
                th scope="row" { (plain(one.check.as_str())) }
                td { (one.standing.as_str()) }
                td { (instant_or_dash(now, one.standing_since)) @if let Some(by) = &one.standing_by { " by " (by) } }
                td.number { (count(one.ready_valid)) }
                td.number { (count(one.ready_invalid)) }
                td.number { (count(one.not_ready_valid)) }
                td.number { (count(one.not_ready_invalid)) }
                td {
                    (form(&visitor, &SET_STANDING, &[("check", one.check.as_str()), ("standing", other)], &html! {
                        span.hidden { "to " (other) }
                    }))
                }
            }
        })
        .collect();
    let columns = [
        "Check",
        "Standing",
        "Since",
        "Ready, and valid",
        "Ready, and invalid",
        "Not ready, yet valid",
        "Not ready, and invalid",
        "",
    ];
    let body = html! {
        p { "What each check said before an order, beside what the CA found." }
        (table("Checks", &columns, &rows))
    };
    Ok(page::show(&visitor, "Checks", &body))
}
