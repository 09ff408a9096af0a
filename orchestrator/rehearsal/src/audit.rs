//! The audit: what the CA knows that no client can, for tests and for the last line of a demo.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State as Shared};
use axum::response::Response;
use http::StatusCode;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};

pub use crate::authorization::Event;
use crate::authorization::{Authorization, Progress, Standing};
use crate::ca::Ca;
pub use crate::ledger::AuthorizationCounts;
use crate::order::Status;
use crate::reply;

/// Everything that is counted, at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    pub authorizations: AuthorizationCounts,
    /// The most authorizations that were open at once, since the start and over all accounts. Open is
    /// pending without a submitted challenge: one that is being validated is on its way, and not open.
    pub peak_open: u64,
    pub accounts: u64,
    /// Ever created.
    pub orders: u64,
    /// Ever signed.
    pub certificates: u64,
    /// Exact sets of names that were certified more than once.
    pub duplicate_certificates: u64,
    /// Answers 429 `rateLimited`; those of a CA that is merely busy are 503.
    pub rate_limited: u64,
    /// Endpoint → requests, of any method and whatever the answer.
    pub requests: BTreeMap<String, u64>,
    /// Problem type → answers.
    pub problems: BTreeMap<String, u64>,
    /// Kind of fault ([`Effect::kind`](crate::faults::Effect::kind), and `clock_skew`) → requests it struck.
    pub faults: BTreeMap<String, u64>,
}

/// One authorization with all that happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuthorizationRecord {
    pub id: u64,
    pub account: u64,
    /// As ordered, with the star of a wildcard.
    pub name: String,
    /// `pending`, `valid`, `invalid`, `deactivated` or `expired`.
    pub status: &'static str,
    /// Pending and not submitted.
    pub open: bool,
    pub expires_at: Timestamp,
    /// The type and the detail of the problem that made it invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub history: Vec<HistoryLine>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HistoryLine {
    pub at: Timestamp,
    pub event: Event,
}

/// One order as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderRecord {
    pub id: u64,
    pub account: u64,
    pub names: Vec<String>,
    pub profile: String,
    /// `pending`, `ready`, `processing`, `valid` or `invalid`.
    pub status: &'static str,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// Their ids, in [`AuthorizationRecord::id`].
    pub authorizations: Vec<u64>,
}

/// One signed certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRecord {
    /// In the order of the canonical set.
    pub names: Vec<String>,
    /// The leaf.
    pub der: Vec<u8>,
}

impl Ca {
    pub(crate) fn audit(&self) -> Audit {
        let (state, _) = self.state();
        Audit {
            authorizations: state.ledger.counts(),
            peak_open: state.ledger.peak_open(),
            accounts: state.accounts.len() as u64,
            orders: state.orders.len() as u64,
            certificates: state.certificates.len() as u64,
            duplicate_certificates: state.duplicate_sets,
            rate_limited: self.traffic.rate_limited(),
            requests: self.traffic.requests(),
            problems: self.traffic.problems(),
            faults: self.faults.struck(),
        }
    }

    pub(crate) fn authorization_records(&self, filter: &Filter) -> Vec<AuthorizationRecord> {
        let (state, _) = self.state();
        state.ledger.rows().filter(|row| filter.admits(row)).map(record).collect()
    }

    pub(crate) fn order_records(&self, status: Option<&str>) -> Vec<OrderRecord> {
        let (state, now) = self.state();
        let records = state.orders.iter().map(|order| OrderRecord {
            id: order.number.value(),
            account: order.account.value(),
            names: order.names.iter().map(ToString::to_string).collect(),
            profile: order.profile.to_string(),
            status: Status::as_str(order.status(&state, now)),
            created_at: order.created_at,
            expires_at: order.expires_at,
            authorizations: order.authorizations.iter().map(|number| number.value()).collect(),
        });
        records.filter(|order| status.is_none_or(|status| status == order.status)).collect()
    }

    pub(crate) fn certificate_records(&self) -> Vec<CertificateRecord> {
        let (state, _) = self.state();
        let records = state.certificates.iter().map(|certificate| CertificateRecord {
            names: certificate.names.iter().map(ToString::to_string).collect(),
            der: certificate.der.to_vec(),
        });
        records.collect()
    }
}

fn record(row: &Authorization) -> AuthorizationRecord {
    let error = match &row.progress {
        Progress::Invalid { error, .. } => Some(error.to_string()),
        _ => None,
    };
    AuthorizationRecord {
        id: row.number.value(),
        account: row.account.value(),
        name: row.name.to_string(),
        status: row.standing().as_str(),
        open: row.standing() == Standing::Open,
        expires_at: row.expires_at,
        error,
        history: row.history.iter().map(|&(at, event)| HistoryLine { at, event }).collect(),
    }
}

/// `?status=`: a status, or `open` or `submitted` for the two halves of `pending`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Filter {
    pub(crate) status: Option<String>,
}

impl Filter {
    fn admits(&self, row: &Authorization) -> bool {
        match self.status.as_deref() {
            None => true,
            Some("open") => row.standing() == Standing::Open,
            Some("submitted") => row.standing() == Standing::Submitted,
            Some(status) => row.standing().as_str() == status,
        }
    }
}

/// `GET /audit`
pub(crate) async fn read(Shared(ca): Shared<Arc<Ca>>) -> Response {
    reply::json(StatusCode::OK, &ca.audit())
}

/// `GET /audit/authorizations?status=`
pub(crate) async fn read_authorizations(
    Shared(ca): Shared<Arc<Ca>>,
    Query(filter): Query<Filter>,
) -> Response {
    reply::json(StatusCode::OK, &ca.authorization_records(&filter))
}

/// `GET /audit/orders?status=`
pub(crate) async fn read_orders(Shared(ca): Shared<Arc<Ca>>, Query(filter): Query<Filter>) -> Response {
    reply::json(StatusCode::OK, &ca.order_records(filter.status.as_deref()))
}
