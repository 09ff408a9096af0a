//! Every instrument of this area. A panel reads each one.

use std::time::Duration;

use issuance::fault::FailureClass;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

use super::propagation::{self, PropagationReport};
use super::report::Verdict;

const CHECKS: &str = "lockkeeper_name_checks_total";
const CHECK_SECONDS: &str = "lockkeeper_name_check_duration_seconds";
const LOOKS: &str = "lockkeeper_dns_looks_total";
const LOOK_SECONDS: &str = "lockkeeper_dns_look_duration_seconds";
const REQUESTS: &str = "lockkeeper_responder_requests_total";
const EVICTIONS: &str = "lockkeeper_responder_evictions_total";
const CONNECTIONS: &str = "lockkeeper_responder_connections";

/// What a check asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Before an order is placed.
    Preflight,
    /// Before a challenge is submitted.
    SelfCheck,
    /// Whether a name that was not ready is.
    Look,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::SelfCheck => "self_check",
            Self::Look => "look",
        }
    }
}

/// Names checked. The handles are made once: a check is too cheap to look them up.
pub(super) struct CheckInstruments {
    preflight: PurposeInstruments,
    self_check: PurposeInstruments,
    look: PurposeInstruments,
}

struct PurposeInstruments {
    ready: Counter,
    unknown: Counter,
    not_ready: Vec<(FailureClass, Counter)>,
    /// Seconds one name took, lookup included.
    duration: Histogram,
}

impl CheckInstruments {
    pub(super) fn register() -> Self {
        describe_counter!(CHECKS, "Names checked at home, by what for and with which result.");
        describe_histogram!(CHECK_SECONDS, "Seconds one name took, its look-ups included.");
        Self {
            preflight: PurposeInstruments::register(Purpose::Preflight),
            self_check: PurposeInstruments::register(Purpose::SelfCheck),
            look: PurposeInstruments::register(Purpose::Look),
        }
    }

    pub(super) fn record(&self, purpose: Purpose, verdict: &Verdict, took: Duration) {
        let instruments = match purpose {
            Purpose::Preflight => &self.preflight,
            Purpose::SelfCheck => &self.self_check,
            Purpose::Look => &self.look,
        };
        instruments.duration.record(took);
        match verdict {
            Verdict::Ready => instruments.ready.increment(1),
            Verdict::Unknown { .. } => instruments.unknown.increment(1),
            Verdict::NotReady { class, .. } => {
                if let Some((_, counter)) = instruments.not_ready.iter().find(|(of, _)| of == class) {
                    counter.increment(1);
                }
            }
        }
    }
}

impl PurposeInstruments {
    fn register(purpose: Purpose) -> Self {
        let purpose = purpose.as_str();
        let checks = |result: &'static str| counter!(CHECKS, "purpose" => purpose, "result" => result);
        Self {
            ready: checks("ready"),
            unknown: checks("unknown"),
            not_ready: FailureClass::ALL.iter().map(|class| (*class, checks(class.as_str()))).collect(),
            duration: histogram!(CHECK_SECONDS, "purpose" => purpose),
        }
    }
}

/// Looks for a record at the servers of its zone.
pub(super) struct PropagationInstruments {
    visible: Counter,
    unknown: Counter,
    not_yet: Vec<(FailureClass, Counter)>,
    /// Seconds one look took, the search for the servers included.
    duration: Histogram,
}

impl PropagationInstruments {
    pub(super) fn register() -> Self {
        describe_counter!(LOOKS, "Looks for a TXT record at all servers of its zone, by result.");
        describe_histogram!(LOOK_SECONDS, "Seconds one look took, the search for the servers included.");
        let looks = |result: &'static str| counter!(LOOKS, "result" => result);
        Self {
            visible: looks("visible"),
            unknown: looks("unknown"),
            not_yet: FailureClass::ALL.iter().map(|class| (*class, looks(class.as_str()))).collect(),
            duration: histogram!(LOOK_SECONDS),
        }
    }

    pub(super) fn record(&self, report: &PropagationReport, took: Duration) {
        self.duration.record(took);
        match report.verdict {
            propagation::Verdict::Visible => self.visible.increment(1),
            propagation::Verdict::Unknown { .. } => self.unknown.increment(1),
            propagation::Verdict::NotYet { class, .. } => {
                if let Some((_, counter)) = self.not_yet.iter().find(|(of, _)| *of == class) {
                    counter.increment(1);
                }
            }
        }
    }
}

/// Requests to the responder, by what became of them.
pub(super) struct ResponderInstruments {
    /// A challenge response was served.
    pub(super) served: Counter,
    /// A probe was answered.
    pub(super) probe: Counter,
    /// Nothing is known under the token.
    pub(super) unknown: Counter,
    /// Another path, method or shape of token.
    pub(super) refused: Counter,
    /// The responses could not be read.
    pub(super) error: Counter,
    /// Too many wait for the database already.
    pub(super) crowded: Counter,
    /// Connections that were closed because others wanted their seats.
    pub(super) evicted: Counter,
    /// Open connections.
    pub(super) connections: Gauge,
}

impl ResponderInstruments {
    pub(super) fn register() -> Self {
        describe_counter!(REQUESTS, "Requests to the responder, by what became of them.");
        describe_counter!(EVICTIONS, "Connections closed because others wanted their seats.");
        describe_gauge!(CONNECTIONS, "Open connections of the responder.");
        let requests = |result: &'static str| counter!(REQUESTS, "result" => result);
        Self {
            served: requests("served"),
            probe: requests("probe"),
            unknown: requests("unknown"),
            refused: requests("refused"),
            error: requests("error"),
            crowded: requests("crowded"),
            evicted: counter!(EVICTIONS),
            connections: gauge!(CONNECTIONS),
        }
    }
}
