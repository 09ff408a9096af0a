//! A campaign that is to be begun: what it is about, what that costs, and then the beginning.

use std::time::Duration;

use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect, Response};
use issuance::time::Timestamp;
use maud::{Markup, html};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::campaigns::{LIST, PATH};
use crate::api::address::{segment, with_query};
use crate::api::campaigns::CampaignPreview;
use crate::dashboard::Dashboard;
use crate::dashboard::actions::{ONCE, Question, is_answered};
use crate::dashboard::ask::{Refusal, Write};
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown, token};
use crate::dashboard::parts::facts;
use crate::dashboard::posted::{Fields, Posted};
use crate::dashboard::words::{count, instant, plain, span};
use crate::store::campaigns::view::CampaignView;
use crate::store::page::Listing;
use crate::store::scope::Scope;

pub(super) async fn form(visitor: Visitor) -> Shown {
    // Who may not look is told so before anything is written down.
    let _: Listing<CampaignView> = visitor.get(&with_query(LIST, &[("limit", Some("1"))])).await?;
    let scope = Scope::CertificatesWrite;
    let body = if visitor.may(scope) {
        ask(&visitor, &Fields::default(), None)
    } else {
        html! { p.notice role="status" { (visitor.session.role.insufficient(visitor.session.viewer, scope)) } }
    };
    Ok(page::show(&visitor, "New campaign", &body))
}

fn ask(visitor: &Visitor, fields: &Fields, why: Option<&str>) -> Markup {
    let line = |name: &'static str, label: &'static str, hint: &'static str| {
        html! { label { (label) input type="text" name=(name) value=[fields.get(name)] placeholder=(hint); } }
    };
    let moment = |name: &'static str, label: &'static str| {
        html! { label { (label) " (UTC)" input type="datetime-local" name=(name) value=[fields.get(name)]; } }
    };
    let lines = |name: &'static str, label: &'static str| {
        html! { label { (label) textarea name=(name) rows="4" { (fields.get(name).unwrap_or_default()) } } }
    };
    html! {
        @if let Some(why) = why { p.notice.bad role="alert" { (why) } }
        p {
            "Certificates whose latest version has everything that you name are ordered again, beside everything else and under "
            "the same limits. Before anything is begun you see how many they are, what the CA counts, and when it would be done."
        }
        form.stack method="post" action={ (PATH) "/new" } {
            (token(visitor))
            input type="hidden" name=(ONCE) value=(Uuid::new_v4().simple());
            (line("reason", "Reason", "The CA revokes what R11 signed on 3 March"))
            (moment("deadline", "Deadline"))
            fieldset {
                legend { "Certificates" }
                (line("issuer", "Issuer", "R11"))
                (moment("issued_from", "Issued from"))
                (moment("issued_until", "Issued until"))
                (line("account_id", "Account", "acc_…"))
                (line("profile", "Profile", "classic"))
                @if visitor.is_operator() { (line("tenant", "Tenant", "")) }
                (line("labels", "Labels", "server=web17,tier=shop"))
                (lines("serials", "Serials, one a line"))
                (lines("keys", "Keys: SHA-256 of each, one a line"))
            }
            label {
                "Orders in an hour"
                input type="number" name="rate_per_hour" min="1" value=[fields.get("rate_per_hour")] placeholder="as many as the CA allows";
            }
            button.primary type="submit" { "Preview" }
        }
    }
}

/// What a form says, as the API takes it.
fn document(fields: &Fields) -> Value {
    // A browser's date and time have neither seconds nor a zone.
    let moment = |text: &str| if text.len() == 16 { format!("{text}:00Z") } else { text.to_owned() };
    let list = |text: &str| -> Vec<String> {
        let lines = text.split([' ', ',', ';', '\t', '\r', '\n']).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    };
    let mut selector = Map::new();
    for name in ["issuer", "account_id", "profile", "tenant", "labels"] {
        if let Some(text) = fields.get(name) {
            selector.insert(name.to_owned(), Value::from(text.trim()));
        }
    }
    for name in ["issued_from", "issued_until"] {
        if let Some(text) = fields.get(name) {
            selector.insert(name.to_owned(), Value::from(moment(text)));
        }
    }
    for name in ["serials", "keys"] {
        if let Some(text) = fields.get(name) {
            selector.insert(name.to_owned(), Value::from(list(text)));
        }
    }
    let mut wanted = json!({
        "reason": fields.get("reason").unwrap_or_default(),
        "deadline": moment(fields.get("deadline").unwrap_or_default()),
        "selector": selector,
    });
    if let Some(rate) = fields.get("rate_per_hour") {
        // What is no number goes as it is: the API says what is wrong with it.
        wanted["rate_per_hour"] = rate.trim().parse::<u32>().map_or_else(|_| Value::from(rate), Value::from);
    }
    wanted
}

