//! `apply`: the order after an answer. Pure, total, and the only place where a stage changes.
//!
//! `placing` takes an order to the CA, `validating` proves its names there, `ending` collects the
//! certificate or brings the order and its authorizations to their end.

mod ending;
mod placing;
mod validating;

use std::time::Duration;

use crate::answer::{Answer, Applied, Context, Trouble, Wake};
use crate::authorization::AuthorizationStatus;
use crate::fault::{FailureClass, Fault, Refusal};
use crate::order::{Order, Stage};
use crate::problem::Problem;
use crate::step::Knowledge;
use crate::time::Timestamp;

/// The service handed over an answer that no step of this stage asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {stage} has no use for the answer {answer}")]
pub struct UnexpectedAnswer {
    pub stage: &'static str,
    pub answer: Box<str>,
}

impl UnexpectedAnswer {
    fn new(stage: &Stage, answer: &Answer) -> Self {
        Self { stage: stage.as_str(), answer: format!("{answer:?}").chars().take(200).collect() }
    }
}

/// An order that may be at the CA without our knowing cannot be cancelled before that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    #[error("the answer to new-order is awaited: cancel again once the order is placed")]
    InDoubt,
    #[error("finalize may have been sent: the certificate can no longer be stopped")]
    Finalizing,
    #[error("the order has already ended")]
    Ended,
}

/// Where the CA refuses the account: the operator has to act.
const STOPPED_WAIT: Duration = Duration::from_mins(5);
/// The longest wait after a request that brought nothing, where the CA names none and somebody waits for
/// the certificate.
const TROUBLE_WAIT_MAX: Duration = Duration::from_mins(1);
/// After this many looks the CA is stuck or down rather than slow. An order may live a week, and ten thousand
/// of them may wait: they come back no oftener than [`PATIENT_WAIT_MAX`].
const STUCK_LOOKS: u32 = 30;
/// The longest wait where the CA is stuck, or where only the settling is left.
const PATIENT_WAIT_MAX: Duration = Duration::from_mins(10);
/// A `Retry-After` above this is a mistake: the CA is asked again before the order is forgotten.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

impl Order {
    /// The order after `answer`.
    ///
    /// # Errors
    /// The answer does not belong to a step this order asks for: a fault of the caller. At rest it asks for none.
    pub fn apply(self, answer: Answer, context: &Context<'_>) -> Result<Applied, UnexpectedAnswer> {
        if self.is_at_rest() {
            return Err(UnexpectedAnswer::new(&self.stage, &answer));
        }
        match (self.stage.clone(), answer) {
            (Stage::Accepted { .. } | Stage::Parked { .. }, Answer::Proofs(proofs)) => {
                Ok(self.proven(proofs, context))
            }
            (Stage::Accepted { .. } | Stage::Admitted { .. }, Answer::Admission(admission)) => {
                Ok(self.admission(&admission))
            }
            (Stage::Admitted { reservation }, Answer::Placed(seen)) => {
                Ok(self.placed(reservation, seen, context))
            }
            (Stage::Admitted { reservation }, Answer::PlacedLate(seen)) => {
                Ok(self.placed_late(reservation, seen, context))
            }
            (Stage::Admitted { .. }, Answer::NotFound) => Ok(self.back_to_the_gate(Wake::Now)),
            (Stage::Admitted { .. }, Answer::GivenUp) => Ok(self.given_up(context)),
            (Stage::Admitted { reservation }, Answer::Trouble(trouble)) => {
                Ok(self.not_placed(reservation, trouble, context))
            }
            (
                Stage::Placed { .. }
                | Stage::Submitted { .. }
                | Stage::Failed { .. }
                | Stage::Cancelled { .. },
                Answer::Authorizations(read),
            ) => Ok(self.authorizations_read(read, context)),
            (Stage::Presented { reservation, ca }, Answer::Served(served)) => {
                Ok(self.served(reservation, ca, &served, unserved(), context))
            }
            (Stage::Presented { reservation, ca }, Answer::Unserved { seen, fault }) => {
                Ok(self.served(reservation, ca, &seen, fault, context))
            }
            (Stage::Presented { .. }, Answer::Awaited { until }) => Ok(self.awaited(until, context)),
            (Stage::Failed { .. } | Stage::Cancelled { .. }, Answer::Served(served)) => {
                Ok(self.settled(&served, context))
            }
            (
                Stage::Submitted { .. } | Stage::Failed { .. } | Stage::Cancelled { .. },
                Answer::Submitted(answers),
            ) => Ok(self.submitted(answers, context)),
            (Stage::Failed { .. } | Stage::Cancelled { .. }, Answer::Deactivated(answers)) => {
                Ok(self.deactivated(answers, context))
            }
            (Stage::Submitted { reservation, ca, .. }, Answer::Order(seen)) => {
                Ok(self.validated(reservation, ca, &seen, context))
            }
            (Stage::Ready { reservation, ca }, Answer::Request(request)) => {
                let stage = Stage::Finalizing { reservation, ca, request, certificate_url: None };
                Ok(self.moved(stage).commit(Knowledge::Certain))
            }
            // Every authorization is valid: nothing is left to settle, and nothing to try again.
            (Stage::Ready { .. }, Answer::NoRequest(fault)) => Ok(self.failed(fault, false, context)),
            (Stage::Finalizing { reservation, ca, request, .. }, Answer::Order(seen)) => {
                Ok(self.finalized(reservation, ca, request, seen, context))
            }
            (Stage::Finalizing { reservation, ca, request, .. }, Answer::Chain) => {
                let mut issued = self.moved(Stage::Issued { reservation, ca, request, at: context.now });
                // A certificate exists only over valid authorizations.
                issued.order.end_all(AuthorizationStatus::Valid, context.now);
                Ok(issued.settle_next())
            }
            (Stage::Finalizing { .. }, Answer::BadChain(fault)) => Ok(self.failed(fault, true, context)),
            (
                Stage::Placed { .. }
                | Stage::Presented { .. }
                | Stage::Submitted { .. }
                | Stage::Ready { .. }
                | Stage::Finalizing { .. }
                | Stage::Failed { .. }
                | Stage::Cancelled { .. },
                Answer::Trouble(trouble),
            ) => Ok(self.troubled(&trouble, context)),
            (stage, answer) => Err(UnexpectedAnswer::new(&stage, &answer)),
        }
    }

