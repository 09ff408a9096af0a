//! Orders that need somebody to look after them.
//!
//! A lease that ran out makes its order due by itself; here it is only counted. What nothing else would ever take up
//! is made due: an order that rests although something of it has not ended at the CA.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use issuance::ids::OrderId;
use issuance::time::Timestamp;
use tracing::{error, warn};

use crate::store::rescues::Poison;

use super::{Pass, ROWS_MAX, ReconcileError, ReconcileParts, Reconciler};

/// Leases that may run out on an order in a row: with one more it may be what kills its workers.
const RESCUES_MAX: u32 = 5;
const POISON_WAIT: Duration = Duration::from_mins(10);

const LAPSED: &str = "lapsed_lease";
const POISON: &str = "poison";
const UNREADABLE: &str = "unreadable";
const UNSETTLED: &str = "unsettled_at_rest";

#[derive(Debug)]
pub struct Rescue {
    parts: ReconcileParts,
    /// Orders whose rows make no sense: each is told once by each process.
    told: Mutex<HashSet<OrderId>>,
}

impl Rescue {
    pub fn new(parts: ReconcileParts) -> Self {
        Self { parts, told: Mutex::default() }
    }

    /// Lets an order rest whose leases ran out too often. The engine does so too, if it gets that far with it.
    async fn rest(&self, poison: &Poison, now: Timestamp, pass: &mut Pass) -> Result<(), ReconcileError> {
        let order = poison.order;
        let unreadable = self.parts.store.look_at_order(order).await?;
        // Nobody can work on what cannot be read, whoever holds it; what can be read may be in good hands.
        if unreadable.is_none() && poison.is_held {
            return Ok(());
        }
        if !self.parts.store.rest_poison(poison, now.after(POISON_WAIT)).await? {
            return Ok(());
        }
        match unreadable {
            None => {
                error!(event = "order.kills_workers", order.id = %order, rescues = poison.rescues, "Order {order} keeps losing its workers; it rests");
                pass.add(POISON, 1);
            }
            Some(reason) => {
                if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(order) {
                    error!(event = "order.unreadable", order.id = %order, error = &reason as &dyn std::error::Error, "Order {order} cannot be read");
                    pass.add(UNREADABLE, 1);
                }
            }
        }
        Ok(())
    }
}

impl Reconciler for Rescue {
    const NAME: &'static str = "rescue";
    const KINDS: &'static [&'static str] = &[LAPSED, POISON, UNREADABLE, UNSETTLED];

    async fn pass(&self, now: Timestamp) -> Result<Pass, ReconcileError> {
        let ReconcileParts { store, account_id, .. } = &self.parts;
        let mut pass = Pass::default();
        pass.add(LAPSED, store.lapsed_leases(*account_id, now).await?);
        for poison in store.poison_orders(*account_id, RESCUES_MAX, now, ROWS_MAX).await? {
            self.rest(&poison, now, &mut pass).await?;
        }
        for order in store.wake_unsettled(*account_id, now, ROWS_MAX).await? {
            warn!(event = "order.rested_unsettled", order.id = %order, "Order {order} rested with something unsettled; it is due again");
            pass.add(UNSETTLED, 1);
        }
        Ok(pass)
    }
}
