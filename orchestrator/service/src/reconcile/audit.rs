//! The ledger against the CA, a sample at a time, the rows first that were looked at longest ago.
//!
//! Only what nobody else is about to look at: an order in somebody's hands, or due soon, learns of the CA by itself.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use issuance::answer::Context;
use issuance::authorization::Challenge;
use issuance::drift::Drift;
use issuance::time::{Fraction, Timestamp};
use tracing::{debug, warn};

use crate::acme::objects::AuthorizationStatus;
use crate::acme::observation::{authorization_seen, trouble};
use crate::store::audits::{AuditWindow, Audited};

use super::instruments::DriftInstruments;
use super::{Pass, REQUESTS_AT_ONCE, ReconcileError, ReconcileParts, Reconciler};

/// An order that is due within this looks at the CA by itself: the engine's longest wait for a CA that is slow.
const LOOKS_SOON: Duration = Duration::from_mins(15);
/// Rows older than this are of no interest: no CA keeps a valid authorization for longer.
const LIVES_MAX: Duration = Duration::from_hours(45 * 24);

#[derive(Debug)]
pub struct Audit {
    parts: ReconcileParts,
    sample: u16,
}

impl Audit {
    pub fn new(parts: ReconcileParts, sample: u16) -> Self {
        DriftInstruments::register();
        Self { parts, sample }
    }

    async fn compare(&self, row: &Audited, now: Timestamp) -> Result<Option<Drift>, ReconcileError> {
        let ReconcileParts { store, account, profile, .. } = &self.parts;
        let read = match account.authorization(&row.authorization.url).await {
            // A word nobody knows is no disagreement.
            Ok(reply) if matches!(reply.body.status, AuthorizationStatus::Other(_)) => return Ok(None),
            Ok(reply) => {
                let persists = row.authorization.challenge.as_ref().is_some_and(Challenge::persists);
                authorization_seen(account, &reply.body, row.method, persists)
            }
            Err(error) => Err(trouble(error)),
        };
        let context = Context { now, jitter: Fraction::ZERO, profile };
        let Some(drift) = Drift::between(&row.authorization, &read, &context) else {
            if let Err(trouble) = read {
                debug!(?trouble, "An authorization could not be audited");
            }
            return Ok(None);
        };
        let corrected = row.authorization.clone().corrected(drift, &context);
        if !store.correct(row, &corrected, now).await? {
            return Ok(None);
        }
        DriftInstruments::found(drift);
        warn!(
            event = "audit.drift",
            order.id = %row.order,
            authorization.url = &*row.authorization.url,
            drift = drift.as_str(),
            "Order {}: the ledger called an authorization {}, and the CA says otherwise ({}); corrected",
            row.order,
            row.authorization.status.as_str(),
            drift.as_str()
        );
        Ok(Some(drift))
    }
}

impl Reconciler for Audit {
    const NAME: &'static str = "audit";
    const KINDS: &'static [&'static str] = &["ended", "gone", "pending", "differs"];

    async fn pass(&self, now: Timestamp) -> Result<Pass, ReconcileError> {
        let ReconcileParts { store, account_id, profile, .. } = &self.parts;
        let mut pass = Pass::default();
        let window = AuditWindow {
            now,
            looks_before: now.after(LOOKS_SOON),
            ended_before: now.before(profile.quiet()),
            opened_after: now.before(LIVES_MAX),
        };
        let sample = store.audit_sample(*account_id, &window, self.sample).await?;
        let last = sample.last().map(|row| row.id);
        let drifts: Vec<Option<Drift>> = stream::iter(sample)
            .map(|row| async move { self.compare(&row, now).await })
            .buffer_unordered(REQUESTS_AT_ONCE)
            .try_collect()
            .await?;
        if let Some(last) = last {
            store.audited_up_to(*account_id, last, now).await?;
        }
        for drift in drifts.into_iter().flatten() {
            pass.add(drift.as_str(), 1);
        }
        Ok(pass)
    }
}
