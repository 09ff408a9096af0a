//! Orders (RFC 8555 §7.1.3): their status is computed from their authorizations at each read.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use http::StatusCode;
use issuance::identifier::{Hostname, Identifiers};
use issuance::time::Timestamp;
use serde_json::{Value, json};

use crate::account::Account;
use crate::authorization::{Authorization, Standing};
use crate::ca::Ca;
use crate::certificate::{self, Certificate};
use crate::directory::Base;
use crate::endpoint::Endpoint;
use crate::faults::Effect;
use crate::problem::{Identifier, Problem};
use crate::reply;
use crate::signed::Reading;
use crate::state::{Number, State};

#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) number: Number<Order>,
    pub(crate) account: Number<Account>,
    /// Empty where the client asked for none.
    pub(crate) profile: Arc<str>,
    pub(crate) names: Identifiers,
    /// The canonical text of `names`.
    pub(crate) set: Arc<str>,
    pub(crate) expires_at: Timestamp,
    pub(crate) created_at: Timestamp,
    /// In the order of their numbers, not of the names.
    pub(crate) authorizations: Vec<Number<Authorization>>,
    pub(crate) replaces: Option<Box<str>>,
    pub(crate) progress: Progress,
}

#[derive(Debug)]
pub(crate) enum Progress {
    /// Not finalized: the authorizations say the rest.
    Open,
    /// Finalize was accepted, the certificate is not signed yet.
    Issuing,
    /// Signed; an asynchronous CA shows it from `visible_at` on.
    Issued { certificate: Number<Certificate>, visible_at: Timestamp },
    /// An asynchronous CA shows it from `visible_at` on.
    Failed { error: Box<Problem>, visible_at: Timestamp },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Ready,
    Processing,
    Valid,
    Invalid,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Processing => "processing",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }
}

impl Order {
    pub(crate) fn url(&self, base: &Base) -> String {
        base.url(&format!("/acme/order/{}/{}", self.account, self.number))
    }

    pub(crate) fn status(&self, state: &State, now: Timestamp) -> Status {
        match &self.progress {
            Progress::Issuing => Status::Processing,
            Progress::Issued { visible_at, .. } | Progress::Failed { visible_at, .. }
                if *visible_at > now =>
            {
                Status::Processing
            }
            Progress::Failed { .. } => Status::Invalid,
            Progress::Issued { .. } => Status::Valid,
            Progress::Open => {
                let mut status = Status::Ready;
                for row in self.authorizations.iter().filter_map(|number| state.ledger.find(*number)) {
                    match row.standing() {
                        Standing::Valid => (),
                        Standing::Open | Standing::Submitted => status = Status::Pending,
                        Standing::Invalid | Standing::Deactivated | Standing::Expired => {
                            return Status::Invalid;
                        }
                    }
                }
                status
            }
        }
    }

    pub(crate) fn render(&self, state: &State, base: &Base, now: Timestamp) -> Value {
        let status = self.status(state, now);
        let authorizations: Vec<String> = self
            .authorizations
            .iter()
            .filter_map(|number| state.ledger.find(*number))
            .map(|row| row.url(base))
            .collect();
        let identifiers: Vec<Identifier> =
            self.names.iter().map(|name| Identifier::dns(Hostname::as_str(name))).collect();
        let mut value = json!({
            "status": status.as_str(),
            "expires": reply::instant(self.expires_at),
            "identifiers": identifiers,
            "authorizations": authorizations,
            "finalize": base.url(&format!("/acme/finalize/{}/{}", self.account, self.number)),
        });
        if !self.profile.is_empty() {
            value["profile"] = Value::from(&*self.profile);
        }
        if let Some(replaces) = &self.replaces {
            value["replaces"] = Value::from(&**replaces);
        }
        match &self.progress {
            Progress::Failed { error, .. } if status == Status::Invalid => value["error"] = json!(error),
            Progress::Issued { certificate, .. } if status == Status::Valid => {
                value["certificate"] = Value::from(certificate::url(&state.certificates[*certificate], base));
            }
            _ => (),
        }
        value
    }
}

/// `GET` or POST-as-GET of an order.
pub(crate) async fn read(
    Shared(ca): Shared<Arc<Ca>>,
    Path((account, number)): Path<(String, String)>,
    reading: Reading,
) -> Result<Response, Problem> {
    let (state, now) = ca.state();
    let order = find(&state, &account, &number, reading.reader, now)?;
    let (age, ready) = (now.since(order.created_at), order.status(&state, now) == Status::Ready);
    let fault = ca.draw(Endpoint::Order, None, |effect| match effect {
        Effect::UnknownYet { .. } => effect.hides(age),
        Effect::StaleOrder => ready,
        _ => false,
    });
    match fault {
        Some(Effect::UnknownYet { .. }) => Err(unknown(&number)),
        Some(_) => {
            let mut value = order.render(&state, &reading.base, now);
            value["status"] = Value::from(Status::Pending.as_str());
            let mut response = reply::json(StatusCode::OK, &value);
            reply::set_location(&mut response, &order.url(&reading.base));
            Ok(response)
        }
        None => Ok(answer(&ca, &state, order, StatusCode::OK, &reading.base, now)),
    }
}

/// Another account's order is as unknown as one that never was.
pub(crate) fn find<'a>(
    state: &'a State,
    account: &str,
    number: &str,
    reader: Option<Number<Account>>,
    now: Timestamp,
) -> Result<&'a Order, Problem> {
    let order = Number::parse(number)
        .and_then(|number| state.orders.find(number))
        .filter(|order| Number::parse(account) == Some(order.account) && order.expires_at > now)
        .ok_or_else(|| unknown(number))?;
    if reader.is_some_and(|reader| reader != order.account) {
        return Err(Problem::not_found(format!("No order found for account ID {account}")));
    }
    Ok(order)
}

fn unknown(number: &str) -> Problem {
    Problem::not_found(format!("No order for ID {number}"))
}

pub(crate) fn answer(
    ca: &Ca,
    state: &State,
    order: &Order,
    status: StatusCode,
    base: &Base,
    now: Timestamp,
) -> Response {
    let mut response = reply::json(status, &order.render(state, base, now));
    reply::set_location(&mut response, &order.url(base));
    if order.status(state, now) == Status::Processing {
        let seconds = ca.rules.async_finalize.map_or(PROCESSING_RETRY_SECONDS, |how| how.retry_after_seconds);
        reply::set_retry_after(&mut response, seconds);
    }
    response
}

/// What Boulder says of an order that is being issued.
const PROCESSING_RETRY_SECONDS: u64 = 3;
