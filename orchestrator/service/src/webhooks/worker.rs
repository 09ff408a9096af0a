//! Who hands events to webhooks and sends them: on every replica, by polling.

use std::sync::Arc;
use std::time::Duration;

use issuance::time::{Clock, Timestamp};
use issuance::webhook::{self, Outcome, TIMEOUT};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, info_span, warn};

use super::instruments::Instruments;
use super::message::{self, Message};
use super::receiver::Receiver;
use super::secret::Vault;
use super::sender::{Reply, Sender};
use crate::chance::draw;
use crate::clock::Pace;
use crate::store::leases::Replica;
use crate::store::webhook_deliveries::{AttemptEnd, ClaimedDelivery};
use crate::store::{Store, StoreError};

/// Events handed on in one transaction.
const FAN_OUT_MAX: u16 = 500;
/// Attempts under way to one webhook: a slow receiver takes no more of the places than this.
const EACH_MAX: u16 = 8;
/// An attempt ends within [`TIMEOUT`]; the rest is for a database that is away when it has.
const LEASE: Duration = Duration::from_mins(2);
/// Between two tries to write what an attempt has brought.
const AWAY_WAIT: Duration = Duration::from_millis(500);
/// How long what has ended can be looked up, and sent again.
const KEPT: Duration = Duration::from_hours(30 * 24);
const FORGET_MAX: u16 = 5_000;
/// Between two looks at the backlog and at what is to be forgotten.
const UPKEEP: Duration = Duration::from_mins(1);
/// In virtual time, where a look is an instant that would not be otherwise.
const UNHURRIED: Duration = Duration::from_mins(1);

/// What it works with.
#[derive(Debug, Clone)]
pub struct DeliveryParts {
    pub store: Store,
    pub sender: Arc<Sender>,
    pub vault: Vault,
    pub clock: Arc<dyn Clock>,
    pub pace: Pace,
    pub replica: Replica,
}

#[derive(Debug, Clone, Copy)]
pub struct DeliverySettings {
    /// Attempts of this process under way at once.
    pub at_once: u16,
    /// Between two looks when nothing was found.
    pub poll_interval: Duration,
    /// For attempts under way when it is stopped; what does not end in it is sent again by somebody else.
    pub drain: Duration,
}

/// The outbox of a running service. Dropping the handle does not stop it: [`Deliveries::stop`] does.
#[derive(Debug)]
pub struct Deliveries {
    stop: CancellationToken,
    tasks: TaskTracker,
    drain: Duration,
}

impl Deliveries {
    pub fn start(parts: DeliveryParts, settings: DeliverySettings) -> Self {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let places = Arc::new(Semaphore::new(settings.at_once.into()));
        let worker = Arc::new(Worker {
            parts,
            settings,
            places,
            freed: Notify::new(),
            instruments: Instruments::register(),
        });
        tasks.spawn(worker.run(tasks.clone(), stop.clone()));
        Self { stop, tasks, drain: settings.drain }
    }

    /// Claims nothing more, and waits for what is under way.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.drain, self.tasks.wait()).await.is_err() {
            warn!(
                event = "webhooks.left_behind",
                "Webhooks were still being told at the end; they are told again when their leases end"
            );
        }
    }
}

struct Worker {
    parts: DeliveryParts,
    settings: DeliverySettings,
    places: Arc<Semaphore>,
    /// An attempt has ended: what waited for it may go.
    freed: Notify,
    instruments: Instruments,
}

impl Worker {
    async fn run(self: Arc<Self>, tasks: TaskTracker, stop: CancellationToken) {
        let interval = self.parts.pace.interval(self.settings.poll_interval, UNHURRIED);
        let mut upkeep_at = Timestamp::EPOCH;
        self.take_up().await;
        let mut wait = interval;
        let mut away = false;
        loop {
            // Registered before the look, so that what ends in between wakes it.
            let freed = self.freed.notified();
            let at_work = tokio::select! {
                at_work = self.parts.pace.wait(wait) => at_work,
                () = freed => self.parts.pace.at_work(),
                () = stop.cancelled() => return,
            };
            let now = self.parts.clock.now();
            let found = self.look(&tasks, now).await;
            wait = if matches!(found, Ok(true)) { Duration::ZERO } else { interval };
            // Told once, however long the database is away.
            if let (Err(error), false) = (&found, away) {
                warn!(
                    event = "webhooks.stand_still",
                    error = error as &dyn std::error::Error,
                    "Webhooks cannot be looked after; looking again"
                );
            }
            away = found.is_err();
            if upkeep_at <= now {
                upkeep_at = now.after(UPKEEP);
                if let Err(error) = self.keep_house(now).await {
                    warn!(
                        event = "webhooks.not_counted",
                        error = &error as &dyn std::error::Error,
                        "The outbox could not be counted"
                    );
                }
            }
            drop(at_work);
        }
    }

