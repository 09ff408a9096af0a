//! Claims: which orders a worker holds, and until when.

use std::collections::HashMap;
use std::time::Duration;

use issuance::fairness::Lane;
use issuance::ids::OrderId;
use issuance::order::Order;
use issuance::time::Timestamp;
use sqlx::types::Uuid;

use super::order_row::{AuthorizationRow, OrderRow, Ownership};
use super::{Store, StoreError, sql_instant};
use crate::mishaps::reach_write;

/// The right to move one order. Every write names its epoch; one that was overtaken touches nothing.
#[must_use = "an unreturned lease blocks its order until it expires"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    pub order: OrderId,
    pub epoch: i64,
    pub expires_at: Timestamp,
}

/// An order with the lease on it.
#[derive(Debug)]
pub struct Claim {
    pub lease: Lease,
    pub owner: Ownership,
    pub order: Order,
    /// Leases that ran out on it since it last moved: a poison order shows here.
    pub rescues: u32,
    /// Why it waits for the gate, as it was told.
    pub deferred_as: Option<String>,
    /// Somebody wants it to end.
    pub cancel_requested: bool,
}

/// What one claim brought.
#[derive(Debug, Default)]
pub struct Claimed {
    pub claims: Vec<Claim>,
    /// Orders whose rows make no sense: their leases run out, and the operator reads about them.
    pub unreadable: Vec<StoreError>,
}

/// Where orders stand before they go to the CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// To be proven at home.
    Unproven,
    /// Proven at home, before the gate.
    Proven,
}

impl Stand {
    /// As the column `queue` says it.
    fn queue(self) -> i16 {
        match self {
            Self::Unproven => 0,
            Self::Proven => 1,
        }
    }
}

impl Stand {
    /// What a claim there is called.
    pub fn claim(self) -> &'static str {
        match self {
            Self::Unproven => "claim_unproven",
            Self::Proven => "claim_proven",
        }
    }
}

/// Which orders in line are wanted.
#[derive(Debug, Clone)]
pub struct InLine {
    pub stand: Stand,
    /// The lanes, the first one to be served first.
    pub lanes: Vec<Lane>,
    /// Only those that the CA does not count: the others would be told no.
    pub only_exempt: bool,
}

/// Which process holds leases: kept in its data folder, so that it knows its own after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replica(pub Uuid);

impl Store {
    /// Claims up to `limit` due orders that are on their way at the CA.
    pub async fn claim_in_flight(
        &self,
        replica: Replica,
        now: Timestamp,
        lease: Duration,
        limit: u16,
    ) -> Result<Claimed, StoreError> {
        let expires_at = now.after(lease);
        reach_write!(Before, "claim_in_flight", "leases.claim_in_flight");
        let rows = sqlx::query_file_as!(
            OrderRow,
            "queries/orders_claim_in_flight.sql",
            sql_instant(now),
            i64::from(limit),
            sql_instant(expires_at),
            replica.0
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("leases.claim_in_flight"))?;
        reach_write!(After, "claim_in_flight", "leases.claim_in_flight");
        let ledger = self.ledger_of(rows.iter().map(|row| row.order_id).collect()).await?;
        Ok(claimed(rows, ledger, expires_at))
    }

