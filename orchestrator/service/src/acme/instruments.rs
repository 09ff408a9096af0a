//! Every instrument of the ACME client.

use std::sync::Arc;
use std::time::Duration;

use metrics::{SharedString, counter, gauge, histogram};

use super::endpoint::Endpoint;

/// Requests that ended, by CA, endpoint and code: the HTTP status, or `not_sent`, `timeout`, `lost`.
const REQUESTS: &str = "lockkeeper_acme_requests_total";
/// Seconds from the first byte out to the last byte in, by CA and endpoint.
const REQUEST_SECONDS: &str = "lockkeeper_acme_request_seconds";
/// Requests on the wire now, by CA.
const IN_FLIGHT: &str = "lockkeeper_acme_requests_in_flight";
/// Seconds a request waited for its turn at the endpoint's rate, by CA and endpoint; only those that waited.
const SMOOTHING_SECONDS: &str = "lockkeeper_acme_smoothing_seconds";
/// Requests signed anew because the CA did not know their nonce, by CA.
const BAD_NONCES: &str = "lockkeeper_acme_bad_nonce_retries_total";

/// The instruments, labelled with one CA's name.
#[derive(Debug, Clone)]
pub(crate) struct Instruments {
    ca: SharedString,
}

impl Instruments {
    pub(crate) fn new(ca: Arc<str>) -> Self {
        Self { ca: SharedString::from_shared(ca) }
    }

    pub(crate) fn ended(&self, endpoint: Endpoint, code: &'static str, took: Duration) {
        counter!(REQUESTS, "ca" => self.ca.clone(), "endpoint" => endpoint.as_str(), "code" => code)
            .increment(1);
        histogram!(REQUEST_SECONDS, "ca" => self.ca.clone(), "endpoint" => endpoint.as_str()).record(took);
    }

    pub(crate) fn answered(&self, endpoint: Endpoint, status: ::http::StatusCode, took: Duration) {
        counter!(
            REQUESTS, "ca" => self.ca.clone(), "endpoint" => endpoint.as_str(), "code" => status.as_str().to_owned()
        )
        .increment(1);
        histogram!(REQUEST_SECONDS, "ca" => self.ca.clone(), "endpoint" => endpoint.as_str()).record(took);
    }

    pub(crate) fn smoothed(&self, endpoint: Endpoint, waited: Duration) {
        histogram!(SMOOTHING_SECONDS, "ca" => self.ca.clone(), "endpoint" => endpoint.as_str())
            .record(waited);
    }

    pub(crate) fn bad_nonce(&self) {
        counter!(BAD_NONCES, "ca" => self.ca.clone()).increment(1);
    }

    /// Counts one request as in flight until the guard is dropped, also by cancellation.
    pub(crate) fn in_flight(&self) -> InFlight {
        gauge!(IN_FLIGHT, "ca" => self.ca.clone()).increment(1.0);
        InFlight { ca: self.ca.clone() }
    }
}

#[derive(Debug)]
pub(crate) struct InFlight {
    ca: SharedString,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!(IN_FLIGHT, "ca" => self.ca.clone()).decrement(1.0);
    }
}
