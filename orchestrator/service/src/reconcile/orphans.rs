//! What workers learnt too late: each orphan finds its place in the ledger, or turns out to need none.
//!
//! | the CA says of the order | and its order here is | then |
//! | --- | --- | --- |
//! | pending, ready | in doubt | **adopted**: it is what new-order made, and costs nothing more |
//! | ready, processing, valid | past that | **ended**: its authorizations are valid |
//! | pending, invalid | past that | its authorizations are **entered**, and settled by an order of their own |
//! | it is gone | | **gone**; its authorizations, where they are known, are entered each by itself |

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use issuance::answer::{Answer, CaOrderStatus, Context, OrderSeen, Trouble, Wake};
use issuance::fault::Refusal;
use issuance::order::CaOrder;
use issuance::settle;
use issuance::time::{Fraction, Timestamp};
use tracing::{debug, info, warn};

use crate::acme::observation::{order_seen, trouble};
use crate::store::aftermath::Aftermath;
use crate::store::orphans::{Orphan, OrphanKind, Recovered, Resolution};
use crate::store::steps::StepEnd;

use super::{ASKED_MAX, Pass, REQUESTS_AT_ONCE, ReconcileError, ReconcileParts, Reconciler};

const KNOWN: &str = "known";

#[derive(Debug)]
pub struct Orphans {
    parts: ReconcileParts,
}

impl Orphans {
    pub fn new(parts: ReconcileParts) -> Self {
        Self { parts }
    }

    async fn resolve(&self, orphan: &Orphan, now: Timestamp) -> Result<Option<Resolution>, ReconcileError> {
        let resolution = match orphan.kind {
            // Whoever holds the order may be learning of it this moment.
            _ if orphan.is_held => None,
            OrphanKind::Order => self.resolve_order(orphan, now).await?,
            // What its order would have told is gone. It is read where it is settled.
            OrphanKind::Authorization | OrphanKind::Certificate => {
                let authorizations = [orphan.url.to_string()];
                let recovered = Recovered {
                    ca: None,
                    authorizations: &authorizations,
                    are_open: true,
                    expires_at: self.expiry(orphan.learnt_at),
                    settle_at: self.deadline(orphan),
                };
                self.parts.store.enter_orphan(orphan, &recovered, now).await?
            }
        };
        match resolution {
            Some(resolution) => {
                info!(
                    event = "orphan.settled",
                    order.id = %orphan.order,
                    orphan.url = &*orphan.url,
                    "Order {}: an orphan {} is {}",
                    orphan.order,
                    orphan.kind.as_str(),
                    resolution.as_str()
                );
            }
            None => self.parts.store.put_orphan_off(&orphan.url, now).await?,
        }
        Ok(resolution)
    }

    async fn resolve_order(
        &self,
        orphan: &Orphan,
        now: Timestamp,
    ) -> Result<Option<Resolution>, ReconcileError> {
        let read = self.parts.account.order(&orphan.url).await;
        let seen = match read {
            Ok(reply) => {
                let is_ours = reply.body.identifiers.len() == orphan.names.len()
                    && reply
                        .body
                        .identifiers
                        .iter()
                        .all(|one| orphan.names.iter().any(|name| **name == *one.value));
                let seen = order_seen(&orphan.url, reply);
                if is_ours { seen } else { OrderSeen { status: CaOrderStatus::Invalid, ..seen } }
            }
            Err(error) => return self.unread(orphan, &trouble(error), now).await,
        };
        match seen.status {
            CaOrderStatus::Pending | CaOrderStatus::Ready if orphan.in_doubt => {
                self.adopt(orphan, seen, now).await
            }
            status => {
                let ca = CaOrder {
                    url: seen.url.clone(),
                    finalize_url: seen.finalize_url.clone(),
                    expires_at: seen.expires_at.unwrap_or_else(|| self.expiry(now)),
                };
                let recovered = Recovered {
                    ca: Some(&ca),
                    authorizations: &urls(&seen),
                    are_open: matches!(status, CaOrderStatus::Pending | CaOrderStatus::Invalid),
                    expires_at: self.expiry(now),
                    settle_at: self.deadline(orphan),
                };
                Ok(self.parts.store.enter_orphan(orphan, &recovered, now).await?)
            }
        }
    }