    /// Ends the order because the tenant asks; its authorizations are settled next.
    ///
    /// # Errors
    /// What the CA has of it is not known, or it is too late.
    pub fn cancel(self, now: Timestamp) -> Result<Applied, CancelError> {
        match &self.stage {
            Stage::Admitted { .. } => return Err(CancelError::InDoubt),
            Stage::Finalizing { .. } => return Err(CancelError::Finalizing),
            stage if stage.is_ended() => return Err(CancelError::Ended),
            _ => {}
        }
        let reservation = self.stage.reservation().copied();
        let ca = self.stage.ca().cloned();
        Ok(self.moved(Stage::Cancelled { reservation, ca, at: now }).settle_next())
    }

    fn end_all(&mut self, status: AuthorizationStatus, now: Timestamp) {
        for authorization in &mut self.authorizations {
            authorization.end(status, now);
        }
    }

    /// To another stage; looks start anew.
    fn moved(mut self, stage: Stage) -> Applied {
        self.stage = stage;
        self.looks = 0;
        self.keep(Wake::Now).commit(Knowledge::Loaded)
    }

    /// The same stage.
    fn keep(self, wake: Wake) -> Applied {
        Applied {
            order: self,
            wake,
            knowledge: Knowledge::Loaded,
            must_commit: false,
            consequences: Vec::new(),
        }
    }

    /// A request about the CA's object brought nothing: the next one leaves after this.
    fn trouble_wait(&self, trouble: &Trouble) -> Duration {
        let patient = self.stage.is_ended() || self.looks >= STUCK_LOOKS;
        let most = if patient { PATIENT_WAIT_MAX } else { TROUBLE_WAIT_MAX };
        let doubling = Duration::from_secs(1_u64 << self.looks.min(16)).min(most);
        match trouble {
            Trouble::NotSent { .. } | Trouble::Lost { .. } => doubling,
            Trouble::Refused(problem) => match Refusal::of(problem) {
                Refusal::Unknown { wait } => wait,
                _ => doubling,
            },
        }
    }

    /// Whether a `not found` about something that the CA showed us at `since` is the truth, and not a
    /// replica that has not heard of it yet.
    fn surely_gone(since: Timestamp, context: &Context<'_>) -> bool {
        since.after(context.profile.quiet()) <= context.now
    }

    fn look_again(mut self, retry_after: Option<Duration>, context: &Context<'_>) -> Applied {
        let polled = context.profile.poll_wait(self.looks);
        let wait = match retry_after {
            // Zero means "now" to a CA, and a loop without a pause to us.
            Some(told) => told.clamp(context.profile.poll_wait(0), RETRY_AFTER_MAX),
            None if self.looks < STUCK_LOOKS => polled,
            None => {
                let doublings = (self.looks - STUCK_LOOKS).min(16);
                polled.saturating_mul(1 << doublings).min(PATIENT_WAIT_MAX.max(polled))
            }
        };
        self.looks = self.looks.saturating_add(1);
        self.keep(Wake::At(context.now.after(wait)))
    }
}

impl Applied {
    fn commit(mut self, knowledge: Knowledge) -> Self {
        self.knowledge = knowledge;
        self.must_commit = true;
        self
    }

    /// Rests if nothing is left to settle.
    fn settle_next(mut self) -> Self {
        self.must_commit = true;
        if self.order.is_at_rest() {
            self.wake = Wake::Never;
        }
        self
    }
}

/// Where nothing more is known of a response than that it is not there.
fn unserved() -> Fault {
    Fault::new(FailureClass::PresentationFailed, "the response is not served where the CA would look")
}

/// Why the CA says an order is invalid; most CAs say nothing.
fn order_fault(problem: Option<&Problem>) -> Fault {
    match problem {
        Some(problem) => Fault::new(FailureClass::of_validation(problem), problem.detail.clone()),
        None => Fault::new(FailureClass::OrderExpired, "the order became invalid at the CA"),
    }
}
