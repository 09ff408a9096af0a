//! The performance of one step: what it is for the CA or for home, as a span of the order's trace.

use issuance::admission::Denial;
use issuance::answer::{Admission, Answer, Trouble};
use issuance::order::Stage;
use issuance::step::Step;
use tracing::debug;

use crate::mishaps::reach;
use crate::store::admissions::AdmissionRequest;
use crate::store::steps::IssuedChain;
use crate::telemetry::traces;

use super::executor::{Executor, InHand};
use super::gate::GateAnswer;
use super::instruments::Instruments;
use super::performer::Downloaded;

impl Executor {
    pub(super) async fn perform(&self, hand: &InHand, step: &Step) -> Performed {
        let (id, order) = (hand.claim.owner.order, &hand.claim.order);
        let started = tokio::time::Instant::now();
        let performer = &self.performer;
        reach!(Before, Step, step.as_str());
        let answer = match step {
            // Each name has a span of its own.
            Step::Prove => performer.prove(&hand.claim).await,
            Step::Admit | Step::AskAgain => return self.admit(hand, matches!(step, Step::AskAgain)).await,
            Step::Place => {
                let bystander = self.inbox.bystander(id, order);
                traces::span("acme.new_order", performer.place(order, &bystander)).await
            }
            Step::Find => traces::span("acme.find_order", performer.find(order)).await,
            Step::ReadAuthorizations(indexes) => performer.read_authorizations(order, indexes).await,
            Step::CheckServed(indexes) => performer.check_served(&hand.claim, indexes).await,
            Step::Submit(indexes) => performer.submit(order, indexes).await,
            Step::ReadOrder => traces::span("acme.poll", performer.read_order(order)).await,
            Step::PrepareRequest => {
                traces::span("keys.request", performer.prepare_request(&hand.claim)).await
            }
            Step::Finalize => traces::span("acme.finalize", performer.finalize(order)).await,
            Step::Download => {
                let downloaded = traces::span("acme.download", performer.download(id, order));
                let (answer, chain) = downloaded.await;
                Instruments::step(step, started.elapsed());
                return Performed::answer(answer, chain);
            }
            Step::Deactivate(indexes) => performer.deactivate(order, indexes).await,
            Step::GiveUp | Step::Wait(_) | Step::Rest => Answer::GivenUp,
        };
        Instruments::step(step, started.elapsed());
        Performed::answer(answer, None)
    }

    async fn admit(&self, hand: &InHand, again: bool) -> Performed {
        let order = &hand.claim.order;
        let proven_at = match order.stage {
            Stage::Accepted { proven_at: Some(at) } => at,
            // Asked for again: what preflight saw then has served its purpose.
            _ => self.clock.now(),
        };
        let request = AdmissionRequest {
            // Asked for again, it names no certificate that it replaces.
            exemptions: self.profile.exemptions(if again {
                order.exemptions.without_renewal_info()
            } else {
                order.exemptions
            }),
            again,
            ..AdmissionRequest::first(&hand.claim, proven_at)
        };
        let granted = |admission| Performed::answer(Answer::Admission(admission), None);
        match traces::span("headroom.reserve", self.ask_the_gate(request)).await {
            GateAnswer::Granted(reservation) => granted(Admission::Granted(reservation)),
            GateAnswer::Denied(denial) if denial.is_the_accounts() => Performed::Refused(denial),
            GateAnswer::Denied(denial) => {
                debug!(denial = denial.as_str(), until = %denial.until(), "The gate says: not yet");
                Performed::Deferred(denial)
            }
            GateAnswer::LeaseLost | GateAnswer::Unavailable => Performed::LeaseLost,
        }
    }

    async fn ask_the_gate(&self, request: AdmissionRequest) -> GateAnswer {
        let answer = self.gate.ask(request).await;
        traces::note(
            "lockkeeper.gate",
            match &answer {
                GateAnswer::Granted(_) => "granted",
                GateAnswer::Denied(denial) => denial.as_str(),
                GateAnswer::LeaseLost => "lease_lost",
                GateAnswer::Unavailable => "unavailable",
            },
        );
        answer
    }
}

/// What came of a step.
pub(super) enum Performed {
    Answer(Box<Downloaded>),
    /// The gate says no to this one.
    Deferred(Denial),
    /// The account may order nothing more for now.
    Refused(Denial),
    LeaseLost,
}

impl Performed {
    pub(super) fn late() -> Self {
        let detail = "the request outlasted the lease on its order".into();
        Self::answer(Answer::Trouble(Trouble::Lost { detail }), None)
    }

    pub(super) fn answer(answer: Answer, chain: Option<IssuedChain>) -> Self {
        Self::Answer(Box::new((answer, chain)))
    }
}
