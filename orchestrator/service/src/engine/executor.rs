//! One attempt: steps of one order under one lease, for as long as it can go on at once.

use std::sync::Arc;
use std::time::Duration;

use issuance::admission::Denial;
use issuance::answer::{Admission, Answer, Applied, Context, Wake};
use issuance::authorization::Authorization;
use issuance::fairness::Lane;
use issuance::ids::{AccountId, OrderId};
use issuance::order::{Order, Stage};
use issuance::profile::CaProfile;
use issuance::step::{Knowledge, Step};
use issuance::time::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info_span, warn};

use crate::chance::draw;
use crate::mishaps::{lacks, reach};
use crate::store::Store;
use crate::store::aftermath::Aftermath;
use crate::store::leases::Claim;
use crate::store::order_problems::OrderProblem;
use crate::store::steps::{IssuedChain, StepEnd};
use crate::telemetry::traces::{self, OrderTrace, Tracer};

use super::EngineSettings;
use super::agenda::Queue;
use super::announcements::{deferral, failure, told};
use super::committer::{CommitError, Committer};
use super::consequences::{SHORT_WAIT, aftermath};
use super::gate::{Gate, Sight};
use super::inbox::Inbox;
use super::instruments::Instruments;
use super::lessons::Class;
use super::performance::Performed;
use super::performer::Performer;
use super::problems;
use super::seat::Seat;

/// An order that takes more steps than this without a wait goes round in circles.
const STEPS_MAX: usize = 64;
/// Leases that ran out on an order in a row before it is left to rest for longer: it may be what kills them.
const RESCUES_MAX: u32 = 5;
const POISON_WAIT: Duration = Duration::from_mins(10);
/// The same for an order at the CA: it holds budget, and what it has open there is nobody's meanwhile.
const POISON_WAIT_AT_THE_CA: Duration = Duration::from_mins(2);
/// The part of the wait that is drawn: whatever a dying worker had in its hands is suspected, and what was lost
/// together must not all come back together with the one that kills.
const POISON_JITTER: f64 = 0.8;
/// What remains of a lease after the longest request.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Executor {
    pub(super) performer: Performer,
    pub(super) gate: Gate,
    pub(super) sight: Sight,
    pub(super) inbox: Inbox,
    pub(super) committer: Committer,
    pub(super) store: Store,
    pub(super) account_id: AccountId,
    pub(super) profile: Arc<CaProfile>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: EngineSettings,
    /// What an order asks for that names no certificate profile itself.
    pub(super) certificate_profile: Option<Box<str>>,
    pub(super) stop: CancellationToken,
    pub(super) instruments: Instruments,
    pub(super) tracer: Tracer,
}

/// How an attempt ended, for whoever plans the next claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptEnd {
    /// Due again then, in that queue.
    Due(Queue, Timestamp),
    /// The gate has no room: claiming more of the kind is of no use for a moment.
    NoRoom,
    /// The gate lets nobody of that lane through before that instant, but for what the CA does not count.
    Closed(Lane, Timestamp),
    /// At rest: room was made.
    Rests,
    /// The order is somebody else's, or its lease runs out by itself.
    Lost,
}

/// An order in the hands of an attempt.
pub(super) struct InHand {
    pub(super) claim: Claim,
    /// Its authorizations as they stand in the ledger.
    ledger: Vec<Authorization>,
    /// Changes since the last commit that a crash would undo.
    pub(super) uncommitted: Pending,
}

#[derive(Default)]
pub(super) struct Pending {
    chain: Option<IssuedChain>,
    pub(super) events: Vec<crate::store::steps::Event>,
    problems: Vec<OrderProblem>,
}

