//! From wanted to placed: proof at home, the gate, new-order and its lost answers.

use std::time::Duration;

use crate::answer::{
    Admission, Applied, CaOrderStatus, Consequence, Context, OrderSeen, Proof, Trouble, Wake,
};
use crate::authorization::{Authorization, AuthorizationStatus};
use crate::backoff;
use crate::fault::{FailureClass, Fault, Refusal};
use crate::identifier::{Hostname, Identifiers};
use crate::lesson::{self, Lesson};
use crate::order::{CaOrder, Order, Reservation, Stage};
use crate::problem::{Problem, ProblemKind};
use crate::settle;
use crate::step::Knowledge;
use crate::time::Timestamp;

use super::{STOPPED_WAIT, order_fault};

/// Where the check of a name could not be made.
const UNKNOWN_WAIT: Duration = Duration::from_secs(30);
/// Where nothing left the machine.
const NOT_SENT_WAIT: Duration = Duration::from_secs(5);

impl Order {
    pub(super) fn proven(mut self, proofs: Vec<(Hostname, Proof)>, context: &Context<'_>) -> Applied {
        let now = context.now;
        if proofs.iter().any(|(_, proof)| *proof == Proof::Unknown) {
            return self.keep(Wake::At(now.after(UNKNOWN_WAIT)));
        }
        let (mut ready, mut failed) = (Vec::new(), Vec::new());
        for (hostname, proof) in proofs {
            match proof {
                Proof::NotReady(fault) => failed.push((hostname.clone(), fault.of(Some(hostname)))),
                Proof::Ready | Proof::Unknown => ready.push(hostname),
            }
        }
        let Some((_, first)) = failed.first().cloned() else {
            let mut proven = self.moved(Stage::Accepted { proven_at: Some(now) });
            proven.must_commit = false;
            return proven;
        };
        let mut consequences: Vec<_> = failed
            .into_iter()
            .map(|(hostname, fault)| Consequence::NameFailed { hostname, fault, at_ca: false })
            .collect();
        consequences.extend(self.part_off(Identifiers::new(ready).ok()));
        self.failures = self.failures.saturating_add(1);
        let rest = backoff::rest(self.failures, context.jitter);
        let mut parked = self.moved(Stage::Parked { fault: first });
        parked.wake = Wake::At(now.after(rest));
        parked.consequences = consequences;
        parked
    }

    pub(super) fn admission(self, admission: &Admission) -> Applied {
        match admission {
            Admission::Granted(reservation) => {
                let mut admitted = self.moved(Stage::Admitted { reservation: *reservation });
                // The gate has committed it, together with everything it took.
                admitted.must_commit = false;
                admitted.knowledge = Knowledge::Certain;
                if reservation.asks > 1 {
                    // The lost order is the replacement already: named again, it would be refused.
                    admitted.order.replace_nothing();
                }
                admitted
            }
            Admission::Denied { until } => self.keep(Wake::At(*until)),
        }
    }

    pub(super) fn placed(self, reservation: Reservation, seen: OrderSeen, context: &Context<'_>) -> Applied {
        let expires_at = Self::expiry_of(&seen, context);
        // What came back leaves the units of one ask. Asked again, it is either an order of an earlier ask, and
        // the latest one has made nothing, or a new one beside those, and what they may have made stays
        // counted for as long as it can be pending. Their ages tell them apart: asks are a quiet period apart.
        let order_lifetime = Duration::from_secs(context.profile.order_seconds);
        let is_older =
            expires_at.after(context.profile.quiet() / 2) <= reservation.admitted_at.after(order_lifetime);
        let resolved = match reservation.asks {
            0 | 1 => reservation.units,
            _ if is_older => self.units().saturating_mul(2),
            _ => self.units(),
        };
        self.placed_with(resolved, reservation, seen, context)
    }

    /// The answer of one ask, whichever: it says nothing of what the others have made.
    pub(super) fn placed_late(
        self,
        reservation: Reservation,
        seen: OrderSeen,
        context: &Context<'_>,
    ) -> Applied {
        let resolved = self.units();
        self.placed_with(resolved, reservation, seen, context)
    }

    fn expiry_of(seen: &OrderSeen, context: &Context<'_>) -> Timestamp {
        let order_lifetime = Duration::from_secs(context.profile.order_seconds);
        seen.expires_at.unwrap_or_else(|| context.now.after(order_lifetime))
    }

