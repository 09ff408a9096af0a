//! What is open past its deadline, and what expired before it was settled.

use std::time::Duration;

use issuance::time::Timestamp;
use tracing::{error, warn};

use super::instruments::LedgerInstruments;
use super::{Pass, ROWS_MAX, ReconcileError, ReconcileParts, Reconciler};

/// What is settled a little late is no news; what is not by then, a person should see.
const STUCK_AFTER: Duration = Duration::from_mins(15);

const OVERDUE: &str = "overdue";
const HASTENED: &str = "hastened";
const TOLD: &str = "told";
const EXPIRED: &str = "expired_unsettled";

#[derive(Debug)]
pub struct Settle {
    parts: ReconcileParts,
    instruments: LedgerInstruments,
}

impl Settle {
    pub fn new(parts: ReconcileParts) -> Self {
        Self { parts, instruments: LedgerInstruments::register() }
    }
}

impl Reconciler for Settle {
    const NAME: &'static str = "settle";
    const KINDS: &'static [&'static str] = &[OVERDUE, HASTENED, TOLD, EXPIRED];

    async fn pass(&self, now: Timestamp) -> Result<Pass, ReconcileError> {
        let ReconcileParts { store, account_id, profile, .. } = &self.parts;
        let mut pass = Pass::default();
        let overdue = store.overdue_authorizations(*account_id, now, ROWS_MAX).await?;
        if let Some(oldest) = overdue.first() {
            warn!(
                event = "authorizations.overdue",
                overdue = overdue.len(),
                order.id = %oldest.order,
                authorization.url = oldest.url,
                opened_at = %oldest.opened_at,
                "Authorizations are open past their deadlines, the oldest since {}",
                oldest.opened_at
            );
            pass.add(OVERDUE, overdue.len() as u64);
            let mut orders: Vec<_> = overdue.iter().map(|one| one.order).collect();
            orders.dedup();
            pass.add(HASTENED, store.hasten_settling(&orders, now).await?);
        }
        pass.add(TOLD, store.tell_stuck(*account_id, now.before(STUCK_AFTER), now).await?);
        // The CA's clock and its replicas may be behind.
        let expired_before = now.before(profile.quiet());
        let expired = store.notice_unsettled_expiries(*account_id, expired_before, now, ROWS_MAX).await?;
        for expiry in &expired {
            error!(
                event = "authorization.expired_open",
                order.id = %expiry.order,
                authorization.url = expiry.url,
                "Order {}: an authorization expired before it was settled",
                expiry.order
            );
        }
        pass.add(EXPIRED, expired.len() as u64);
        self.instruments.expired_unsettled(expired.len() as u64);
        self.instruments.counted(&store.open_ledger(*account_id, now).await?, now);
        Ok(pass)
    }
}