impl Executor {
    /// Takes the order as far as it goes. `seat` starts as a place among those that prove names, and becomes
    /// one of the places at the CA when the order gets that far.
    pub(super) async fn attempt(&self, claim: Claim, seat: Seat) -> AttemptEnd {
        let span = info_span!(
            "engine.attempt",
            order.id = %claim.owner.order,
            order.stage = claim.order.stage.as_str(),
            trace_id = %OrderTrace::of(claim.owner.order).id,
        );
        let follow = self.tracer.follow(claim.owner.order, async {
            let started = tokio::time::Instant::now();
            let stage = claim.order.stage.as_str();
            let order = claim.owner.order;
            match self.advance(claim, seat).await {
                Ok(end) => {
                    Instruments::attempt(stage, "ended", started.elapsed());
                    end
                }
                Err(CommitError::LeaseLost { .. }) => {
                    warn!(event = "lease.lost", order.id = %order, "Order {order}: the lease was lost to another worker");
                    Instruments::attempt(stage, "lease_lost", started.elapsed());
                    AttemptEnd::Lost
                }
                Err(CommitError::Refused { .. } | CommitError::Stopped { .. }) => {
                    Instruments::attempt(stage, "not_written", started.elapsed());
                    AttemptEnd::Lost
                }
            }
        });
        follow.instrument(span).await
    }

    async fn advance(&self, claim: Claim, mut seat: Seat) -> Result<AttemptEnd, CommitError> {
        let ledger = claim.order.authorizations.clone();
        let mut hand = InHand { claim, ledger, uncommitted: Pending::default() };
        if let Stage::Accepted { .. } | Stage::Parked { .. } = hand.claim.order.stage {
            // Chosen when the order is placed, and committed with the intent.
            let order = &mut hand.claim.order;
            order.profile = order.profile.take().or_else(|| self.certificate_profile.clone());
        }
        if hand.claim.rescues > 0 {
            self.instruments.rescued();
        }
        if hand.claim.rescues > RESCUES_MAX {
            let order = hand.claim.owner.order;
            error!(event = "order.kills_workers", order.id = %order, rescues = hand.claim.rescues, "Order {order} keeps losing its workers; it rests");
            let wake = Wake::At(self.clock.now().after(poison_rest(&hand.claim.order.stage)));
            return self.give_back(hand, wake).await;
        }
        let mut knowledge = Knowledge::Loaded;
        for _ in 0..STEPS_MAX {
            let now = self.clock.now();
            if hand.claim.cancel_requested && knowledge == Knowledge::Loaded {
                self.end_if_possible(&mut hand, now).await?;
            }
            let step = hand.claim.order.next_step(knowledge, &self.profile, now);
            if self.stop.is_cancelled() && knowledge == Knowledge::Loaded {
                // A safe point: nothing is intended that was not sent.
                return self.give_back(hand, Wake::At(now)).await;
            }
            match step {
                Step::Rest => return self.give_back(hand, Wake::Never).await,
                Step::Wait(until) => return self.give_back(hand, Wake::At(until)).await,
                _ => {}
            }
            self.keep_lease(&mut hand, now).await?;
            if !matches!(step, Step::Prove) && !seat.reach_the_ca().await {
                return self.give_back(hand, Wake::At(self.clock.now())).await;
            }
            // What takes longer than the lease is given up: whether it was executed is found out by whoever
            // holds the order next.
            let leave = self.clock.now().until(hand.claim.lease.expires_at).saturating_sub(LEASE_MARGIN);
            let performed = tokio::time::timeout(leave, self.perform(&hand, &step)).await;
            reach!(After, Step, step.as_str());
            let (answer, chain) = match performed.unwrap_or_else(|_| Performed::late()) {
                Performed::Answer(answered) => *answered,
                Performed::Deferred(denial) => {
                    let told = deferral(&self.store, &mut hand.claim, &denial, self.clock.now());
                    hand.uncommitted.events.extend(told);
                    (Answer::Admission(Admission::Denied { until: denial.until() }), None)
                }
                Performed::Refused(denial) => return self.back_in_line(hand, &denial).await,
                Performed::LeaseLost => {
                    return Err(CommitError::LeaseLost { order: hand.claim.owner.order });
                }
            };
            hand.uncommitted.chain = chain;
            hand.uncommitted.problems.extend(problems::told(&step, &answer, &hand.claim.order));
            let before = hand.claim.order.stage.clone();
            let context = Context { now: self.clock.now(), jitter: draw(), profile: &self.profile };
            let applied = match hand.claim.order.clone().apply(answer, &context) {
                Ok(applied) => applied,
                Err(unexpected) => {
                    error!(
                        event = "order.unexpected_answer",
                        error = &unexpected as &dyn std::error::Error,
                        "An answer nobody asked for"
                    );
                    return self.give_back(hand, Wake::At(context.now.after(SHORT_WAIT))).await;
                }
            };
            self.performer.learn(&hand.claim, &applied.order).await;
            let issued = hand.uncommitted.chain.as_ref();
            let told = told(&self.store, hand.claim.owner, &before, &applied.order, issued, context.now);
            hand.uncommitted.events.extend(told);
            knowledge = applied.knowledge;
            let wake = applied.wake;
            let must_commit = applied.must_commit || wake != Wake::Now || !applied.consequences.is_empty();
            let must_commit = must_commit && !(lacks!(KeyBeforeFinalize) && step == Step::PrepareRequest);
            if must_commit {
                let aftermath = self.aftermath(hand.claim.owner.order, &applied, &context).await;
                hand.claim.order = applied.order;
                let aftermath = aftermath.inspect_err(|_| self.orphaned(&hand))?;
                let failed = failure(
                    &self.store,
                    hand.claim.owner,
                    &before,
                    &hand.claim.order,
                    &aftermath,
                    context.now,
                );
                hand.uncommitted.events.extend(failed);
                self.commit(&mut hand, wake, aftermath).await?;
                self.tell_the_gate(&before, &hand.claim.order);
                Instruments::ended(&before, &hand.claim.order, hand.claim.owner.lane);
                tell_end(&before, &hand.claim);
            } else {
                hand.claim.order = applied.order;
            }
            match wake {
                Wake::Now => {}
                Wake::At(at) => {
                    let queue = Queue::of(&hand.claim.order, at, context.now);
                    return Ok(AttemptEnd::Due(queue, at));
                }
                Wake::Never => return Ok(AttemptEnd::Rests),
            }
        }
        let order = hand.claim.owner.order;
        error!(event = "order.goes_round", order.id = %order, order.stage = hand.claim.order.stage.as_str(), "Order {order} goes round in circles; it rests");
        self.give_back(hand, Wake::At(self.clock.now().after(POISON_WAIT))).await
    }