    /// The CA has it: of the units held, those that are `resolved` become its authorizations.
    fn placed_with(
        mut self,
        resolved: u32,
        reservation: Reservation,
        seen: OrderSeen,
        context: &Context<'_>,
    ) -> Applied {
        let now = context.now;
        let lifetime = Duration::from_secs(context.profile.pending_authorization_seconds);
        let expires_at = Self::expiry_of(&seen, context);
        let units = reservation.units.saturating_sub(resolved);
        let held = reservation;
        let reservation = Reservation { units, ..reservation };
        let ca = CaOrder { url: seen.url, finalize_url: seen.finalize_url, expires_at };
        let settle_at = settle::deadline(now, now.after(lifetime).min(expires_at), context.profile);
        self.authorizations = seen
            .authorizations
            .into_iter()
            .map(|url| Authorization::opened(url, now, now.after(lifetime), settle_at))
            .collect();
        match seen.status {
            CaOrderStatus::Ready => {
                self.end_all(AuthorizationStatus::Valid, now);
                self.moved(Stage::Ready { reservation, ca }).commit(Knowledge::Certain)
            }
            CaOrderStatus::Pending => {
                self.moved(Stage::Placed { reservation, ca }).commit(Knowledge::Certain)
            }
            // Somebody else has finalized it: there is no certificate in it for our key, and the order that
            // was asked for may still exist.
            CaOrderStatus::Processing | CaOrderStatus::Valid => {
                self.end_all(AuthorizationStatus::Valid, now);
                self.stage = Stage::Placed { reservation: held, ca };
                let detail = "new-order was answered with an order that is finalized already";
                self.failed(Fault::new(FailureClass::OrderExpired, detail), true, context)
            }
            CaOrderStatus::Invalid => {
                self.stage = Stage::Placed { reservation, ca };
                self.failed(order_fault(seen.problem.as_ref()), true, context)
            }
        }
    }

    /// Without the name of the certificate it replaces, the CA's window exempts it from nothing.
    fn replace_nothing(&mut self) {
        self.replaces = None;
        self.exemptions = self.exemptions.without_renewal_info();
    }

    /// What one new-order may create.
    fn units(&self) -> u32 {
        u32::try_from(self.names.len()).unwrap_or(u32::MAX)
    }

    /// Nothing exists at the CA: the units go back, and the gate is asked again.
    pub(super) fn back_to_the_gate(self, wake: Wake) -> Applied {
        let mut back = self.moved(Stage::Accepted { proven_at: None });
        back.wake = wake;
        back
    }

    /// The units stay held: the CA may have made the authorizations.
    pub(super) fn given_up(self, context: &Context<'_>) -> Applied {
        let fault = Fault::new(
            FailureClass::CaUnreachable,
            "the answer to new-order was lost, and the CA offers no way to find the order",
        );
        self.failed(fault, true, context)
    }

    pub(super) fn not_placed(
        mut self,
        reservation: Reservation,
        trouble: Trouble,
        context: &Context<'_>,
    ) -> Applied {
        let now = context.now;
        // A new-order is answered or given up within the quiet period: after it, what brought nothing was the
        // look into the account's list, and says nothing about the request.
        let searched =
            context.profile.lists_orders && reservation.admitted_at.after(context.profile.quiet()) <= now;
        if searched {
            return self.troubled(&trouble, context);
        }
        // Once an earlier answer was lost, a refusal of the repeated request says nothing about the first.
        let sole = reservation.asks <= 1;
        let problem = match trouble {
            Trouble::NotSent { .. } if sole => {
                return self.back_to_the_gate(Wake::At(now.after(NOT_SENT_WAIT))).unspent();
            }
            Trouble::NotSent { .. } => return self.in_doubt(Duration::ZERO, context).unspent(),
            Trouble::Lost { .. } => return self.in_doubt(Duration::ZERO, context),
            Trouble::Refused(problem) => problem,
        };
        if self.replaces.is_some() && concerns_replaces(&problem) {
            self.replace_nothing();
            let again =
                if sole { self.back_to_the_gate(Wake::Now) } else { self.in_doubt(Duration::ZERO, context) };
            return again.unspent();
        }
        match Refusal::of(&problem) {
            // It may have been executed, and counted.
            Refusal::Unknown { wait } => self.in_doubt(wait, context),
            refusal => self.not_made(reservation, refusal, problem, context).unspent(),
        }
    }

    /// The CA has refused the latest new-order. Where it was the only one, nothing is at the CA.
    fn not_made(
        self,
        reservation: Reservation,
        refusal: Refusal,
        problem: Problem,
        context: &Context<'_>,
    ) -> Applied {
        let now = context.now;
        let sole = reservation.asks <= 1;
        match refusal {
            Refusal::Nonce if sole => self.back_to_the_gate(Wake::At(now.after(NOT_SENT_WAIT))),
            Refusal::Unknown { .. } | Refusal::Reread | Refusal::Gone | Refusal::Nonce => {
                self.in_doubt(Duration::ZERO, context)
            }
            Refusal::Limited => {
                let lesson = Lesson::of(&problem, now);
                let mut waiting = self.waiting(sole, lesson.until, context);
                waiting.consequences.push(Consequence::Limited { lesson });
                waiting
            }
            Refusal::Busy { wait } => {
                let until = now.after(wait);
                let mut waiting = self.waiting(sole, until, context);
                waiting.consequences.push(Consequence::Busy { until });
                waiting
            }
            Refusal::AccountStopped => {
                let mut waiting = self.waiting(sole, now.after(STOPPED_WAIT), context);
                waiting.consequences.push(Consequence::AccountStopped { reason: problem.to_string().into() });
                waiting
            }
            Refusal::AlreadyReplaced => {
                if sole {
                    self.back_to_the_gate(Wake::Now)
                } else {
                    self.in_doubt(Duration::ZERO, context)
                }
            }
            Refusal::Paused { link } if sole => self.paused(link, problem.detail, context),
            Refusal::Paused { .. } => self.in_doubt(STOPPED_WAIT, context),
            Refusal::Terminal { class } => self.refused(reservation, class, &problem, context),
        }
    }

