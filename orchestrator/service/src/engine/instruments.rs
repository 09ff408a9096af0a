//! What the engine counts.

use std::time::Duration;

use issuance::authorization::{Authorization, AuthorizationStatus, DNS_PERSIST_01, ValidationMethod};
use issuance::fairness::Lane;
use issuance::order::{Order, Stage};
use issuance::step::Step;
use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};

use crate::store::admissions::AdmissionOutcome;

/// Attempts and steps.
#[derive(Debug, Clone)]
pub(super) struct Instruments {
    rescued: Counter,
}

const ATTEMPTS: &str = "lockkeeper_attempts_total";
const ATTEMPT_SECONDS: &str = "lockkeeper_attempt_duration_seconds";
const STEP_SECONDS: &str = "lockkeeper_step_duration_seconds";
const ENDED: &str = "lockkeeper_orders_ended_total";
const ISSUANCE_SECONDS: &str = "lockkeeper_issuance_duration_seconds";
const VALIDATIONS: &str = "lockkeeper_validations_total";
const OUTCOMES: [&str; 3] = ["ended", "lease_lost", "not_written"];
const KINDS: [&str; 3] = ["new", "renewal", "replacement"];

impl Instruments {
    pub(super) fn register() -> Self {
        describe_counter!(ATTEMPTS, "Attempts that ended, by the stage they began in and how they ended.");
        describe_histogram!(ATTEMPT_SECONDS, "Seconds an attempt held its seat.");
        describe_histogram!(STEP_SECONDS, "Seconds one step took, its request included.");
        describe_counter!("lockkeeper_rescues_total", "Orders taken up whose lease had run out.");
        describe_counter!(ENDED, "Orders that ended, by how and by what they were for.");
        describe_histogram!(ISSUANCE_SECONDS, "Seconds from the gate to the certificate, by what it is for.");
        describe_counter!(
            VALIDATIONS,
            "Authorizations that the CA has decided, by challenge: valid, or why not."
        );
        for kind in KINDS {
            for result in ["issued", "failed", "cancelled"] {
                counter!(ENDED, "result" => result, "kind" => kind).increment(0);
            }
        }
        for method in ValidationMethod::ALL {
            counter!(VALIDATIONS, "challenge" => method.as_str(), "result" => "valid").increment(0);
        }
        for stage in Stage::NAMES {
            for outcome in OUTCOMES {
                counter!(ATTEMPTS, "stage" => stage, "outcome" => outcome).increment(0);
            }
        }
        Self { rescued: counter!("lockkeeper_rescues_total") }
    }

    pub(super) fn attempt(stage: &'static str, outcome: &'static str, took: Duration) {
        counter!(ATTEMPTS, "stage" => stage, "outcome" => outcome).increment(1);
        histogram!(ATTEMPT_SECONDS, "stage" => stage).record(took.as_secs_f64());
    }

    pub(super) fn step(step: &Step, took: Duration) {
        histogram!(STEP_SECONDS, "step" => step.as_str().to_owned()).record(took.as_secs_f64());
    }

    /// An order that was in stage `before`, and is now written as `order`.
    pub(super) fn ended(before: &Stage, order: &Order, lane: Lane) {
        if before.is_ended() || !order.stage.is_ended() {
            return;
        }
        let kind = match lane {
            _ if order.replaces.is_some() => "replacement",
            Lane::Renewal => "renewal",
            Lane::Urgent | Lane::Interactive | Lane::Bulk => "new",
        };
        counter!(ENDED, "result" => order.stage.as_str(), "kind" => kind).increment(1);
        if let Stage::Issued { reservation, at, .. } = &order.stage {
            let took = reservation.admitted_at.until(*at);
            histogram!(ISSUANCE_SECONDS, "kind" => kind).record(took.as_secs_f64());
        }
    }

