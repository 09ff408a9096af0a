//! `/v1/api-keys`: who may ask what. The operator's for all, and a tenant's for its own.
//!
//! Nobody gives away what he has not got: a key makes and changes keys that open no more than itself.

mod change;
mod create;
mod list;
mod read;
mod revoke;
mod rotate;

pub use change::KeyChange;
pub use create::{MadeKey, WantedKey};
pub use rotate::WantedRotation;

use issuance::selector::Selector;
use issuance::time::Timestamp;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Caller;
use super::problem::{Problem, ProblemEntry};
use crate::config::Cidr;
use crate::store::bundles::selector_labels;
use crate::store::events::Event;
use crate::store::keyring::ApiKeyView;
use crate::store::scope::Scope;

/// What a key that is bound to labels may open: nothing else knows of labels.
const OF_AGENTS: [Scope; 2] = [Scope::BundlesRead, Scope::DeploymentsManage];
const NAME_CHARS_MAX: usize = 200;
/// Blocks of one key.
const BLOCKS_MAX: usize = 64;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(read::read, change::change, revoke::revoke))
        .routes(routes!(rotate::rotate))
}

fn check_name(name: &str, errors: &mut Vec<ProblemEntry>) {
    let length = name.chars().count();
    if name.trim().is_empty() || length > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        let detail = format!("say in 1 to {NAME_CHARS_MAX} printable characters what uses the key");
        errors.push(ProblemEntry::at("/name", "out-of-range", detail));
    }
}

fn check_expiry(expires_at: Option<Timestamp>, now: Timestamp, errors: &mut Vec<ProblemEntry>) {
    if expires_at.is_some_and(|at| at <= now) {
        errors.push(ProblemEntry::at("/expires_at", "in-the-past", "it has expired already"));
    }
}

/// `for_tenant`: the holder will be one.
fn read_scopes(
    words: &[String],
    caller: &Caller,
    for_tenant: bool,
    errors: &mut Vec<ProblemEntry>,
) -> Vec<Scope> {
    let mut scopes = Vec::new();
    if words.is_empty() {
        errors.push(ProblemEntry::at("/scopes", "out-of-range", "a key opens something: name a scope"));
    }
    for (place, word) in words.iter().enumerate() {
        let mut refuse = |code, detail: String| {
            errors.push(ProblemEntry::at(format!("/scopes/{place}"), code, detail));
        };
        match word.parse::<Scope>() {
            Err(error) => refuse("unknown-scope", error.to_string()),
            Ok(scope) if for_tenant && !scope.is_for_tenants() => {
                refuse("operator-only", format!("{scope} is the operator's: a tenant's key cannot have it"));
            }
            Ok(scope) if !caller.scopes().contains(scope) => {
                refuse(
                    "beyond-your-own",
                    format!("your own key does not have {scope}, so it cannot give it"),
                );
            }
            Ok(scope) => scopes.push(scope),
        }
    }
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

fn check_agents_scopes(scopes: &[Scope], errors: &mut Vec<ProblemEntry>) {
    if let Some(other) = scopes.iter().find(|scope| !OF_AGENTS.contains(scope)) {
        let detail =
            format!("a key with a selector opens bundles:read and deployments:manage alone, not {other}");
        errors.push(ProblemEntry::at("/scopes", "not-with-a-selector", detail));
    }
}

/// As a row has it.
fn read_selector(text: Option<&str>, scopes: &[Scope], errors: &mut Vec<ProblemEntry>) -> Option<Value> {
    let text = text?;
    check_agents_scopes(scopes, errors);
    match Selector::parse(text) {
        Ok(selector) => Some(selector_labels(&selector)),
        Err(error) => {
            errors.push(ProblemEntry::at("/selector", "not-a-selector", error.to_string()));
            None
        }
    }
}

fn read_cidrs(words: &[String], errors: &mut Vec<ProblemEntry>) -> Vec<Cidr> {
    if words.len() > BLOCKS_MAX {
        let detail = format!("a key has up to {BLOCKS_MAX} blocks of addresses");
        errors.push(ProblemEntry::at("/cidrs", "out-of-range", detail));
        return Vec::new();
    }
    let mut cidrs = Vec::new();
    for (place, word) in words.iter().enumerate() {
        match word.parse::<Cidr>() {
            Ok(block) => cidrs.push(block),
            Err(error) => {
                errors.push(ProblemEntry::at(format!("/cidrs/{place}"), "not-a-block", error.to_string()));
            }
        }
    }
    cidrs
}

/// A key that opens more than one's own is not for one to change or to replace.
fn require_no_more(caller: &Caller, key: &ApiKeyView) -> Result<(), Problem> {
    let beyond = key.scopes.iter().find(|scope| !caller.scopes().contains(**scope));
    beyond.map_or(Ok(()), |scope| Err(Problem::beyond_your_own(*scope)))
}

fn told(kind: &'static str, before: Option<&ApiKeyView>, after: Option<&ApiKeyView>) -> Event {
    let of = after.or(before);
    let view = |key: Option<&ApiKeyView>| key.map_or(Value::Null, |key| json!(key));
    Event {
        kind,
        tenant: of.and_then(|key| key.tenant_id),
        certificate: None,
        subject: of.map(|key| key.id.to_string()).unwrap_or_default(),
        data: json!({ "before": view(before), "after": view(after) }),
    }
}