    /// What the last process of this replica had in hand is sent again at once; where the database is away, when the leases end.
    async fn take_up(&self) {
        let DeliveryParts { store, replica, clock, .. } = &self.parts;
        match store.take_up_own_deliveries(*replica, clock.now()).await {
            Ok(0) => {}
            Ok(taken) => warn!(
                event = "webhooks.taken_up",
                deliveries = taken,
                "The last run ended with {taken} webhooks being told; they are told again"
            ),
            Err(error) => warn!(
                event = "webhooks.wait",
                error = &error as &dyn std::error::Error,
                "What the last run held comes with its leases"
            ),
        }
    }

    /// Hands events on, and begins as many attempts as there are places. True if there may be more at once.
    async fn look(self: &Arc<Self>, tasks: &TaskTracker, now: Timestamp) -> Result<bool, StoreError> {
        let DeliveryParts { store, replica, .. } = &self.parts;
        let handed = store.fan_out_events(now, FAN_OUT_MAX).await?;
        let free = u16::try_from(self.places.available_permits()).unwrap_or(u16::MAX);
        if free == 0 {
            return Ok(false);
        }
        let claimed = store.claim_deliveries(*replica, now, now.after(LEASE), free, EACH_MAX).await?;
        let more = handed.events == u64::from(FAN_OUT_MAX) || claimed.len() == usize::from(free);
        for claim in claimed {
            // Nobody else takes places.
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { break };
            let (worker, at_work) = (Arc::clone(self), self.parts.pace.at_work());
            let span =
                info_span!("webhooks.attempt", webhook.id = %claim.webhook, event.id = %claim.event.id);
            let attempt = async move {
                worker.attempt(claim).await;
                drop(place);
                worker.freed.notify_one();
                drop(at_work);
            };
            tasks.spawn(attempt.instrument(span));
        }
        Ok(more)
    }

    async fn attempt(&self, claim: ClaimedDelivery) {
        let (started, now) = (Instant::now(), self.parts.clock.now());
        let reply = self.send(&claim, now).await;
        let took = started.elapsed();
        Instruments::attempted(reply.outcome);
        let now = self.parts.clock.now();
        let verdict = webhook::judge(
            reply.outcome,
            claim.attempts.saturating_add(1),
            claim.failing_since,
            reply.retry_after,
            now,
            draw(),
        );
        let end =
            AttemptEnd { outcome: reply.outcome, status: reply.status, detail: reply.detail, took, verdict };
        self.write(&claim, &end, started).await;
    }

    async fn send(&self, claim: &ClaimedDelivery, now: Timestamp) -> Reply {
        let DeliveryParts { sender, vault, .. } = &self.parts;
        // What is allowed may have changed since it was entered.
        let receiver = match Receiver::parse(&claim.url, sender.policy()) {
            Ok(receiver) => receiver,
            Err(error) => return Reply::failed(error.outcome(), &error),
        };
        let (id, timestamp, body) =
            (claim.event.id.to_string(), now.unix_seconds(), message::body(&claim.event));
        let secrets = std::iter::once(&claim.secret_sealed).chain(&claim.previous_secret_sealed);
        let signed: Result<Vec<String>, _> = secrets
            .map(|sealed| Ok(vault.open(claim.webhook, sealed)?.sign(&id, timestamp, &body)))
            .collect();
        let signatures = match signed {
            Ok(signatures) => signatures.join(" "),
            Err(error) => {
                let error: crate::keys::SealError = error;
                warn!(event = "webhook.secret_closed", webhook.id = %claim.webhook, error = &error as &dyn std::error::Error, "A secret does not open");
                return Reply::failed(
                    Outcome::Unreachable,
                    &"the service cannot sign: its operator can read why",
                );
            }
        };
        sender.send(&receiver, &Message { id, timestamp, signatures, body }, now).await
    }

    /// Waits for a database that is away, for as long as the lease lasts; then it is sent again, which receivers know by
    /// its id.
    async fn write(&self, claim: &ClaimedDelivery, end: &AttemptEnd, started: Instant) {
        loop {
            match self.parts.store.end_delivery(claim, end, self.parts.clock.now()).await {
                Ok(true) => {
                    if end.verdict.disable.is_some() {
                        let reason = end.verdict.disable.map(webhook::Disabled::as_str);
                        warn!(event = "webhook.disabled", webhook.id = %claim.webhook, reason, "Webhook {} is switched off", claim.webhook);
                    }
                    return;
                }
                Ok(false) => {
                    warn!(event = "webhook.lease_lost", webhook.id = %claim.webhook, "The lease on a delivery was lost to another replica");
                    return;
                }
                Err(error) if error.is_unavailable() && started.elapsed() + TIMEOUT < LEASE => {
                    tokio::time::sleep(AWAY_WAIT).await;
                }
                Err(error) => {
                    warn!(
                        event = "webhook.not_written",
                        webhook.id = %claim.webhook,
                        error = &error as &dyn std::error::Error,
                        "What a delivery has brought could not be written"
                    );
                    return;
                }
            }
        }
    }

    async fn keep_house(&self, now: Timestamp) -> Result<(), StoreError> {
        let DeliveryParts { store, .. } = &self.parts;
        self.instruments.counted(&store.count_deliveries().await?, now);
        store.forget_deliveries(now.before(KEPT), FORGET_MAX).await.map(drop)
    }
}