    /// Others may wait for the answer to a new-order.
    fn tell_the_gate(&self, before: &Stage, order: &Order) {
        let now = self.clock.now();
        let answered = matches!(before, Stage::Admitted { .. }) && order.stage.ca().is_some();
        if answered && self.profile.exemptions(order.exemptions).at(now).is_none() {
            self.sight.count_one(now);
        }
    }

    /// No request starts that could outlive its lease.
    async fn keep_lease(&self, hand: &mut InHand, now: Timestamp) -> Result<(), CommitError> {
        let needed = now.after(self.settings.request_timeout).after(LEASE_MARGIN);
        if needed <= hand.claim.lease.expires_at {
            return Ok(());
        }
        self.commit(hand, Wake::Now, Aftermath::default()).await
    }

    async fn give_back(&self, mut hand: InHand, wake: Wake) -> Result<AttemptEnd, CommitError> {
        self.commit(&mut hand, wake, Aftermath::default()).await?;
        let now = self.clock.now();
        let due = |at| AttemptEnd::Due(Queue::of(&hand.claim.order, at, now), at);
        Ok(match wake {
            Wake::Never => AttemptEnd::Rests,
            Wake::At(at) => due(at),
            Wake::Now => due(now),
        })
    }

    /// The account has nothing left for it: it keeps its place in the line, and nobody is fetched from there in vain.
    /// One in doubt is at the CA already, perhaps, and in no line.
    async fn back_in_line(&self, mut hand: InHand, denial: &Denial) -> Result<AttemptEnd, CommitError> {
        let now = self.clock.now();
        hand.uncommitted.events.extend(deferral(&self.store, &mut hand.claim, denial, now));
        let order = &mut hand.claim.order;
        // What has ceased to be exempt must not be fetched as such again.
        order.exemptions = self.profile.exemptions(order.exemptions).still_at(now);
        if let Stage::Admitted { .. } = order.stage {
            return self.give_back(hand, Wake::At(denial.until())).await;
        }
        let lane = hand.claim.owner.lane;
        self.give_back(hand, Wake::At(now)).await?;
        Ok(match denial {
            Denial::NoRoom { .. } => AttemptEnd::NoRoom,
            _ => AttemptEnd::Closed(lane, denial.until()),
        })
    }

