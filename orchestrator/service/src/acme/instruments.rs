//! Every instrument of the ACME client. A panel reads each one.

use std::sync::Arc;
use std::time::Duration;

use ::http::StatusCode;
use metrics::{
    Counter, Gauge, Histogram, SharedString, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use super::endpoint::Endpoint;

const REQUESTS: &str = "lockkeeper_acme_requests_total";
const SECONDS: &str = "lockkeeper_acme_request_duration_seconds";
const SMOOTHING: &str = "lockkeeper_acme_smoothing_duration_seconds";
const IN_FLIGHT: &str = "lockkeeper_acme_requests_in_flight";
const BAD_NONCES: &str = "lockkeeper_acme_bad_nonce_retries_total";

/// The instruments of one CA. The handles are made once: an order takes many requests.
pub(crate) struct Instruments {
    ca: SharedString,
    /// In the order of [`Endpoint::ALL`].
    endpoints: Vec<EndpointInstruments>,
    /// Requests on the wire now.
    in_flight: Gauge,
    /// Requests signed anew because the CA did not know their nonce.
    bad_nonces: Counter,
}

struct EndpointInstruments {
    /// Requests that ended, by code: the HTTP status, or what came instead of one.
    ok: Counter,
    created: Counter,
    not_sent: Counter,
    lost: Counter,
    timeout: Counter,
    /// Seconds from the first byte out to the last byte in, connecting included.
    duration: Histogram,
    /// Seconds a request waited for its turn at the endpoint's rate; only those that waited.
    smoothing: Histogram,
}

/// What came instead of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NoAnswer {
    NotSent,
    Lost,
    Timeout,
}

impl Instruments {
    pub(crate) fn register(ca: Arc<str>) -> Self {
        describe_counter!(
            REQUESTS,
            "Requests to the CA that ended, by endpoint and status, or what came instead of one."
        );
        describe_histogram!(
            SECONDS,
            "Seconds from the first byte out to the last byte in, connecting included."
        );
        describe_histogram!(
            SMOOTHING,
            "Seconds for which requests waited for their turn at the endpoint's rate."
        );
        describe_gauge!(IN_FLIGHT, "Requests to the CA on the wire.");
        describe_counter!(BAD_NONCES, "Requests signed anew because the CA did not know their nonce.");
        let ca = SharedString::from_shared(ca);
        Self {
            endpoints: Endpoint::ALL
                .iter()
                .map(|endpoint| EndpointInstruments::register(&ca, *endpoint))
                .collect(),
            in_flight: gauge!(IN_FLIGHT, "ca" => ca.clone()),
            bad_nonces: counter!(BAD_NONCES, "ca" => ca.clone()),
            ca,
        }
    }

    pub(crate) fn answered(&self, endpoint: Endpoint, status: StatusCode, took: Duration) {
        let instruments = &self.endpoints[endpoint as usize];
        instruments.duration.record(took);
        match status {
            StatusCode::OK => instruments.ok.increment(1),
            StatusCode::CREATED => instruments.created.increment(1),
            other => requests(&self.ca, endpoint, other.as_str().to_owned()).increment(1),
        }
    }

    pub(crate) fn unanswered(&self, endpoint: Endpoint, why: NoAnswer, took: Duration) {
        let instruments = &self.endpoints[endpoint as usize];
        instruments.duration.record(took);
        match why {
            NoAnswer::NotSent => instruments.not_sent.increment(1),
            NoAnswer::Lost => instruments.lost.increment(1),
            NoAnswer::Timeout => instruments.timeout.increment(1),
        }
    }

    pub(crate) fn smoothed(&self, endpoint: Endpoint, waited: Duration) {
        self.endpoints[endpoint as usize].smoothing.record(waited);
    }

    pub(crate) fn bad_nonce(&self) {
        self.bad_nonces.increment(1);
    }

    /// Counts one request as in flight until the guard is dropped, also by cancellation.
    pub(crate) fn in_flight(&self) -> InFlight<'_> {
        self.in_flight.increment(1.0);
        InFlight(&self.in_flight)
    }
}

impl EndpointInstruments {
    fn register(ca: &SharedString, endpoint: Endpoint) -> Self {
        let ended = |code: &'static str| requests(ca, endpoint, code);
        let word = endpoint.as_str();
        Self {
            ok: ended("200"),
            created: ended("201"),
            not_sent: ended("not_sent"),
            lost: ended("lost"),
            timeout: ended("timeout"),
            duration: histogram!(SECONDS, "ca" => ca.clone(), "endpoint" => word),
            smoothing: histogram!(SMOOTHING, "ca" => ca.clone(), "endpoint" => word),
        }
    }
}

fn requests(ca: &SharedString, endpoint: Endpoint, code: impl Into<SharedString>) -> Counter {
    counter!(REQUESTS, "ca" => ca.clone(), "endpoint" => endpoint.as_str(), "code" => code.into())
}

pub(crate) struct InFlight<'a>(&'a Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
