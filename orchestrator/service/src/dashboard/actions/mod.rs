//! What can be done from a page: each a request to the API, asked about first where it cannot be taken back.

mod list;
mod question;

use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use serde_json::{Map, Value};

pub(super) use list::*;
pub(super) use question::{Question, is_answered};

use super::Dashboard;
use super::ask::{Refusal, Write};
use super::guard::Visitor;
use super::page::{self, Shown};
use super::posted::{Fields, Posted};
use super::sign_in::safe;
use crate::api::address::segment;
use crate::api::authorizations::settle::SettleReport;
use crate::store::StoreError;
use crate::store::scope::Scope;
use crate::store::sessions;

/// The hidden field with the name of the request.
pub(super) const ONCE: &str = "once";

/// Something that can be done.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) name: &'static str,
    /// On the button.
    pub(super) label: &'static str,
    pub(super) scope: Scope,
    /// It takes away what does not come back by itself.
    pub(super) destroys: bool,
    method: &'static str,
    /// `{name}` is filled from the form.
    path: &'static str,
    /// What is always sent, as JSON; empty: nothing.
    fixed: &'static str,
    fields: &'static [Field],
    before: Before,
}

/// What is asked before it is done.
#[derive(Debug)]
enum Before {
    Nothing,
    /// The effect, spelled out.
    Confirm(&'static str),
    /// The API says what it would do, and what that costs.
    DryRun,
}

/// A field of the form that goes into the document; the part before a dot is an object of its own.
#[derive(Debug)]
struct Field {
    name: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    /// Empty is `null`.
    Number,
    /// A box that was ticked.
    Ticked,
}

impl Action {
    fn method(&self) -> Method {
        self.method.parse().expect("one of the methods in the list")
    }

    /// The path with its places filled; `None`: the form lacks one.
    fn address(&self, fields: &Fields) -> Option<String> {
        let mut address = String::new();
        let mut rest = self.path;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            address.push_str(before);
            address.push_str(&segment(fields.get(name)?));
            rest = after;
        }
        address.push_str(rest);
        Some(address)
    }

    /// What it is done to, as people call it.
    fn target(fields: &Fields) -> &str {
        ["hostname", "tenant", "name", "check", "id"]
            .into_iter()
            .find_map(|name| fields.get(name))
            .unwrap_or_default()
    }

    fn document(&self, fields: &Fields) -> Option<Value> {
        let mut document: Map<String, Value> = serde_json::from_str(self.fixed).unwrap_or_default();
        for field in self.fields {
            let given = fields.get(field.name);
            let value = match (field.kind, given) {
                (Kind::Text, None) => continue,
                (Kind::Text, Some(text)) => Value::from(text),
                (Kind::Number, None) => Value::Null,
                // What is no number goes as it is: the API says what is wrong with it.
                (Kind::Number, Some(text)) => {
                    text.trim().parse::<u64>().map_or_else(|_| Value::from(text), Value::from)
                }
                (Kind::Ticked, given) => Value::from(given.is_some()),
            };
            match field.name.split_once('.') {
                None => document.insert(field.name.to_owned(), value),
                Some((outer, inner)) => {
                    let outer = document.entry(outer).or_insert_with(|| Value::Object(Map::new()));
                    outer.as_object_mut().and_then(|outer| outer.insert(inner.to_owned(), value))
                }
            };
        }
        (!document.is_empty()).then_some(Value::Object(document))
    }

    fn write(&self, fields: &Fields) -> Option<Write> {
        let mut write = Write::json(self.method(), self.address(fields)?, self.document(fields).as_ref());
        write.version = fields.get("version").and_then(|version| version.parse().ok());
        write.once = fields.get(ONCE).map(str::to_owned);
        Some(write)
    }

    /// Has it done for `fields`, without asking.
    pub(super) async fn perform(&self, visitor: &Visitor, fields: &Fields) -> Result<Value, Box<Refusal>> {
        match self.write(fields) {
            Some(write) => visitor.ask.write(write).await,
            None => Ok(Value::Null),
        }
    }
}

