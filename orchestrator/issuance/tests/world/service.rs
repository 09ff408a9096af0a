//! The service in miniature: a table of committed orders, a worker that performs steps, and crashes.

use std::collections::HashSet;
use std::time::Duration;

use issuance::answer::{Admission, Answer, Applied, Consequence, Context, Proof, Wake};
use issuance::authorization::{Authorization, ValidationMethod};
use issuance::fault::{FailureClass, Fault};
use issuance::identifier::{Hostname, Identifiers};
use issuance::order::{CertificateRequest, Order, Reservation, Stage};
use issuance::settle::{Circumstances, Pressure};
use issuance::step::{Knowledge, Step};
use issuance::time::{Fraction, Timestamp};

use super::story::{World, profile_units};
use super::wire::{Wire, number};

/// Longer than this without a pause is a loop.
const STEPS_PER_WAKE_MAX: u32 = 64;
const LEASE: Duration = Duration::from_mins(1);

/// A row: the order as committed, and what came of it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) order: Order,
    pub(super) due: Option<Timestamp>,
    pub(super) retries: u32,
    /// Names in the largest part that was split off.
    pub(super) parted: usize,
    pub(super) keys_made: u32,
    pub(super) steps: u32,
    pub(super) attempt: u32,
    /// The validation targets it keeps others away from: from the gate until it rests.
    pub(super) flights: bool,
}

impl Row {
    pub(super) fn new(names: Identifiers, attempt: u32, now: Timestamp) -> Self {
        let order = Order {
            names,
            method: ValidationMethod::Http01,
            profile: None,
            replaces: (attempt == 0).then(|| "the certificate before".into()),
            exemptions: issuance::exemption::Exemptions::NONE,
            stage: Stage::Accepted { proven_at: None },
            authorizations: Vec::new(),
            looks: 0,
            failures: attempt,
            split: false,
            parted: 0,
        };
        Self { order, due: Some(now), retries: 0, parted: 0, keys_made: 0, steps: 0, attempt, flights: false }
    }
}

impl World {
    /// One lease: from the claim until the order is given back, rests, or the process dies.
    pub(super) fn run_lease(&mut self, at: usize) {
        let mut order = self.rows[at].order.clone();
        let mut knowledge = Knowledge::Loaded;
        let (mut steps, mut moved_at) = (0, self.now);
        loop {
            if self.crashes(at) {
                return;
            }
            let step = order.next_step(knowledge, &self.ca.profile, self.now);
            self.note(|| format!("{at} {} {knowledge:?} {step:?}", order.stage.as_str()));
            self.guard(at, &order, knowledge, &step);
            let answer = match &step {
                Step::Rest => {
                    self.check(order.is_at_rest(), "only an order at rest has nothing to do");
                    self.write(at, order, None, Vec::new());
                    return;
                }
                Step::Wait(until) => {
                    self.check(*until > self.now, "a wait lies ahead");
                    self.write(at, order, Some(*until), Vec::new());
                    return;
                }
                step => self.perform(at, &order, step),
            };
            if self.crashes(at) {
                return;
            }
            let jitter = Fraction::new(self.chance.below(100) as f64 / 100.0);
            let profile = self.ca.profile.clone();
            let context = Context { now: self.now, jitter, profile: &profile };
            let heard = answer.clone();
            let before = order.clone();
            let applied = match order.apply(answer, &context) {
                Ok(applied) => applied,
                Err(error) => return self.check(false, &error.to_string()),
            };
            self.note(|| {
                let heard: String = format!("{heard:?}").chars().take(160).collect();
                format!("{at}   {heard} -> {} {:?}", applied.order.stage.as_str(), applied.wake)
            });
            if let Answer::Served(served) = &heard {
                self.guard_settling(&before, &applied, served);
            }
            if moved_at < self.now {
                (steps, moved_at) = (0, self.now);
            }
            steps += 1;
            self.check(steps <= STEPS_PER_WAKE_MAX, "no loop without a pause");
            if self.crashes(at) {
                return;
            }
            let Applied { order: next, wake, knowledge: known, must_commit, consequences } = applied;
            match wake {
                Wake::Now => {
                    self.check(
                        must_commit || consequences.is_empty(),
                        "a consequence is written with its order",
                    );
                    if must_commit {
                        let due = Some(self.now.after(LEASE));
                        self.write(at, next.clone(), due, consequences);
                    }
                    (order, knowledge) = (next, known);
                }
                Wake::At(until) => {
                    self.check(until > self.now, "a wait lies ahead");
                    return self.write(at, next, Some(until), consequences);
                }
                Wake::Never => {
                    self.check(next.is_at_rest(), "what is never due again is at rest");
                    return self.write(at, next, None, consequences);
                }
            }
        }
    }

