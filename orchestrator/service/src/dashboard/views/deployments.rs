//! Where certificates are served, as agents tell it.

use axum::extract::State;
use issuance::deployment::DeploymentState;
use issuance::time::Timestamp;
use maud::{Markup, html};

use super::Asked;
use crate::dashboard::Dashboard;
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown};
use crate::dashboard::parts::{Control, badge, filter, listed, next_page, table};
use crate::dashboard::words::{instant, instant_or_dash};
use crate::store::deployments::DeploymentView;
use crate::store::page::Listing;

const PATH: &str = "/admin/deployments";
const FILTERS: [&str; 4] = ["state", "stale", "target", "certificate"];

pub(super) async fn list(State(dashboard): State<Dashboard>, visitor: Visitor, Asked(asked): Asked) -> Shown {
    let path = listed("/v1/deployments", &asked, &FILTERS);
    let found: Listing<DeploymentView> = visitor.get(&path).await?;
    let states = DeploymentState::ALL.iter().map(|state| state.as_str()).collect();
    let controls = [
        Control::Choice { name: "state", label: "State", words: states },
        Control::Choice { name: "stale", label: "Stale", words: vec!["true", "false"] },
        Control::Text { name: "target", label: "Server" },
        Control::Hidden { name: "certificate" },
    ];
    let body = html! {
        (filter(PATH, &asked, &controls))
        (deployments(&found.data, dashboard.state.clock.now()))
        (next_page(PATH, &asked, &FILTERS, found.next_cursor.as_deref()))
    };
    Ok(page::show(&visitor, "Deployments", &body))
}

pub(super) fn deployments(all: &[DeploymentView], now: Timestamp) -> Markup {
    let rows: Vec<Markup> = all
        .iter()
        .map(|one| {
            html! {
                th scope="row" { (one.target) }
                td { a href={ "/admin/certificates/" (one.certificate_id) } { (super::certificates::names(&one.names)) } }
                td { (badge(&one.state)) @if one.stale { " " (badge("stale")) } }
                td { (instant_or_dash(now, one.installed_at)) }
                td { (instant_or_dash(now, one.not_after)) }
                td { (instant(now, one.reported_at)) }
                td.text { (one.fault.as_deref().unwrap_or("–")) }
            }
        })
        .collect();
    let columns = ["Server", "Certificate", "State", "Installed", "Expires", "Reported", "Fault"];
    table("What servers have, and serve", &columns, &rows)
}