/// `POST /admin/actions/{action}`
pub(super) async fn act(
    State(dashboard): State<Dashboard>,
    Path(name): Path<String>,
    posted: Posted,
) -> Shown {
    let Posted { visitor, fields } = posted;
    let Some((action, write)) = ACTIONS
        .iter()
        .find(|action| action.name == name)
        .and_then(|action| Some((action, action.write(&fields)?)))
    else {
        return Ok(super::views::missing(visitor).await);
    };
    let back = safe(fields.get("back")).to_owned();
    if !is_answered(&fields) {
        match action.before {
            Before::Nothing => {}
            Before::Confirm(effect) => {
                return Ok(confirm(&visitor, action, &fields, &back, &html! { (effect) }));
            }
            Before::DryRun => {
                let path = format!("{}?dry_run=true", write.path);
                let asked = Write::json(action.method(), path, None);
                return match visitor.ask.write(asked).await {
                    Ok(report) => {
                        let report: Option<SettleReport> = serde_json::from_value(report).ok();
                        let effect = html! {
                            @if let Some(report) = report {
                                @if let Some(name) = &report.identifier { b { (name) } ": " }
                                (report.detail) "."
                            }
                        };
                        Ok(confirm(&visitor, action, &fields, &back, &effect))
                    }
                    Err(refusal) => told(&dashboard, &visitor, &back, &refusal.sentence()).await,
                };
            }
        }
    }
    let notice = match visitor.ask.write(write).await {
        Ok(_) => format!("{}: done for {}.", action.label, Action::target(&fields)),
        Err(refusal) => refusal.sentence(),
    };
    told(&dashboard, &visitor, &back, &notice).await
}

/// Back to the page, which tells how it went.
pub(super) async fn told(dashboard: &Dashboard, visitor: &Visitor, back: &str, notice: &str) -> Shown {
    match keep(dashboard, visitor, notice).await {
        Ok(()) => Ok(Redirect::to(back).into_response()),
        Err(_) => Ok(page::unavailable()),
    }
}

async fn keep(dashboard: &Dashboard, visitor: &Visitor, notice: &str) -> Result<(), StoreError> {
    sessions::keep_notice(&dashboard.state.store, &visitor.text, Some(notice)).await
}

fn confirm(visitor: &Visitor, action: &Action, fields: &Fields, back: &str, effect: &Markup) -> Response {
    let question = Question {
        title: &format!("{}?", action.label),
        effect: &html! {
            p.target { (Action::target(fields)) }
            p.effect { (effect) }
        },
        sent_to: &format!("/admin/actions/{}", action.name),
        yes: Some(action.label),
        no: "Leave it as it is",
        destroys: action.destroys,
    };
    question.ask(visitor, fields, back)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_is_a_request_of_the_described_api() {
        let document = crate::api::document::document();
        let mut names = std::collections::BTreeSet::new();
        for action in ACTIONS {
            assert!(names.insert(action.name), "{} is there twice", action.name);
            let described = document["paths"].as_object().expect("paths").iter().any(|(path, operations)| {
                let shape = |path: &str| {
                    path.split('/')
                        .map(|part| if part.starts_with('{') { "{}" } else { part })
                        .collect::<Vec<_>>()
                        .join("/")
                };
                shape(path) == shape(action.path)
                    && operations.get(action.method.to_ascii_lowercase()).is_some()
            });
            assert!(described, "{} {}: no such operation", action.method, action.path);
            assert!(
                action.fixed.is_empty() || serde_json::from_str::<Map<String, Value>>(action.fixed).is_ok()
            );
            let asked = !matches!(action.before, Before::Nothing);
            assert!(asked || !action.destroys, "{} takes away without asking", action.name);
        }
    }

    #[test]
    fn a_form_becomes_the_document_that_the_api_takes() {
        let fields = Fields::parse(
            "tenant=acme&version=4&weight=3&quotas.hostnames=&quotas.new_certificates_per_day=x&name=A",
        );
        let write = CHANGE_TENANT.write(&fields).expect("all places filled");
        assert_eq!(
            (write.method, write.path.as_str(), write.version),
            (Method::PATCH, "/v1/tenants/acme", Some(4))
        );
        let document: Value = serde_json::from_slice(&write.body.expect("a document").1).expect("JSON");
        let expected = serde_json::json!({
            "name": "A", "weight": 3, "quotas": { "hostnames": null, "new_certificates_per_day": "x" }
        });
        assert_eq!(document, expected);
        assert!(CHANGE_TENANT.write(&Fields::parse("weight=3")).is_none(), "of nobody");
    }
}
