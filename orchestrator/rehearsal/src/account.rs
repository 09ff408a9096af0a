//! Accounts (RFC 8555 §7.3): creation with or without external binding, update, deactivation, orders list.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::extract::{Path, Query, State as Shared};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use issuance::limit::LimitName;
use issuance::time::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::ca::Ca;
use crate::directory::Base;
use crate::jws::Jws;
use crate::key::{Jwk, PublicKey};
use crate::limits::Key;
use crate::order::Order;
use crate::problem::{Kind, Problem};
use crate::reply;
use crate::rules::CaRules;
use crate::signed::Signed;
use crate::state::Number;

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) key: Arc<PublicKey>,
    pub(crate) deactivated: bool,
    /// Until then the front end, which has not heard of it, goes on as if it were not.
    pub(crate) cached_until: Option<Timestamp>,
    pub(crate) contact: Vec<String>,
    pub(crate) external_binding: Option<Box<RawValue>>,
    pub(crate) created_at: Timestamp,
    /// Oldest first.
    pub(crate) orders: Vec<Number<Order>>,
}

pub(crate) fn url(number: Number<Account>, base: &Base) -> String {
    base.url(&format!("/acme/acct/{number}"))
}

impl Account {
    fn render(&self, number: Number<Account>, base: &Base, rules: &CaRules) -> Value {
        let mut value = json!({
            "status": if self.deactivated { "deactivated" } else { "valid" },
            "key": self.key.jwk(),
            "createdAt": reply::instant(self.created_at),
        });
        if !self.contact.is_empty() {
            value["contact"] = json!(self.contact);
        }
        if let Some(binding) = &self.external_binding {
            value["externalAccountBinding"] = json!(binding);
        }
        if rules.orders_list {
            value["orders"] = Value::from(format!("{}/orders", url(number, base)));
        }
        value
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Creation {
    #[serde(default)]
    contact: Vec<String>,
    #[serde(default)]
    terms_of_service_agreed: bool,
    #[serde(default)]
    only_return_existing: bool,
    external_account_binding: Option<Box<RawValue>>,
}

/// `POST /acme/new-acct`
pub(crate) async fn create(Shared(ca): Shared<Arc<Ca>>, signed: Signed) -> Result<Response, Problem> {
    let key = signed.bare_key()?;
    let wanted: Creation = signed.payload()?;
    {
        let (state, _) = ca.state();
        if let Some(&number) = state.account_by_thumbprint.get(key.thumbprint()) {
            let account = &state.accounts[number];
            if account.deactivated {
                return Err(Problem::unauthorized(
                    "An account with the provided public key exists but is deactivated",
                ));
            }
            return Ok(answer(StatusCode::OK, account, number, &signed.base, &ca.rules));
        }
    }
    if wanted.only_return_existing {
        return Err(Problem::new(Kind::AccountDoesNotExist, "No account exists with the provided key"));
    }
    if !wanted.terms_of_service_agreed {
        return Err(Problem::malformed("must agree to terms of service"));
    }
    check_contacts(&wanted.contact)?;
    match &wanted.external_account_binding {
        Some(binding) => check_binding(binding, key, &signed.url, &ca.rules)?,
        None if ca.rules.external_account_required => {
            return Err(Problem::new(
                Kind::ExternalAccountRequired,
                "external account binding is required for new accounts",
            ));
        }
        None => (),
    }
    let (mut state, now) = ca.state();
    if let Some(address) = signed.peer {
        let place = Key::Address(address);
        state
            .limits
            .check_all([(LimitName::NewAccountsPerAddress, place.clone())], now)
            .map_err(|refusal| refusal.into_problem(now, ca.chance.fraction()))?;
        state.limits.spend(LimitName::NewAccountsPerAddress, place, now);
    }
    let number = match state.account_by_thumbprint.get(key.thumbprint()) {
        // The same key twice in parallel makes one account.
        Some(&number) => number,
        None => state.accounts.push(Account {
            key: Arc::clone(key),
            deactivated: false,
            cached_until: None,
            contact: wanted.contact,
            external_binding: wanted.external_account_binding,
            created_at: now,
            orders: Vec::new(),
        }),
    };
    state.account_by_thumbprint.insert(key.thumbprint().into(), number);
    Ok(answer(StatusCode::CREATED, &state.accounts[number], number, &signed.base, &ca.rules))
}

fn answer(
    status: StatusCode,
    account: &Account,
    number: Number<Account>,
    base: &Base,
    rules: &CaRules,
) -> Response {
    let mut response = reply::json(status, &account.render(number, base, rules));
    reply::set_location(&mut response, &url(number, base));
    reply::add_link(&mut response, &rules.terms_of_service, "terms-of-service");
    response
}

#[derive(Debug, Deserialize)]
struct Update {
    contact: Option<Vec<String>>,
    status: Option<String>,
}

/// POST to an account: read, change of contacts, or deactivation (RFC 8555 §7.3.2, §7.3.6).
pub(crate) async fn update(
    Shared(ca): Shared<Arc<Ca>>,
    Path(wanted): Path<String>,
    signed: Signed,
) -> Result<Response, Problem> {
    let number = signed.account()?;
    if Number::parse(&wanted) != Some(number) {
        return Err(Problem::unauthorized("Request signing key did not match account key"));
    }
    let update = if signed.is_read() { None } else { Some(signed.payload::<Update>()?) };
    let (mut state, now) = ca.state();
    let account = state
        .accounts
        .find_mut(number)
        .ok_or_else(|| Problem::new(Kind::AccountDoesNotExist, "Account not found"))?;
    if let Some(update) = update {
        match update.status.as_deref() {
            Some("deactivated") => {
                account.deactivated = true;
                let cached = Duration::from_secs(ca.rules.account_cache_seconds);
                account.cached_until = Some(now.after(cached));
            }
            None | Some("valid") => (),
            Some(_) => return Err(Problem::malformed("Invalid value provided for status field")),
        }
        if let Some(contact) = update.contact {
            check_contacts(&contact)?;
            account.contact = contact;
        }
    }
    Ok(reply::json(StatusCode::OK, &account.render(number, &signed.base, &ca.rules)))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    #[serde(default)]
    cursor: usize,
}

/// The orders list (RFC 8555 §7.1.2.1), oldest first, in pages.
pub(crate) async fn orders(
    Shared(ca): Shared<Arc<Ca>>,
    Path(wanted): Path<String>,
    Query(page): Query<Page>,
    signed: Signed,
) -> Result<Response, Problem> {
    let number = signed.account()?;
    if !ca.rules.orders_list {
        return Err(Problem::not_found("Page not found"));
    }
    if Number::parse(&wanted) != Some(number) {
        return Err(Problem::unauthorized("Request signing key did not match account key"));
    }
    let (state, now) = ca.state();
    let account = &state.accounts[number];
    let alive = account.orders.iter().filter(|order| state.orders[**order].expires_at > now);
    let mut rest = alive.skip(page.cursor).map(|order| state.orders[*order].url(&signed.base));
    let urls: Vec<String> = rest.by_ref().take(ca.rules.orders_per_page.max(1)).collect();
    let mut response = reply::json(StatusCode::OK, &json!({ "orders": urls }));
    if rest.next().is_some() {
        let next = format!("{}/orders?cursor={}", url(number, &signed.base), page.cursor + urls.len());
        reply::add_link(&mut response, &next, "next");
    }
    Ok(response)
}

fn check_contacts(contacts: &[String]) -> Result<(), Problem> {
    for contact in contacts {
        let Some(address) = contact.strip_prefix("mailto:") else {
            let scheme = contact.split(':').next().unwrap_or_default();
            return Err(Problem::new(
                Kind::UnsupportedContact,
                format!("only contact scheme 'mailto:' is supported, not {scheme:?}"),
            ));
        };
        let good = address
            .split_once('@')
            .is_some_and(|(user, host)| !user.is_empty() && host.contains('.') && !host.contains('@'));
        if !good || !address.is_ascii() || address.contains([',', '?', ' ']) {
            return Err(Problem::new(
                Kind::InvalidContact,
                format!("contact email {address:?} is not a usable address"),
            ));
        }
    }
    Ok(())
}

/// RFC 8555 §7.3.4: the CA's key signs the account key for this very URL.
fn check_binding(binding: &RawValue, key: &PublicKey, url: &str, rules: &CaRules) -> Result<(), Problem> {
    let refused = |what: &str| Problem::malformed(format!("invalid external account binding: {what}"));
    let jws = Jws::parse_inner(binding)?;
    if jws.protected.alg != "HS256" {
        return Err(refused("the algorithm must be HS256"));
    }
    if jws.protected.nonce.is_some() || jws.protected.url.as_deref() != Some(url) {
        return Err(refused("it must have the request's url and no nonce"));
    }
    let kid = jws.protected.kid.as_deref().unwrap_or_default();
    let secret = rules
        .external_account_keys
        .get(kid)
        .ok_or_else(|| Problem::unauthorized(format!("unknown external account key {kid:?}")))?;
    let secret = URL_SAFE_NO_PAD
        .decode(secret.trim_end_matches('='))
        .map_err(|_| Problem::new(Kind::ServerInternal, "the CA's external account key is no base64url"))?;
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &secret), &jws.signed, &jws.signature)
        .map_err(|_| Problem::unauthorized("external account binding signature is wrong"))?;
    match serde_json::from_slice::<Jwk>(&jws.payload) {
        Ok(jwk) if jwk == *key.jwk() => Ok(()),
        _ => Err(refused("it must bind the account key")),
    }
}
