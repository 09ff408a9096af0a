//! The limits over HTTP, beside the faults.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::response::Response;
use http::StatusCode;
use issuance::limit::LimitName;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::books::{LimitTally, LimitUsage, NewOrderTally, RefusalRecord};
use super::history::{History, HistoryError};
use super::key::Owner;
use super::overrides::{LimitOverride, OverrideError};
use crate::ca::Ca;
use crate::problem::Problem;
use crate::reply;

/// What `GET /limits` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitReport {
    pub overrides: Vec<LimitOverride>,
    /// A limit that nothing was asked of yet is not in it.
    pub limits: BTreeMap<LimitName, LimitTally>,
    pub new_orders: NewOrderTally,
    /// Answers 429 for a paused name, which no limit is named in.
    pub paused: u64,
    /// Requests that the load balancer answered 503.
    pub turned_away: u64,
    /// New-orders by account, as far as they cost a token.
    pub accounts: BTreeMap<u64, LimitUsage>,
    /// The first hundred answers 429 that named a limit, and the last one.
    pub refusals: Vec<RefusalRecord>,
}

impl Ca {
    pub(crate) fn limit_report(&self) -> LimitReport {
        const NEW_ORDERS: LimitName = LimitName::NewOrdersPerAccount;
        let (state, now) = self.state();
        let limits = &state.limits;
        let accounts = limits.books.owners(NEW_ORDERS).into_iter().filter_map(|owner| {
            let Owner::Account(number) = owner else { return None };
            Some((number, limits.usage(NEW_ORDERS, &owner, now)?))
        });
        LimitReport {
            overrides: limits.overrides.list().to_vec(),
            limits: limits.books.tallies(),
            new_orders: limits.books.new_orders,
            paused: state.pauses.refused(),
            turned_away: self.load_balancer.turned_away(),
            accounts: accounts.collect(),
            refusals: limits.books.refusals(),
        }
    }

    pub(crate) fn limit_usage(&self, limit: LimitName, owner: &Owner) -> Option<LimitUsage> {
        let (state, now) = self.state();
        state.limits.usage(limit, owner, now)
    }

    pub(crate) fn limit_owners(&self, limit: LimitName) -> Vec<Owner> {
        self.state().0.limits.books.owners(limit)
    }

    pub(crate) fn set_overrides(&self, overrides: Vec<LimitOverride>) -> Result<(), OverrideError> {
        self.state().0.limits.set_overrides(overrides)
    }

    pub(crate) fn remember(&self, history: History) -> Result<(), HistoryError> {
        let (mut state, now) = self.state();
        state.remember(history, now)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    overrides: Vec<LimitOverride>,
}

fn refused(reason: &dyn std::error::Error) -> Problem {
    Problem::malformed(reason.to_string())
}

/// `GET /limits`
pub(crate) async fn read(Shared(ca): Shared<Arc<Ca>>) -> Response {
    reply::json(StatusCode::OK, &ca.limit_report())
}

/// `PUT /limits`
pub(crate) async fn replace(Shared(ca): Shared<Arc<Ca>>, body: Bytes) -> Result<Response, Problem> {
    let wanted: Wanted = serde_json::from_slice(&body).map_err(|error| refused(&error))?;
    ca.set_overrides(wanted.overrides).map_err(|error| refused(&error))?;
    Ok(reply::json(StatusCode::OK, &ca.limit_report()))
}

/// `POST /history`
pub(crate) async fn remember(Shared(ca): Shared<Arc<Ca>>, body: Bytes) -> Result<Response, Problem> {
    let history: History = serde_json::from_slice(&body).map_err(|error| refused(&error))?;
    let (issued, used) = (history.issued.len(), history.used.len());
    ca.remember(history).map_err(|error| refused(&error))?;
    Ok(reply::json(StatusCode::OK, &json!({ "issued": issued, "used": used })))
}
