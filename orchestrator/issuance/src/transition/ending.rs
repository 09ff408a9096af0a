//! The end of an order: its certificate, or a failure; and the end of each of its authorizations.

use crate::answer::{Applied, CaOrderStatus, Consequence, Context, OrderSeen, Trouble, Wake};
use crate::authorization::{Authorization, AuthorizationStatus};
use crate::fault::{FailureClass, Fault, Refusal};
use crate::lesson::Lesson;
use crate::order::{CaOrder, CertificateRequest, Order, Reservation, Stage};
use crate::settle::{Circumstances, Settlement, settle};
use crate::step::Knowledge;
use crate::time::Timestamp;

use super::validating::charged;
use super::{STOPPED_WAIT, order_fault};

impl Order {
    pub(super) fn finalized(
        mut self,
        reservation: Reservation,
        ca: CaOrder,
        request: CertificateRequest,
        seen: OrderSeen,
        context: &Context<'_>,
    ) -> Applied {
        match (seen.status, seen.certificate_url) {
            (CaOrderStatus::Valid, Some(url)) => {
                let stage = Stage::Finalizing { reservation, ca, request, certificate_url: Some(url) };
                let mut valid = self.moved(stage);
                valid.must_commit = false;
                valid
            }
            // Read after a lost answer: the CA never got it, and key and request are committed.
            // Sent again at once, but only every other time: a CA that takes finalize and goes on saying
            // "ready" is not asked without a pause.
            (CaOrderStatus::Ready, _) if self.looks.is_multiple_of(2) => {
                self.looks = self.looks.saturating_add(1);
                let mut again = self.keep(Wake::Now);
                again.knowledge = Knowledge::Certain;
                again
            }
            (CaOrderStatus::Invalid, _) => self.failed(order_fault(seen.problem.as_ref()), true, context),
            // Some CAs never bring such an order to an end.
            _ if ca.expires_at.after(context.profile.quiet()) <= context.now => {
                let fault = Fault::new(FailureClass::OrderExpired, "the order outlived its time at the CA");
                self.failed(fault, true, context)
            }
            (CaOrderStatus::Ready, _) => self.look_again(None, context),
            (CaOrderStatus::Processing | CaOrderStatus::Pending | CaOrderStatus::Valid, _) => {
                self.look_again(seen.retry_after, context)
            }
        }
    }

    /// Decides what becomes of the open authorizations of an ended order.
    pub(super) fn settled(mut self, served: &[(usize, Circumstances)], context: &Context<'_>) -> Applied {
        let now = context.now;
        let (mut acts, mut earliest) = (false, None::<Timestamp>);
        let mut charged = Vec::new();
        for (index, circumstances) in served {
            let Some(authorization) = self.authorizations.get_mut(*index) else { continue };
            if !authorization.is_undecided() {
                continue;
            }
            let mut circumstances = *circumstances;
            if charged.contains(&authorization.identifier) {
                // A wildcard's and its name's are counted together.
                circumstances.failed_at = Some(now);
            }
            match settle(authorization, circumstances, None, context.profile, now) {
                Settlement::Submit => {
                    authorization.submit_intended_at = Some(now);
                    acts = true;
                }
                Settlement::Deactivate => {
                    authorization.deactivate_intended_at = Some(now);
                    charged.push(authorization.identifier.clone());
                    acts = true;
                }
                Settlement::Wait { until } | Settlement::Resume { at: until } => {
                    authorization.settle_at = until;
                    earliest = Some(earliest.map_or(until, |one| one.min(until)));
                }
            }
        }
        match (acts, earliest) {
            (true, _) => self.keep(Wake::Now).commit(Knowledge::Certain),
            (false, Some(until)) => self.keep(Wake::At(until)),
            (false, None) => self.look_again(None, context).settle_next(),
        }
    }