pub(super) async fn begin(State(dashboard): State<Dashboard>, posted: Posted) -> Shown {
    let Posted { visitor, fields } = posted;
    let wanted = document(&fields);
    if !is_answered(&fields) {
        let asked = Write::json(Method::POST, format!("{LIST}?dry_run=true"), Some(&wanted));
        let preview = match visitor.ask.write(asked).await {
            Ok(preview) => preview,
            Err(refusal) => return Ok(refused(&visitor, &fields, &refusal)),
        };
        let now = dashboard.state.clock.now();
        let preview: Option<CampaignPreview> = serde_json::from_value(preview).ok();
        let yes = preview.as_ref().filter(|preview| preview.certificates > 0);
        let yes = yes.map(|preview| format!("Replace {}", count(preview.certificates)));
        let question = Question {
            title: "Begin this campaign?",
            effect: &html! { @if let Some(preview) = &preview { (foretold(preview, now)) } },
            sent_to: &format!("{PATH}/new"),
            yes: yes.as_deref(),
            no: "Begin nothing",
            destroys: false,
        };
        return Ok(question.ask(&visitor, &fields, PATH));
    }
    let mut write = Write::json(Method::POST, LIST.to_owned(), Some(&wanted));
    write.once = fields.get(ONCE).map(str::to_owned);
    match visitor.ask.write(write).await {
        Ok(made) => {
            let id = made["id"].as_str().unwrap_or_default();
            Ok(Redirect::to(&format!("{PATH}/{}", segment(id))).into_response())
        }
        Err(refusal) => Ok(refused(&visitor, &fields, &refusal)),
    }
}

fn refused(visitor: &Visitor, fields: &Fields, refusal: &Refusal) -> Response {
    let body = ask(visitor, fields, Some(&refusal.sentence()));
    (refusal.status(), page::show(visitor, "New campaign", &body)).into_response()
}

/// What it would do, and what that costs.
fn foretold(preview: &CampaignPreview, now: Timestamp) -> Markup {
    let orders = &preview.orders;
    html! {
        p.effect {
            @if preview.certificates == 0 {
                "Nothing that is still in use fits, so there is nothing to begin."
            } @else {
                b { (count(preview.certificates)) " certificates" } @if !preview.complete { " and more" }
                " of " (count(preview.tenants)) " tenants are ordered again. "
                "The CA counts " b { (count(orders.charged)) " new orders" } "; "
                (count(orders.exempt_by_renewal_info)) " are in the renewal window that it names and "
                (count(orders.exempt_by_exact_set)) " are for a set of names that was issued lately, which it does not count. "
                @match &preview.finish {
                    Some(finish) => {
                        "The last one would be there " (instant(now, finish.p50)) " at the median, and "
                        (instant(now, finish.p90)) " in nine cases of ten; the deadline is " (instant(now, preview.deadline)) "."
                    },
                    None => "As things are, it would never be done.",
                }
            }
        }
        @if preview.certificates > 0 && !preview.in_time {
            p.notice.bad role="alert" { "That is not in time. Raise the rate if there is one, or ask the CA for higher limits." }
        }
        (facts(&[
            ("Superseded by a later version", html! { (count(preview.superseded)) }),
            ("Removed", html! { (count(preview.removed)) }),
            ("Expired", html! { (count(preview.expired)) }),
            ("Serials that belong to nothing here", html! { (count(preview.serials_unknown)) }),
        ]))
        @if !preview.binding_limits.is_empty() {
            ul {
                @for limit in &preview.binding_limits {
                    li {
                        (count(limit.orders)) " wait longest for " (plain(limit.limit.as_str())) "; without it, all would be done "
                        (span(Duration::from_secs(limit.costs_seconds))) " sooner"
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_becomes_the_document_that_the_api_takes() {
        let fields = Fields::parse(
            "reason=R11&deadline=2027-03-04T12%3A00&issuer=R11&issued_from=&serials=0a%0D%0A0b%0A&rate_per_hour=x",
        );
        let expected = json!({
            "reason": "R11",
            "deadline": "2027-03-04T12:00:00Z",
            "selector": { "issuer": "R11", "serials": ["0a", "0b"] },
            "rate_per_hour": "x",
        });
        assert_eq!(document(&fields), expected);
    }
}