    fn waiting(self, sole: bool, until: Timestamp, context: &Context<'_>) -> Applied {
        if sole {
            self.back_to_the_gate(Wake::At(until))
        } else {
            self.in_doubt(context.now.until(until), context)
        }
    }

    /// An order of their own for the names that nothing is wrong with, if they are more than ever before: a name that
    /// failed in passing when the first part was made must not wait for one that is broken for good.
    fn part_off(&mut self, names: Option<Identifiers>) -> Option<Consequence> {
        let names = names.filter(|_| !self.split)?;
        let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
        (count > self.parted).then(|| {
            self.parted = count;
            Consequence::Split { names }
        })
    }

    /// The CA has paused some of the names. The others get an order of their own.
    fn paused(mut self, link: Option<Box<str>>, detail: Box<str>, context: &Context<'_>) -> Applied {
        let hostnames = lesson::paused_names(&detail, &self.names);
        let others = Identifiers::new(self.names.iter().filter(|name| !hostnames.contains(name)).cloned());
        let split = self.part_off(others.ok());
        let rest = backoff::rest(backoff::PAUSED_FAILURES, context.jitter);
        let fault = Fault::new(FailureClass::PausedAtCa, detail).of(hostnames.first().cloned());
        let mut parked = self.moved(Stage::Parked { fault });
        parked.wake = Wake::At(context.now.after(rest));
        parked.consequences.extend(split);
        parked.consequences.push(Consequence::Paused { hostnames, link });
        parked
    }

    /// The CA will not make this order. The names it does not complain of get one of their own.
    fn refused(
        mut self,
        reservation: Reservation,
        class: FailureClass,
        problem: &Problem,
        context: &Context<'_>,
    ) -> Applied {
        let complained = self.complained_of(problem);
        let others = self.names.iter().filter(|name| !complained.contains(name)).cloned();
        let others = Identifiers::new(others).ok().filter(|_| !complained.is_empty());
        let split = self.part_off(others);
        let units = reservation.units.saturating_sub(self.units());
        self.stage = Stage::Admitted { reservation: Reservation { units, ..reservation } };
        let fault = Fault::new(class, problem.detail.clone()).of(complained.into_iter().next());
        let mut failed = self.failed(fault, true, context);
        failed.consequences.splice(0..0, split);
        failed
    }

    /// The names that the CA names: in a field of the problem or of its parts, or else in its words.
    fn complained_of(&self, problem: &Problem) -> Vec<Hostname> {
        let told: Vec<_> = problem
            .subproblems
            .iter()
            .chain([problem])
            .filter_map(|one| one.identifier.clone())
            .filter(|name| self.names.contains(name))
            .collect();
        if !told.is_empty() {
            return told;
        }
        // The longest one: `www.example.com` contains `example.com`.
        let spoken = self.names.iter().filter(|name| problem.detail.contains(name.as_str()));
        spoken.max_by_key(|name| name.as_str().len()).cloned().into_iter().collect()
    }

    /// new-order may have been executed: nothing is sent before the CA must have finished with it.
    fn in_doubt(self, wait: Duration, context: &Context<'_>) -> Applied {
        let at = context.now.after(context.profile.quiet().max(wait));
        self.keep(Wake::At(at))
    }
}

/// Whether a refusal may be about `replaces`: the certificate has its replacement already, is not known, was issued to
/// another account, or has other names (RFC 9773 §5). Only the first has a type of its own, so whatever else may mean
/// it is asked again without, once; what was meant otherwise is then refused again.
fn concerns_replaces(problem: &Problem) -> bool {
    matches!(problem.kind, ProblemKind::AlreadyReplaced | ProblemKind::Malformed | ProblemKind::Unauthorized)
        || (problem.status == 409 && !matches!(problem.kind, ProblemKind::RateLimited))
}

impl Applied {
    /// The token that the gate took for the latest new-order is there at the CA.
    fn unspent(mut self) -> Self {
        self.consequences.push(Consequence::Unspent);
        self
    }
}