    /// What the CA has decided between two commits of the ledger's rows. What was given up, or ended by us, is no verdict.
    pub(super) fn validated(before: &[Authorization], now: &[Authorization]) {
        let was_decided = |url: &str| before.iter().any(|one| &*one.url == url && one.final_at.is_some());
        for one in now.iter().filter(|one| one.submitted_at.is_some() && !was_decided(&one.url)) {
            let result = match one.status {
                AuthorizationStatus::Valid => "valid",
                AuthorizationStatus::Invalid => {
                    one.fault.as_ref().map_or("invalid", |fault| fault.class.as_str())
                }
                _ => continue,
            };
            let kind = one.challenge.as_ref().map_or("", |challenge| &*challenge.kind);
            let challenge = match ValidationMethod::parse(kind) {
                Some(method) => method.as_str(),
                None if kind == DNS_PERSIST_01 => DNS_PERSIST_01,
                None => "other",
            };
            counter!(VALIDATIONS, "challenge" => challenge, "result" => result).increment(1);
        }
    }

    pub(super) fn rescued(&self) {
        self.rescued.increment(1);
    }
}

/// The gate's decisions.
#[derive(Debug, Clone)]
pub(super) struct GateInstruments {
    granted: Counter,
    seconds: Histogram,
}

const ADMISSIONS: &str = "lockkeeper_admissions_total";

impl GateInstruments {
    pub(super) fn register() -> Self {
        describe_counter!(ADMISSIONS, "Decisions of the gate, by result.");
        for result in [
            "no_room",
            "new_orders",
            "held",
            "certificates_per_registered_domain",
            "certificates_per_exact_set",
            "failed_authorizations_per_hostname",
            "backoff",
            "target_busy",
            "lease_lost",
        ] {
            counter!(ADMISSIONS, "result" => result).increment(0);
        }
        describe_histogram!("lockkeeper_gate_duration_seconds", "Seconds one transaction of the gate took.");
        Self {
            granted: counter!(ADMISSIONS, "result" => "granted"),
            seconds: histogram!("lockkeeper_gate_duration_seconds"),
        }
    }

    pub(super) fn took(&self, took: Duration) {
        self.seconds.record(took.as_secs_f64());
    }

    pub(super) fn record(&self, outcome: &AdmissionOutcome) {
        match outcome {
            AdmissionOutcome::Granted(_) => self.granted.increment(1),
            AdmissionOutcome::Denied(denial) => {
                counter!(ADMISSIONS, "result" => denial.as_str()).increment(1);
            }
            AdmissionOutcome::LeaseLost => counter!(ADMISSIONS, "result" => "lease_lost").increment(1),
        }
    }
}

/// What is learnt too late.
#[derive(Debug, Clone)]
pub(super) struct InboxInstruments {
    orphans: Counter,
}

impl InboxInstruments {
    pub(super) fn register() -> Self {
        describe_counter!("lockkeeper_orphans_kept_total", "Objects at the CA that were learnt of too late.");
        Self { orphans: counter!("lockkeeper_orphans_kept_total") }
    }

    pub(super) fn kept(&self, orphans: usize) {
        self.orphans.increment(u64::try_from(orphans).unwrap_or(u64::MAX));
    }
}

/// The committer's work.
#[derive(Debug, Clone)]
pub(super) struct CommitInstruments {
    commits: Counter,
    steps: Counter,
    seconds: Histogram,
}

impl CommitInstruments {
    pub(super) fn register() -> Self {
        describe_counter!("lockkeeper_commits_total", "Commits of steps; many steps share one.");
        describe_counter!("lockkeeper_committed_steps_total", "Ends of steps that were committed.");
        describe_histogram!("lockkeeper_commit_duration_seconds", "Seconds one commit of steps took.");
        Self {
            commits: counter!("lockkeeper_commits_total"),
            steps: counter!("lockkeeper_committed_steps_total"),
            seconds: histogram!("lockkeeper_commit_duration_seconds"),
        }
    }

    pub(super) fn record(&self, steps: usize, took: Duration) {
        self.commits.increment(1);
        self.steps.increment(u64::try_from(steps).unwrap_or(u64::MAX));
        self.seconds.record(took.as_secs_f64());
    }
}
