//! What comes next for an order: one request, or one thing to do at home.
//!
//! Whether a request may be sent depends on what is known of an earlier sending. The intent is committed
//! first; whoever has just committed it *knows* that nothing was sent yet. Whoever loads it from the
//! database does not, and looks before anything is sent again.

use std::time::Duration;

use crate::authorization::Authorization;
use crate::order::{Order, Stage};
use crate::profile::CaProfile;
use crate::time::Timestamp;

/// How the order came into these hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    /// Its last intent was committed by this worker under this lease, and not acted upon.
    Certain,
    /// It was read from the database: what it intends may have been sent by somebody else.
    Loaded,
}

/// How long a preflight may be trusted before it is made again.
const PROVEN_FOR: Duration = Duration::from_mins(10);

/// One step. Indexes point into the order's authorizations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Check every name at home; costs the CA nothing.
    Prove,
    /// Ask the gate for budget.
    Admit,
    /// new-order; the reservation is committed.
    Place,
    /// new-order may have been executed: look for the order in the account's list.
    Find,
    /// new-order may have been executed: reserve once more, then ask for the same names again.
    AskAgain,
    ReadAuthorizations(Vec<usize>),
    /// See whether the responses are served where the CA would look.
    CheckServed(Vec<usize>),
    /// Post the challenges; the intents are committed.
    Submit(Vec<usize>),
    ReadOrder,
    /// Make the key and the request.
    PrepareRequest,
    /// finalize; key and request are committed.
    Finalize,
    Download,
    /// Deactivate; the intents are committed.
    Deactivate(Vec<usize>),
    /// Nothing can be learnt from the CA before this instant.
    Wait(Timestamp),
    /// The outcome can never be learnt: give the attempt up and leave its units held.
    GiveUp,
    /// At rest.
    Rest,
}

impl Step {
    /// The words for all kinds of steps.
    pub const NAMES: [&str; 16] = [
        "prove",
        "admit",
        "place",
        "find",
        "ask_again",
        "read_authorizations",
        "check_served",
        "submit",
        "read_order",
        "prepare_request",
        "finalize",
        "download",
        "deactivate",
        "give_up",
        "wait",
        "rest",
    ];

    /// The spelling in metrics and spans.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Prove => "prove",
            Self::Admit => "admit",
            Self::Place => "place",
            Self::Find => "find",
            Self::AskAgain => "ask_again",
            Self::ReadAuthorizations(_) => "read_authorizations",
            Self::CheckServed(_) => "check_served",
            Self::Submit(_) => "submit",
            Self::ReadOrder => "read_order",
            Self::PrepareRequest => "prepare_request",
            Self::Finalize => "finalize",
            Self::Download => "download",
            Self::Deactivate(_) => "deactivate",
            Self::Wait(_) => "wait",
            Self::GiveUp => "give_up",
            Self::Rest => "rest",
        }
    }
}

impl Order {
    /// The next step, decided from what is written alone.
    pub fn next_step(&self, knowledge: Knowledge, profile: &CaProfile, now: Timestamp) -> Step {
        let certain = knowledge == Knowledge::Certain;
        match &self.stage {
            Stage::Accepted { proven_at: Some(at) } if at.until(now) < PROVEN_FOR => Step::Admit,
            Stage::Accepted { .. } | Stage::Parked { .. } => Step::Prove,
            Stage::Admitted { .. } if certain => Step::Place,
            // Whatever a lost request created has expired by now.
            Stage::Admitted { reservation } if reservation.hold_until <= now => Step::GiveUp,
            Stage::Admitted { reservation } => {
                let quiet_until = reservation.admitted_at.after(profile.quiet());
                if now < quiet_until {
                    Step::Wait(quiet_until)
                } else if profile.lists_orders {
                    Step::Find
                } else if profile.reuses_pending_order && reservation.asks < profile.asks_max {
                    Step::AskAgain
                } else {
                    Step::GiveUp
                }
            }
            Stage::Placed { .. } => Step::ReadAuthorizations(self.indexes(Authorization::holds_budget)),
            Stage::Presented { .. } => Step::CheckServed(self.indexes(Authorization::is_open)),
            Stage::Submitted { lost: Some(_), .. } => {
                Step::ReadAuthorizations(self.indexes(Authorization::holds_budget))
            }
            Stage::Submitted { .. } => {
                let doubtful = self.indexes(Authorization::submission_in_doubt);
                match (doubtful.is_empty(), certain) {
                    (true, _) => Step::ReadOrder,
                    (false, true) => Step::Submit(doubtful),
                    (false, false) => Step::ReadAuthorizations(doubtful),
                }
            }
            Stage::Ready { .. } => Step::PrepareRequest,
            Stage::Finalizing { certificate_url: Some(_), .. } => Step::Download,
            Stage::Finalizing { .. } if certain => Step::Finalize,
            Stage::Finalizing { .. } => Step::ReadOrder,
            Stage::Issued { .. } => Step::Rest,
            Stage::Failed { .. } | Stage::Cancelled { .. } => self.settling_step(certain),
        }
    }

    /// The order will not go on: bring each of its authorizations to an end that the CA confirms.
    fn settling_step(&self, certain: bool) -> Step {
        let deactivating = self.indexes(Authorization::is_deactivating);
        let submitting = self.indexes(Authorization::submission_in_doubt);
        let open = self.indexes(Authorization::is_open);
        // The submissions first: a deactivation may be sent again at any time, a submission only by whoever
        // knows that it never left.
        if certain && !submitting.is_empty() {
            return Step::Submit(submitting);
        }
        if certain && !deactivating.is_empty() {
            return Step::Deactivate(deactivating);
        }
        // Decided upon what the CA says now: it may have ended meanwhile, or somebody else may have submitted it.
        if !open.is_empty() {
            let read = open.iter().all(|&index| self.authorizations[index].identifier.is_some());
            return if certain && read { Step::CheckServed(open) } else { Step::ReadAuthorizations(open) };
        }
        let validating = self.indexes(Authorization::holds_budget);
        if validating.is_empty() { Step::Rest } else { Step::ReadAuthorizations(validating) }
    }

    fn indexes(&self, wanted: impl Fn(&Authorization) -> bool) -> Vec<usize> {
        self.authorizations
            .iter()
            .enumerate()
            .filter(|(_, authorization)| wanted(authorization))
            .map(|(index, _)| index)
            .collect()
    }
}