    /// What was not committed is forgotten, and somebody finds the order when the lease has run out.
    fn crashes(&mut self, at: usize) -> bool {
        let dies = self.faulty() && self.chance.percent(3);
        if dies {
            self.note(|| format!("{at} CRASH"));
            self.rows[at].due = Some(self.now.after(LEASE));
        }
        dies
    }

    /// The permission of each request stands in the database before it leaves.
    fn guard(&mut self, at: usize, order: &Order, knowledge: Knowledge, step: &Step) {
        self.rows[at].steps += 1;
        self.check(self.rows[at].steps < 4_000, "an order ends within bounded steps");
        let written = &self.rows[at].order;
        let intended = |indexes: &[usize], intent: fn(&Authorization) -> bool| {
            indexes.iter().all(|index| written.authorizations.get(*index).is_some_and(intent))
        };
        let (kept, promise) = match step {
            Step::Place => {
                let covered = match &written.stage {
                    Stage::Admitted { reservation } => {
                        reservation.units >= profile_units(&order.names) && reservation.hold_until > self.now
                    }
                    _ => false,
                };
                (
                    covered && knowledge == Knowledge::Certain,
                    "new-order leaves once, under a committed reservation",
                )
            }
            Step::Submit(indexes) => (
                knowledge == Knowledge::Certain && intended(indexes, |one| one.submit_intended_at.is_some()),
                "a challenge is posted after its intent was committed",
            ),
            Step::Deactivate(indexes) => (
                intended(indexes, |one| one.deactivate_intended_at.is_some()),
                "a deactivation is posted after its intent was committed",
            ),
            Step::Finalize => (
                matches!((&written.stage, &order.stage),
                    (Stage::Finalizing { request: ours, .. }, Stage::Finalizing { request, .. }) if ours == request),
                "finalize leaves with the committed key and request",
            ),
            _ => (true, ""),
        };
        self.check(kept, promise);
    }

    /// What is decided about the open authorizations of an order that cannot go on is what the policy says.
    fn guard_settling(&mut self, before: &Order, applied: &Applied, served: &[(usize, Circumstances)]) {
        let ended = before.stage.is_ended();
        if let (Stage::Presented { .. }, Stage::Presented { .. }, Wake::At(next_try)) =
            (&before.stage, &applied.order.stage, applied.wake)
        {
            self.resumed += 1;
            for (index, circumstances) in served {
                let one = &before.authorizations[*index];
                self.check(next_try < one.settle_at, "nothing is kept open past its deadline");
                let short = self.now.until(next_try) <= Duration::from_mins(2);
                let missed = circumstances.pressure == Pressure::NearCap
                    || circumstances.pressure == Pressure::High && !short;
                self.check(!missed, "nothing is kept open that others miss");
            }
        }
        for (index, circumstances) in served.iter().filter(|_| ended) {
            let (was, is) = (&before.authorizations[*index], &applied.order.authorizations[*index]);
            if was.deactivate_intended_at.is_some() || is.deactivate_intended_at.is_none() {
                self.paced += u64::from(is.submit_intended_at.is_none());
                continue;
            }
            let profile = &self.ca.profile;
            let budget_full = circumstances
                .failed_at
                .is_none_or(|at| at.after(profile.failure_budget_refill()) <= self.now);
            let forced = circumstances.pressure == Pressure::NearCap
                || was.expires_at <= self.now.after(Duration::from_mins(5));
            self.check(
                !profile.charges_deactivation || budget_full || forced,
                "a token that somebody may want is not spent on a deactivation",
            );
            if forced {
                self.forced.extend(number(&was.url));
            }
            self.check(was.submitted_at.is_none(), "what was submitted is never deactivated");
        }
    }

