//! Pausing: what happens to a name that only ever fails. A person must lift it; there is no API for that.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::extract::{Query, State as Shared};
use axum::response::Response;
use http::StatusCode;
use issuance::identifier::{Hostname, Identifiers};
use serde::Deserialize;

use crate::account::Account;
use crate::ca::Ca;
use crate::directory::Base;
use crate::problem::{Kind, Problem};
use crate::reply;
use crate::state::Number;

#[derive(Debug, Default)]
pub(crate) struct Pauses {
    names: HashMap<Number<Account>, BTreeSet<Hostname>>,
    refused: u64,
}

impl Pauses {
    pub(crate) fn pause(&mut self, account: Number<Account>, name: Hostname) {
        self.names.entry(account).or_default().insert(name);
    }

    /// Refuses an order that holds a paused name: no wait is given, since only a person ends it.
    pub(crate) fn check(
        &mut self,
        account: Number<Account>,
        wanted: &Identifiers,
        base: &Base,
    ) -> Result<(), Problem> {
        let Some(paused) = self.names.get(&account) else { return Ok(()) };
        let hit: Vec<&str> =
            wanted.iter().filter(|name| paused.contains(name)).map(Hostname::as_str).collect();
        if hit.is_empty() {
            return Ok(());
        }
        self.refused += 1;
        let url = base.url(&format!("/sfe/v1/unpause?jwt={account}"));
        Err(Problem::new(
            Kind::RateLimited,
            format!(
                "Your account is temporarily prevented from requesting certificates for {} and possibly \
                 others. Please visit: {url}",
                hit.join(", ")
            ),
        ))
    }

    /// Orders refused for a paused name.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    fn unpause(&mut self, account: Number<Account>) -> usize {
        self.names.remove(&account).map_or(0, |names| names.len())
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Ticket {
    jwt: String,
}

/// `GET /sfe/v1/unpause`: the page a person is sent to.
pub(crate) async fn page(Query(ticket): Query<Ticket>) -> Response {
    let body = format!("POST /sfe/v1/do-unpause?jwt={} to unpause this account.\n", ticket.jwt);
    reply::with_body(StatusCode::OK, "text/plain", body)
}

/// `POST /sfe/v1/do-unpause`: unpauses every name of the account.
pub(crate) async fn unpause(
    Shared(ca): Shared<Arc<Ca>>,
    Query(ticket): Query<Ticket>,
) -> Result<Response, Problem> {
    let account = Number::parse(&ticket.jwt).ok_or_else(|| Problem::malformed("Invalid unpause URL"))?;
    let (mut state, _) = ca.state();
    let count = state.pauses.unpause(account);
    let mut response = reply::empty(StatusCode::FOUND);
    reply::set_location(&mut response, &format!("/sfe/v1/unpause-status?count={count}"));
    Ok(response)
}
