//! From placed to ready: authorizations read, responses presented and seen, challenges submitted.

use std::time::Duration;

use crate::answer::{Applied, CaOrderStatus, Consequence, Context, OrderSeen, Trouble, Wake};
use crate::authorization::{Authorization, AuthorizationSeen, AuthorizationStatus};
use crate::backoff;
use crate::fault::{FailureClass, Fault, Refusal};
use crate::order::{CaOrder, Order, Reservation, Stage};
use crate::settle::{Circumstances, Settlement, settle};
use crate::step::Knowledge;
use crate::time::Timestamp;

use super::order_fault;

impl Order {
    pub(super) fn authorizations_read(
        mut self,
        read: Vec<(usize, Result<AuthorizationSeen, Trouble>)>,
        context: &Context<'_>,
    ) -> Applied {
        let now = context.now;
        let (mut trouble, mut failures) = (None, Vec::new());
        for (index, outcome) in read {
            let Some(authorization) = self.authorizations.get_mut(index) else { continue };
            let was_final = authorization.final_at.is_some();
            match outcome {
                Ok(seen) => authorization.observe(seen, now),
                Err(other) => {
                    if authorization.is_lost(&other, context) {
                        authorization.end(AuthorizationStatus::Expired, now);
                    } else {
                        trouble = Some(other);
                    }
                }
            }
            if !was_final && authorization.status == AuthorizationStatus::Invalid {
                failures.extend(name_failed(authorization));
            }
            if !was_final {
                failures.extend(charged(authorization, context));
            }
        }
        let mut applied = match (trouble, self.first_bad()) {
            // What is decided is decided, whatever could not be read beside it.
            (_, Some(bad)) if !self.stage.is_ended() => {
                let fault = bad.fault.clone().unwrap_or_else(|| ended_at_the_ca(bad));
                self.failed(fault, true, context)
            }
            (Some(trouble), _) => self.troubled(&trouble, context),
            (None, _) if self.stage.is_ended() => self.settling_read(context),
            (None, _) => self.judged(context),
        };
        // What was learnt of each one is kept, whatever became of the others.
        applied.must_commit = true;
        applied.consequences.splice(0..0, failures);
        applied
    }

    /// An authorization with which the order can no longer become ready.
    fn first_bad(&self) -> Option<&Authorization> {
        self.authorizations
            .iter()
            .find(|one| !matches!(one.status, AuthorizationStatus::Pending | AuthorizationStatus::Valid))
    }

    /// All of them read, and none is bad: the order is ready, lost all the same, or goes on.
    fn judged(self, context: &Context<'_>) -> Applied {
        let all_valid = self.authorizations.iter().all(|one| one.status == AuthorizationStatus::Valid);
        match self.stage.clone() {
            Stage::Placed { reservation, ca } if all_valid => {
                self.moved(Stage::Ready { reservation, ca }).commit(Knowledge::Certain)
            }
            Stage::Placed { reservation, ca } => self.present(reservation, ca, context),
            // The CA said the order is lost, and none of its authorizations says why.
            Stage::Submitted { lost: Some(fault), .. } => self.failed(fault, true, context),
            _ => self.resubmit(context),
        }
    }

    fn present(self, reservation: Reservation, ca: CaOrder, context: &Context<'_>) -> Applied {
        let unanswerable = self.authorizations.iter().find(|one| one.is_open() && one.challenge.is_none());
        if let Some(authorization) = unanswerable {
            let fault = Fault::new(
                FailureClass::PresentationFailed,
                "the CA offers no challenge of a kind that can be answered",
            )
            .of(authorization.identifier.clone());
            return self.failed(fault, true, context);
        }
        self.moved(Stage::Presented { reservation, ca }).commit(Knowledge::Certain)
    }

    /// Submissions whose acknowledgement was lost, read and still pending: posted again once the CA would
    /// show it if the first post had arrived.
    pub(super) fn resubmit(mut self, context: &Context<'_>) -> Applied {
        let now = context.now;
        let patience = Duration::from_secs(context.profile.resubmit_seconds);
        let due = self
            .authorizations
            .iter()
            .filter(|one| one.submission_in_doubt())
            .filter_map(|one| one.submit_intended_at)
            .map(|intended| intended.after(patience))
            .max();
        match due {
            None => self.keep(Wake::Now),
            Some(due) if now < due => self.keep(Wake::At(due)),
            Some(_) => {
                for authorization in &mut self.authorizations {
                    if authorization.submission_in_doubt() {
                        authorization.submit_intended_at = Some(now);
                    }
                }
                self.keep(Wake::Now).commit(Knowledge::Certain)
            }
        }
    }

    pub(super) fn served(
        mut self,
        reservation: Reservation,
        ca: CaOrder,
        served: &[(usize, Circumstances)],
        fault: Fault,
        context: &Context<'_>,
    ) -> Applied {
        let now = context.now;
        if let Some((index, _)) = served.iter().find(|(_, circumstances)| !circumstances.served) {
            let hostname = self.authorizations.get(*index).and_then(|one| one.identifier.clone());
            self.looks = self.looks.saturating_add(1);
            let next_try = now.after(backoff::rest(self.looks, context.jitter));
            if self.resumes(served, next_try, context) {
                return self.keep(Wake::At(next_try));
            }
            return self.failed(fault.of(hostname), true, context);
        }
        for (index, _) in served {
            if let Some(authorization) = self.authorizations.get_mut(*index) {
                authorization.submit_intended_at = Some(now);
            }
        }
        self.moved(Stage::Submitted { reservation, ca, lost: None }).commit(Knowledge::Certain)
    }