    /// The CA does not show it: gone, or not to be reached this time.
    async fn unread(
        &self,
        orphan: &Orphan,
        trouble: &Trouble,
        now: Timestamp,
    ) -> Result<Option<Resolution>, ReconcileError> {
        let gone = matches!(trouble, Trouble::Refused(problem) if Refusal::of(problem) == Refusal::Gone);
        let quiet_is_over = orphan.learnt_at.after(self.parts.profile.quiet()) <= now;
        if !(gone && quiet_is_over) {
            debug!(order.id = %orphan.order, ?trouble, "An orphan of order {} cannot be read now", orphan.order);
            return Ok(None);
        }
        let gone = [orphan.url.to_string()];
        let resolved = self.parts.store.resolve_orphans(&gone, Resolution::Gone, now).await?;
        Ok((resolved > 0).then_some(Resolution::Gone))
    }

    /// The order takes over what its own new-order made, under a lease like any other step.
    async fn adopt(
        &self,
        orphan: &Orphan,
        seen: OrderSeen,
        now: Timestamp,
    ) -> Result<Option<Resolution>, ReconcileError> {
        let ReconcileParts { store, profile, clock, replica, lease, .. } = &self.parts;
        let claimed = store.claim_in_doubt(orphan.order, *replica, now, *lease).await?;
        let Some(claim) = claimed.claims.into_iter().next() else { return Ok(None) };
        let now = clock.now();
        let mut adopted = urls(&seen);
        adopted.push(orphan.url.to_string());
        let context = Context { now, jitter: Fraction::ZERO, profile };
        let applied = match claim.order.apply(Answer::PlacedLate(seen), &context) {
            Ok(applied) => applied,
            Err(unexpected) => {
                warn!(
                    event = "orphan.failed",
                    error = &unexpected as &dyn std::error::Error,
                    "An orphan could not be adopted"
                );
                return Ok(None);
            }
        };
        let end = StepEnd {
            problems: Vec::new(),
            lease: claim.lease,
            ledger: applied.order.authorizations.clone(),
            order: applied.order,
            // Due for the engine, which goes on from here.
            wake: Wake::At(now),
            lease_until: now,
            chain: None,
            events: Vec::new(),
            aftermath: Aftermath::default(),
            deferred_as: None,
        };
        if store.commit_steps(&[end], now).await?.is_empty() {
            return Ok(None);
        }
        store.resolve_orphans(&adopted, Resolution::Adopted, now).await?;
        Ok(Some(Resolution::Adopted))
    }

    /// By when it is to be settled.
    fn deadline(&self, orphan: &Orphan) -> Timestamp {
        let deadline = settle::deadline(orphan.learnt_at, self.expiry(orphan.learnt_at), &self.parts.profile);
        orphan.settle_requested_at.map_or(deadline, |asked| asked.min(deadline))
    }

    /// When what was made then has expired at the latest.
    fn expiry(&self, since: Timestamp) -> Timestamp {
        since.after(Duration::from_secs(self.parts.profile.pending_authorization_seconds))
    }
}

fn urls(seen: &OrderSeen) -> Vec<String> {
    seen.authorizations.iter().map(ToString::to_string).collect()
}

impl Reconciler for Orphans {
    const NAME: &'static str = "orphans";
    const KINDS: &'static [&'static str] = &[KNOWN, "adopted", "entered", "ended", "gone"];

    async fn pass(&self, now: Timestamp) -> Result<Pass, ReconcileError> {
        let ReconcileParts { store, account_id, .. } = &self.parts;
        let mut pass = Pass::default();
        pass.add(KNOWN, store.resolve_known_orphans(*account_id, now).await?);
        let orphans = store.unresolved_orphans(*account_id, now, ASKED_MAX).await?;
        let resolved: Vec<Option<Resolution>> = stream::iter(orphans)
            .map(|orphan| async move { self.resolve(&orphan, now).await })
            .buffer_unordered(REQUESTS_AT_ONCE)
            .try_collect()
            .await?;
        for resolution in resolved.into_iter().flatten() {
            pass.add(resolution.as_str(), 1);
        }
        Ok(pass)
    }
}