    /// Waits for a database that is away: what follows from an answer must not be forgotten. Where it cannot be
    /// worked out, nothing of the answer is written either; the lease runs out, and the order is looked at anew.
    async fn aftermath(
        &self,
        order: OrderId,
        applied: &Applied,
        context: &Context<'_>,
    ) -> Result<Aftermath, CommitError> {
        let (store, account, now) = (&self.store, self.account_id, context.now);
        let class = Class { store, account, profile: &self.profile, now };
        loop {
            match aftermath(class, applied, context.jitter).await {
                Ok(aftermath) => return Ok(aftermath),
                Err(away) if away.is_unavailable() && !self.stop.is_cancelled() => {
                    warn!(
                        event = "aftermath.database_away",
                        error = &away as &dyn std::error::Error,
                        "The database is away; asking again"
                    );
                    tokio::time::sleep(SHORT_WAIT).await;
                }
                Err(error) => {
                    error!(
                        event = "aftermath.failed",
                        order.id = %order,
                        error = &error as &dyn std::error::Error,
                        "Order {order}: what follows from an answer could not be worked out"
                    );
                    return Err(CommitError::Refused { order });
                }
            }
        }
    }

    pub(super) async fn commit(
        &self,
        hand: &mut InHand,
        wake: Wake,
        aftermath: Aftermath,
    ) -> Result<(), CommitError> {
        let lease_until = self.lease_until(hand.claim.lease.expires_at);
        let pending = std::mem::take(&mut hand.uncommitted);
        let order = hand.claim.order.clone();
        let changed = order.authorizations.iter().filter(|one| !hand.ledger.contains(one));
        let end = StepEnd {
            lease: hand.claim.lease,
            ledger: changed.cloned().collect(),
            order,
            wake,
            lease_until,
            chain: pending.chain,
            events: pending.events,
            problems: pending.problems,
            aftermath,
            deferred_as: hand.claim.deferred_as.clone(),
        };
        self.committer.commit(end).await.inspect_err(|_| self.orphaned(hand))?;
        hand.claim.lease.expires_at = lease_until;
        Instruments::validated(&hand.ledger, &hand.claim.order.authorizations);
        hand.ledger.clone_from(&hand.claim.order.authorizations);
        Ok(())
    }

    /// When a lease that ends at `held` is to end after the next commit. It is left alone while half of it and the
    /// longest request fit into it: the instant is indexed, and a new one would cost an entry at each step.
    fn lease_until(&self, held: Timestamp) -> Timestamp {
        let now = self.clock.now();
        let enough = (self.settings.lease / 2).max(self.settings.request_timeout + LEASE_MARGIN);
        if now.after(enough) <= held { held } else { now.after(self.settings.lease) }
    }

    /// What the order has come to know cannot be written under its lease.
    fn orphaned(&self, hand: &InHand) {
        if lacks!(OrphanInbox) {
            return;
        }
        self.inbox.keep(hand.claim.owner.order, &hand.claim.order);
    }
}

/// To the order's trace, once its end is committed.
pub(super) fn tell_end(before: &Stage, claim: &Claim) {
    if !before.is_ended() && claim.order.stage.is_ended() {
        traces::order_ended(claim.owner.order);
    }
}

/// How long an order rests that keeps losing its workers.
fn poison_rest(stage: &Stage) -> Duration {
    let most = match stage {
        Stage::Accepted { .. } | Stage::Parked { .. } => POISON_WAIT,
        _ => POISON_WAIT_AT_THE_CA,
    };
    most.saturating_sub(draw().of(most, POISON_JITTER))
}