    /// Claims up to `limit` orders that stand in one of the lines before the gate.
    pub async fn claim_in_line(
        &self,
        replica: Replica,
        now: Timestamp,
        lease: Duration,
        wanted: InLine,
        limit: u16,
    ) -> Result<Claimed, StoreError> {
        let expires_at = now.after(lease);
        let lanes: Vec<i16> = wanted.lanes.iter().map(|lane| lane.number()).collect();
        reach_write!(Before, wanted.stand.claim(), "leases.claim_in_line");
        let rows = if wanted.only_exempt {
            sqlx::query_file_as!(
                OrderRow,
                "queries/orders_claim_exempt.sql",
                sql_instant(now),
                i64::from(limit),
                sql_instant(expires_at),
                replica.0,
                &lanes,
                wanted.stand.queue()
            )
            .fetch_all(self.pool())
            .await
        } else {
            sqlx::query_file_as!(
                OrderRow,
                "queries/orders_claim_in_line.sql",
                sql_instant(now),
                i64::from(limit),
                sql_instant(expires_at),
                replica.0,
                &lanes,
                wanted.stand.queue()
            )
            .fetch_all(self.pool())
            .await
        };
        let rows = rows.map_err(StoreError::of("leases.claim_in_line"))?;
        reach_write!(After, wanted.stand.claim(), "leases.claim_in_line");
        Ok(claimed(rows, HashMap::new(), expires_at))
    }

    /// Claims that order, if new-order may have been executed for it and nobody works on it.
    pub async fn claim_in_doubt(
        &self,
        order: OrderId,
        replica: Replica,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Claimed, StoreError> {
        let expires_at = now.after(lease);
        let rows = sqlx::query_file_as!(
            OrderRow,
            "queries/orders_claim_in_doubt.sql",
            order.0,
            sql_instant(now),
            sql_instant(expires_at),
            replica.0
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("leases.claim_in_doubt"))?;
        Ok(claimed(rows, HashMap::new(), expires_at))
    }

    pub(super) async fn ledger_of(
        &self,
        orders: Vec<Uuid>,
    ) -> Result<HashMap<Uuid, Vec<AuthorizationRow>>, StoreError> {
        if orders.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = sqlx::query_as!(
            AuthorizationRow,
            "select order_id, url, identifier, wildcard, status, challenge_type, challenge_url, token,
                key_authorization, opened_at, expires_at, submit_intended_at, submitted_at,
                deactivate_intended_at, final_at, fault_class, fault_detail, settle_at, settle_requested_at
             from authorizations
             where order_id = any($1)
             order by authorization_id",
            &orders
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("leases.ledger"))?;
        let mut ledger: HashMap<Uuid, Vec<AuthorizationRow>> = HashMap::new();
        for row in rows {
            ledger.entry(row.order_id).or_default().push(row);
        }
        Ok(ledger)
    }

    /// The earliest instant at which any order is due; those under a lease count with its end.
    pub async fn next_due_at(&self) -> Result<Option<Timestamp>, StoreError> {
        sqlx::query_scalar!("select min(due_at) from orders where due_at is not null")
            .fetch_one(self.pool())
            .await
            .map(|due| due.map(Timestamp::from))
            .map_err(StoreError::of("leases.next_due"))
    }

    /// Makes the leases due that this replica held when its process last ended. Only for whoever knows that
    /// no other process goes by this replica's name. Returns how many there were.
    pub async fn take_up_own_leases(&self, replica: Replica, now: Timestamp) -> Result<u64, StoreError> {
        sqlx::query!(
            "update orders set due_at = $2, lease_expires_at = $2 where lease_holder = $1 and lease_expires_at > $2",
            replica.0,
            sql_instant(now)
        )
        .execute(self.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::of("leases.take_up_own"))
    }
}

fn claimed(
    rows: Vec<OrderRow>,
    mut ledger: HashMap<Uuid, Vec<AuthorizationRow>>,
    expires_at: Timestamp,
) -> Claimed {
    let mut claimed = Claimed::default();
    for row in rows {
        let owner = row.ownership();
        match row.order(ledger.remove(&row.order_id).unwrap_or_default()) {
            Ok(order) => claimed.claims.push(Claim {
                lease: Lease { order: owner.order, epoch: row.lease_epoch, expires_at },
                owner,
                order,
                rescues: u32::try_from(row.rescues).unwrap_or(0),
                deferred_as: row.deferred_as,
                cancel_requested: row.cancel_requested_at.is_some(),
            }),
            Err(error) => claimed.unreadable.push(error),
        }
    }
    claimed
}