    /// Responses on their way are waited for while there is time to settle what they are for. This is no try that
    /// failed: it neither counts as one nor rests like one.
    pub(super) fn awaited(self, until: Timestamp, context: &Context<'_>) -> Applied {
        let until = until.max(context.now.after(context.profile.poll_wait(0)));
        if self.authorizations.iter().filter(|one| one.is_open()).all(|one| until < one.settle_at) {
            return self.keep(Wake::At(until));
        }
        let fault = Fault::new(
            FailureClass::PropagationTimeout,
            "the response did not get to where the CA would look in the time that its authorization may stay open",
        );
        self.failed(fault, true, context)
    }

    /// Whether every open authorization may be kept until the next try: with one of them the order ends.
    fn resumes(&self, served: &[(usize, Circumstances)], next_try: Timestamp, context: &Context<'_>) -> bool {
        served.iter().all(|(index, circumstances)| {
            let open = self.authorizations.get(*index).filter(|one| one.is_open());
            let decide = |one| settle(one, *circumstances, Some(next_try), context.profile, context.now);
            open.is_none_or(|one| matches!(decide(one), Settlement::Resume { .. }))
        })
    }

    pub(super) fn submitted(
        mut self,
        answers: Vec<(usize, Result<(), Trouble>)>,
        context: &Context<'_>,
    ) -> Applied {
        let now = context.now;
        let ended = self.stage.is_ended();
        let (mut trouble, mut refused) = (None, None::<Fault>);
        for (index, outcome) in answers {
            let Some(authorization) = self.authorizations.get_mut(index) else { continue };
            match outcome {
                Ok(()) => authorization.taken(now),
                Err(Trouble::Refused(problem)) => match Refusal::of(&problem) {
                    // 409: it is being validated, so it was submitted.
                    Refusal::Reread => authorization.taken(now),
                    // The challenge is gone because its authorization has ended: reading it says how.
                    Refusal::Gone => {}
                    // The CA wants no response: it has to be ended the other way.
                    Refusal::Terminal { class } => {
                        let fault = Fault::new(class, problem.detail).of(authorization.identifier.clone());
                        authorization.submit_intended_at = None;
                        authorization.fault = Some(fault.clone());
                        refused.get_or_insert(fault);
                    }
                    _ => trouble = Some(Trouble::Refused(problem)),
                },
                Err(other) => trouble = Some(other),
            }
        }
        match (refused, trouble) {
            (Some(_), _) if ended => self.keep(Wake::Now).commit(Knowledge::Loaded),
            // Perhaps because the authorization has ended: reading it says how.
            (Some(fault), _) => {
                if let Stage::Submitted { lost, .. } = &mut self.stage {
                    *lost = Some(fault);
                }
                self.keep(Wake::Now)
            }
            (None, Some(trouble)) => self.troubled(&trouble, context),
            (None, None) => {
                self.looks = 0;
                self.keep(Wake::At(now.after(context.profile.poll_wait(0))))
            }
        }
    }

    pub(super) fn validated(
        mut self,
        reservation: Reservation,
        ca: CaOrder,
        seen: &OrderSeen,
        context: &Context<'_>,
    ) -> Applied {
        match seen.status {
            CaOrderStatus::Ready | CaOrderStatus::Processing | CaOrderStatus::Valid => {
                let mut ready = self.moved(Stage::Ready { reservation, ca });
                ready.order.end_all(AuthorizationStatus::Valid, context.now);
                // Key and request come first anyway, and are committed with it.
                ready.must_commit = false;
                ready
            }
            CaOrderStatus::Pending if ca.expires_at <= context.now => {
                let fault = Fault::new(FailureClass::OrderExpired, "the order outlived its time at the CA");
                self.failed(fault, true, context)
            }
            CaOrderStatus::Pending => self.look_again(seen.retry_after, context),
            CaOrderStatus::Invalid => {
                // Which name failed, and why, stands in the authorizations.
                let lost = Some(order_fault(seen.problem.as_ref()));
                self.stage = Stage::Submitted { reservation, ca, lost };
                self.keep(Wake::Now)
            }
        }
    }
}

impl Authorization {
    /// A request about it brought `trouble`: whether that says, with the time, that it is no more.
    pub(crate) fn is_lost(&self, trouble: &Trouble, context: &Context<'_>) -> bool {
        // Nothing can be pending for longer, whatever the CA says or does not say.
        if self.expires_at.after(context.profile.quiet()) <= context.now {
            return true;
        }
        let gone = matches!(trouble, Trouble::Refused(problem) if Refusal::of(problem) == Refusal::Gone);
        gone && (self.expires_at <= context.now || Order::surely_gone(self.opened_at, context))
    }
}

/// What the CA counts against the name of an authorization that has just ended.
pub(super) fn charged(authorization: &Authorization, context: &Context<'_>) -> Option<Consequence> {
    let counts = match authorization.status {
        AuthorizationStatus::Invalid => true,
        AuthorizationStatus::Deactivated => {
            context.profile.charges_deactivation && authorization.deactivate_intended_at.is_some()
        }
        _ => false,
    };
    let hostname = authorization.ordered_name().filter(|_| counts)?;
    Some(Consequence::Charged { hostname, authorization: authorization.url.clone() })
}

fn name_failed(authorization: &Authorization) -> Option<Consequence> {
    let hostname = authorization.identifier.clone()?;
    let fault = authorization.fault.clone().unwrap_or_else(|| ended_at_the_ca(authorization));
    Some(Consequence::NameFailed { hostname, fault, at_ca: true })
}

fn ended_at_the_ca(authorization: &Authorization) -> Fault {
    let detail = format!("an authorization of the order is {} at the CA", authorization.status.as_str());
    Fault::new(FailureClass::OrderExpired, detail).of(authorization.identifier.clone())
}