    pub(super) fn deactivated(
        mut self,
        answers: Vec<(usize, Result<AuthorizationStatus, Trouble>)>,
        context: &Context<'_>,
    ) -> Applied {
        let (mut trouble, mut failures) = (None, Vec::new());
        for (index, outcome) in answers {
            let Some(authorization) = self.authorizations.get_mut(index) else { continue };
            match outcome {
                Ok(status) => {
                    let was_final = authorization.final_at.is_some();
                    authorization.end(status, context.now);
                    failures.extend(charged(authorization, context).filter(|_| !was_final));
                }
                Err(other) if authorization.is_lost(&other, context) => {
                    authorization.end(AuthorizationStatus::Expired, context.now);
                }
                // Perhaps it is being validated: reading it says so.
                Err(Trouble::Refused(problem)) if Refusal::of(&problem) == Refusal::Reread => {}
                Err(other) => trouble = Some(other),
            }
        }
        let untouched = self.authorizations.iter().any(Authorization::is_deactivating);
        let applied = match trouble {
            Some(trouble) => self.troubled(&trouble, context),
            // Acknowledged, and pending still; or not to be had at the moment.
            None if untouched => self.look_again(None, context),
            None => self.keep(Wake::Now),
        };
        applied.settle_next()
    }

    /// The authorizations of an ended order, read.
    pub(super) fn settling_read(self, context: &Context<'_>) -> Applied {
        let any = |wanted: fn(&Authorization) -> bool| self.authorizations.iter().any(wanted);
        if any(Authorization::submission_in_doubt) {
            return self.resubmit(context);
        }
        if any(Authorization::is_deactivating) {
            // Read, and still pending: the deactivation never arrived. Sending it again is harmless.
            return self.keep(Wake::Now).commit(Knowledge::Certain);
        }
        if any(Authorization::is_open) {
            return self.keep(Wake::Now).commit(Knowledge::Certain);
        }
        if any(Authorization::holds_budget) {
            return self.look_again(None, context);
        }
        self.keep(Wake::Now).settle_next()
    }

    /// A request that brought nothing, the order being at the CA: look again later.
    pub(super) fn troubled(mut self, trouble: &Trouble, context: &Context<'_>) -> Applied {
        let now = context.now;
        if let Trouble::Refused(problem) = trouble {
            match Refusal::of(problem) {
                Refusal::Gone if !self.stage.is_ended() && self.was_shown_long_ago(context) => {
                    let fault = Fault::new(FailureClass::OrderExpired, problem.detail.clone());
                    return self.failed(fault, true, context);
                }
                Refusal::Terminal { class } if self.stage.ca().is_some() && !self.stage.is_ended() => {
                    return self.failed(Fault::new(class, problem.detail.clone()), true, context);
                }
                Refusal::AccountStopped => {
                    let mut kept = self.keep(Wake::At(now.after(STOPPED_WAIT)));
                    kept.consequences
                        .push(Consequence::AccountStopped { reason: problem.to_string().into() });
                    return kept;
                }
                Refusal::Limited => {
                    let lesson = Lesson::of(problem, now);
                    self.looks = self.looks.saturating_add(1);
                    let mut kept = self.keep(Wake::At(lesson.until));
                    kept.consequences.push(Consequence::Limited { lesson });
                    return kept;
                }
                Refusal::Busy { wait } => {
                    let until = now.after(wait);
                    self.looks = self.looks.saturating_add(1);
                    let mut kept = self.keep(Wake::At(until));
                    kept.consequences.push(Consequence::Busy { until });
                    return kept;
                }
                _ => {}
            }
        }
        let wait = self.trouble_wait(trouble);
        self.looks = self.looks.saturating_add(1);
        self.keep(Wake::At(now.after(wait)))
    }

    /// The CA's order was there, and long enough ago for every replica of the CA to know it.
    fn was_shown_long_ago(&self, context: &Context<'_>) -> bool {
        let reservation = self.stage.reservation().filter(|_| self.stage.ca().is_some());
        reservation.is_some_and(|reservation| Self::surely_gone(reservation.admitted_at, context))
    }

    /// Ends the attempt, asks for another one where one makes sense, and goes on to settle what is open.
    pub(super) fn failed(self, fault: Fault, may_retry: bool, context: &Context<'_>) -> Applied {
        let reservation = self.stage.reservation().copied();
        let ca = self.stage.ca().cloned();
        let at = context.now;
        let may_retry = may_retry && fault.class != FailureClass::RejectedIdentifier;
        let mut failed = self.moved(Stage::Failed { reservation, ca, fault: fault.clone(), at });
        if may_retry {
            failed.consequences.push(Consequence::Retry { fault });
        }
        failed.settle_next()
    }
}
