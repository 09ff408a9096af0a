//! The faults over HTTP, beside the audit.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::plan::Plan;
use crate::ca::Ca;
use crate::problem::Problem;
use crate::reply;

/// What `GET /faults` says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaultReport {
    /// With what is left of each `skip` and `times`.
    pub plan: Plan,
    /// Kind → requests struck, since the start and over all plans.
    pub struck: BTreeMap<String, u64>,
    /// Requests, answers and validations held now.
    pub held: usize,
}

impl Ca {
    pub(crate) fn fault_report(&self) -> FaultReport {
        FaultReport {
            plan: self.faults.plan(self.clock.skew_ms()),
            struck: self.faults.struck(),
            held: *self.faults.held().borrow(),
        }
    }
}

/// `GET /faults`
pub(crate) async fn read(Shared(ca): Shared<Arc<Ca>>) -> Response {
    reply::json(StatusCode::OK, &ca.fault_report())
}

/// `PUT /faults`
pub(crate) async fn replace(Shared(ca): Shared<Arc<Ca>>, body: Bytes) -> Result<Response, Problem> {
    let refused = |reason: String| Problem::malformed(format!("This is no fault plan: {reason}"));
    let plan: Plan = serde_json::from_slice(&body).map_err(|error| refused(error.to_string()))?;
    ca.set_faults(plan).map_err(|error| refused(error.to_string()))?;
    Ok(reply::json(StatusCode::OK, &ca.fault_report()))
}
