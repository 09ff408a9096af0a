//! The same thing done to everything that matches a filter.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::extract::{Path, State};
use issuance::outlook::Cost;
use maud::{Markup, html};

use super::actions::{self, Action, Question};
use super::ask::Refusal;
use super::guard::Visitor;
use super::page::{Shown, token};
use super::parts::with;
use super::posted::{Fields, Posted};
use super::sign_in::safe;
use super::words::count;
use super::{Dashboard, views};
use crate::api::address::{segment, with_query};
use crate::store::authorizations_view::AuthorizationView;
use crate::store::hostnames_view::HostnameSummary;
use crate::store::page::Listing;

/// So many at a time: more are done by pressing again.
const ROWS_MAX: usize = 1_000;

/// Something that can be done to all rows of a list.
#[derive(Debug)]
pub(super) struct Bulk {
    name: &'static str,
    pub(super) label: &'static str,
    action: &'static Action,
    list: &'static str,
    /// The filters that the list takes.
    pub(super) filters: &'static [&'static str],
    rows: Rows,
}

#[derive(Debug, Clone, Copy)]
enum Rows {
    Authorizations,
    Hostnames,
}

pub(super) const SETTLE_ALL: Bulk = Bulk {
    name: "settle",
    label: "Settle all that match",
    action: &actions::SETTLE,
    list: "/v1/authorizations",
    filters: &["tenant", "status", "open", "order"],
    rows: Rows::Authorizations,
};
pub(super) const CHECK_ALL: Bulk = Bulk {
    name: "check",
    label: "Check all that match",
    action: &actions::CHECK,
    list: "/v1/hostnames",
    filters: &["status", "tenant", "failure_class", "label", "q"],
    rows: Rows::Hostnames,
};
pub(super) const TAKE_UP_ALL: Bulk = Bulk {
    name: "take-up",
    label: "Take up all that match",
    action: &actions::TAKE_UP,
    list: "/v1/hostnames",
    filters: &["status", "tenant", "failure_class", "label", "q"],
    rows: Rows::Hostnames,
};
const BULKS: [&Bulk; 3] = [&SETTLE_ALL, &CHECK_ALL, &TAKE_UP_ALL];

/// The rows, and what is to be said of them before.
struct Matching {
    /// The fields that the action takes, for each.
    targets: Vec<String>,
    more: bool,
    effect: Markup,
}

/// The button, with the filters of the page.
pub(super) fn button(visitor: &Visitor, bulk: &Bulk, filters: &[(&str, Option<&str>)]) -> Markup {
    html! {
        @if visitor.may(bulk.action.scope) {
            form.action method="post" action={ "/admin/bulk/" (bulk.name) } {
                (token(visitor))
                input type="hidden" name="back" value=(visitor.here);
                @for (name, value) in filters {
                    @if let Some(value) = value { input type="hidden" name=(name) value=(value); }
                }
                button type="submit" { (bulk.label) }
            }
        }
    }
}

/// `POST /admin/bulk/{bulk}`
pub(super) async fn act(
    State(dashboard): State<Dashboard>,
    Path(name): Path<String>,
    posted: Posted,
) -> Shown {
    let Posted { visitor, fields } = posted;
    let Some(bulk) = BULKS.into_iter().find(|bulk| bulk.name == name) else {
        return Ok(views::missing(visitor).await);
    };
    let back = safe(fields.get("back")).to_owned();
    let matching = match matching(&visitor, bulk, &fields).await {
        Ok(matching) => matching,
        Err(refusal) => return actions::told(&dashboard, &visitor, &back, &refusal.sentence()).await,
    };
    if !actions::is_answered(&fields) {
        let amount = count(matching.targets.len() as u64);
        let yes = format!("{} {amount}", bulk.action.label);
        let question = Question {
            title: &format!("{}?", bulk.label),
            effect: &html! {
                p.effect {
                    b { (amount) }
                    @if matching.more { " of them now; there are more, for which you press again" }
                    ". " (matching.effect)
                }
            },
            sent_to: &format!("/admin/bulk/{}", bulk.name),
            yes: (!matching.targets.is_empty()).then_some(&yes),
            no: "Leave them as they are",
            destroys: false,
        };
        return Ok(question.ask(&visitor, &fields, &back));
    }
    let (mut done, mut refused) = (0_u64, BTreeMap::<String, u64>::new());
    for target in &matching.targets {
        match bulk.action.perform(&visitor, &Fields::parse(target)).await {
            Ok(_) => done += 1,
            Err(refusal) => *refused.entry(refusal.kind()).or_default() += 1,
        }
    }
    // Writing to a string does not fail.
    let mut notice = format!("{}: done for {}.", bulk.label, count(done));
    for (why, amount) in refused {
        let _ = write!(notice, " Not for {}: {why}.", count(amount));
    }
    actions::told(&dashboard, &visitor, &back, &notice).await
}

async fn matching(visitor: &Visitor, bulk: &Bulk, fields: &Fields) -> Result<Matching, Box<Refusal>> {
    let limit = ROWS_MAX.to_string();
    let path = with_query(bulk.list, &with(fields, bulk.filters, &[("limit", Some(&limit))]));
    match bulk.rows {
        Rows::Authorizations => {
            let found: Listing<AuthorizationView> = visitor.ask.get(&path).await?;
            let open = found.data.iter().filter(|one| one.open);
            let priced = |one: &&AuthorizationView| {
                one.outlook.is_some_and(|outlook| outlook.cost == Cost::FailureToken)
            };
            let tokens = open.clone().filter(priced).count() as u64;
            let effect = html! {
                "Each is read at the CA; one whose response is served is submitted, any other is deactivated. This takes at "
                "the most " b { (count(tokens)) " failure tokens" } " of the hostnames (five an hour each)."
            };
            let targets = open.map(|one| format!("id={}", one.id)).collect();
            Ok(Matching { targets, more: found.has_more, effect })
        }
        Rows::Hostnames => {
            let found: Listing<HostnameSummary> = visitor.ask.get(&path).await?;
            let effect = html! {
                "Each is looked at from here; none of it takes a token. A name that is ready is ordered in its turn, and its "
                "order takes one new-order token unless it is exempt."
            };
            let targets = found.data.iter().map(|one| format!("hostname={}", segment(&one.hostname)));
            Ok(Matching { targets: targets.collect(), more: found.has_more, effect })
        }
    }
}