    /// Commits the order and what follows from it.
    fn write(&mut self, at: usize, order: Order, due: Option<Timestamp>, consequences: Vec<Consequence>) {
        check_row(&order);
        let row = &mut self.rows[at];
        row.order = order;
        row.due = due;
        if matches!(row.order.stage, Stage::Accepted { .. } | Stage::Parked { .. }) || due.is_none() {
            row.flights = false;
        }
        for consequence in consequences {
            match consequence {
                Consequence::Retry { .. } => self.rows[at].retries += 1,
                Consequence::Split { names } => {
                    let larger = names.len() > self.rows[at].parted;
                    self.check(
                        larger,
                        "names are split off again only where more are ready than ever before",
                    );
                    self.rows[at].parted = names.len();
                }
                Consequence::NameFailed { hostname, at_ca: true, .. } => {
                    let known = self.ca.authz.iter().any(|one| {
                        one.name == hostname
                            && one.status == issuance::authorization::AuthorizationStatus::Invalid
                    });
                    self.check(known, "only a name that the CA failed is blamed on the CA");
                }
                _ => {}
            }
        }
        self.check_budget();
    }

    fn perform(&mut self, at: usize, order: &Order, step: &Step) -> Answer {
        match step {
            Step::Prove => {
                let proof = match self.chance.below(30) {
                    0 => Proof::Unknown,
                    1 | 2 => Proof::NotReady(Fault::new(FailureClass::DnsNxdomain, "no such name")),
                    _ => Proof::Ready,
                };
                let first = order.names.iter().next().cloned();
                let of =
                    |name: &Hostname| if Some(name) == first.as_ref() { proof.clone() } else { Proof::Ready };
                Answer::Proofs(order.names.iter().map(|name| (name.clone(), of(name))).collect())
            }
            Step::Admit | Step::AskAgain => Answer::Admission(self.gate(at, order)),
            Step::PrepareRequest => {
                self.rows[at].keys_made += 1;
                let key = format!("key {} of row {at}", self.rows[at].keys_made).into_bytes();
                Answer::Request(CertificateRequest { key_sealed: Some(key.clone()), csr_der: key })
            }
            // A record on its way through the name servers.
            Step::CheckServed(_)
                if matches!(order.stage, Stage::Presented { .. }) && self.chance.percent(20) =>
            {
                Answer::Awaited { until: self.now.after(self.chance.up_to(Duration::from_mins(2))) }
            }
            Step::CheckServed(indexes) => {
                let seen = |index: &usize| {
                    let name = order.authorizations[*index].identifier.clone();
                    (*index, self.circumstances(name.as_ref()))
                };
                Answer::Served(indexes.iter().map(seen).collect())
            }
            Step::GiveUp => Answer::GivenUp,
            step => Wire::of(self).send(order, step),
        }
    }

    /// The gate commits what it grants together with the order.
    fn gate(&mut self, at: usize, order: &Order) -> Admission {
        let again = order.stage.reservation().copied();
        let targets: HashSet<&str> = order.names.iter().map(Hostname::validation_target).collect();
        let busy = self.rows.iter().enumerate().any(|(other, row)| {
            other != at
                && row.flights
                && row.order.names.iter().any(|name| targets.contains(name.validation_target()))
        });
        let (units, profile) = (profile_units(&order.names), &self.ca.profile);
        let most =
            if again.is_some() { profile.pending_authorizations_max } else { profile.pending_for_new_work() };
        if busy || self.held() + units > most {
            return Admission::Denied { until: self.now.after(Duration::from_mins(10)) };
        }
        let lifetime = Duration::from_secs(profile.pending_authorization_seconds);
        let hold_until = self.now.after(lifetime).after(profile.quiet());
        let granted = Reservation {
            admitted_at: self.now,
            hold_until,
            units: units + again.map_or(0, |earlier| earlier.units),
            asks: 1 + again.map_or(0, |earlier| earlier.asks),
        };
        self.rows[at].order = Order { stage: Stage::Admitted { reservation: granted }, ..order.clone() };
        self.rows[at].flights = true;
        Admission::Granted(granted)
    }
}

/// What the table's constraints say.
fn check_row(order: &Order) {
    let units = order.stage.reservation().map_or(0, |reservation| reservation.units);
    match &order.stage {
        Stage::Accepted { .. } | Stage::Parked { .. } => assert!(order.authorizations.is_empty()),
        Stage::Admitted { reservation } => assert!(units > 0 && reservation.asks > 0),
        Stage::Issued { .. } => assert!(order.is_at_rest(), "an issued order rests"),
        _ => {}
    }
    for one in &order.authorizations {
        assert!(one.submitted_at.is_none() || one.submit_intended_at.is_some());
        assert!(
            (one.status == issuance::authorization::AuthorizationStatus::Pending) == one.final_at.is_none()
        );
    }
}
