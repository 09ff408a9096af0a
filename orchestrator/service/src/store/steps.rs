//! The ends of steps: what an attempt has learnt and decided, written under its lease.
//!
//! Many are written by one statement, so that a commit, and the disk it waits for, is shared by all that end
//! together. Every write is idempotent: a commit whose answer was lost is simply made again.

use std::collections::HashSet;

use issuance::answer::Wake;
use issuance::authorization::Authorization;
use issuance::ids::{EventId, OrderId};
use issuance::order::{Order, Stage};
use issuance::time::Timestamp;
use sqlx::PgConnection;
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;

use super::aftermath::Aftermath;
use super::leases::Lease;
use super::mint::Mint;
use super::order_problems::OrderProblem;
use super::{Store, StoreError, sql_instant};
use crate::mishaps::reach_write;

/// A chain that was checked against key and names, to be stored with the step that issues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedChain {
    /// Upper-case hex, as RFC 9773 and most tools write it.
    pub serial: String,
    pub fingerprint_sha256: Vec<u8>,
    pub spki_sha256: Vec<u8>,
    pub issuer: String,
    pub chain_pem: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

/// An event of the outbox, told in the transaction in which it happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Drawn when it is told, so that writing it twice tells it once.
    pub event: EventId,
    pub kind: &'static str,
    /// The object it is about, as the API names it.
    pub subject: String,
    pub data: serde_json::Value,
}

/// One end of one step.
#[derive(Debug, Clone)]
pub struct StepEnd {
    pub lease: Lease,
    pub order: Order,
    /// Those of its authorizations that the ledger does not hold yet as they are now.
    pub ledger: Vec<Authorization>,
    pub wake: Wake,
    /// Where the lease is kept (`Wake::Now`): until when.
    pub lease_until: Timestamp,
    pub chain: Option<IssuedChain>,
    pub events: Vec<Event>,
    /// What the CA has said against it since the last commit.
    pub problems: Vec<OrderProblem>,
    pub aftermath: Aftermath,
    /// Why it waits for the gate, as it was told: kept for as long as it may wait there.
    pub deferred_as: Option<String>,
}

#[derive(Default)]
struct OrderColumns {
    order_id: Vec<Uuid>,
    lease_epoch: Vec<i64>,
    stage: Vec<String>,
    due_at: Vec<Option<OffsetDateTime>>,
    lease_expires_at: Vec<Option<OffsetDateTime>>,
    looks: Vec<i32>,
    failures: Vec<i32>,
    parted: Vec<i32>,
    proven_at: Vec<Option<OffsetDateTime>>,
    admitted_at: Vec<Option<OffsetDateTime>>,
    hold_until: Vec<Option<OffsetDateTime>>,
    reserved: Vec<i32>,
    asks: Vec<i32>,
    ca_order_url: Vec<Option<String>>,
    finalize_url: Vec<Option<String>>,
    ca_expires_at: Vec<Option<OffsetDateTime>>,
    key_sealed: Vec<Option<Vec<u8>>>,
    csr_der: Vec<Option<Vec<u8>>>,
    certificate_url: Vec<Option<String>>,
    fault_class: Vec<Option<String>>,
    fault_detail: Vec<Option<String>>,
    fault_hostname: Vec<Option<String>>,
    ended_at: Vec<Option<OffsetDateTime>>,
    replaces: Vec<Option<String>>,
    lands: Vec<bool>,
    releases: Vec<bool>,
    in_line: Vec<bool>,
    set_exempt_until: Vec<Option<OffsetDateTime>>,
    ari_exempt_from: Vec<Option<OffsetDateTime>>,
    ari_exempt_until: Vec<Option<OffsetDateTime>>,
    unspent: Vec<bool>,
    deferred_as: Vec<Option<String>>,
}

impl OrderColumns {
    fn push(&mut self, end: &StepEnd, now: Timestamp) {
        let (order, stage) = (&end.order, &end.order.stage);
        self.order_id.push(end.lease.order.0);
        self.lease_epoch.push(end.lease.epoch);
        self.stage.push(stage.as_str().to_owned());
        let (due_at, lease_expires_at) = match end.wake {
            Wake::Now => (Some(end.lease_until), Some(end.lease_until)),
            Wake::At(at) => (Some(at), None),
            Wake::Never => (None, None),
        };
        self.due_at.push(due_at.map(sql_instant));
        self.lease_expires_at.push(lease_expires_at.map(sql_instant));
        self.looks.push(clamped(order.looks));
        self.failures.push(clamped(order.failures));
        self.parted.push(clamped(order.parted));
        let proven_at = match stage {
            Stage::Accepted { proven_at } => *proven_at,
            _ => None,
        };
        self.proven_at.push(proven_at.map(sql_instant));
        let reservation = stage.reservation();
        self.admitted_at.push(reservation.map(|one| sql_instant(one.admitted_at)));
        self.hold_until.push(reservation.map(|one| sql_instant(one.hold_until)));
        self.reserved.push(reservation.map_or(0, |one| clamped(one.units)));
        self.asks.push(reservation.map_or(0, |one| clamped(one.asks)));
        let ca = stage.ca();
        self.ca_order_url.push(ca.map(|one| one.url.to_string()));
        self.finalize_url.push(ca.map(|one| one.finalize_url.to_string()));
        self.ca_expires_at.push(ca.map(|one| sql_instant(one.expires_at)));
        let (request, certificate_url) = match stage {
            Stage::Finalizing { request, certificate_url, .. } => (Some(request), certificate_url.as_ref()),
            Stage::Issued { request, .. } => (Some(request), None),
            _ => (None, None),
        };
        self.key_sealed.push(request.and_then(|one| one.key_sealed.clone()));
        self.csr_der.push(request.map(|one| one.csr_der.clone()));
        self.certificate_url.push(certificate_url.map(ToString::to_string));
        let fault = match stage {
            Stage::Parked { fault } | Stage::Failed { fault, .. } => Some(fault),
            _ => None,
        };
        self.fault_class.push(fault.map(|one| one.class.as_str().to_owned()));
        self.fault_detail.push(fault.map(|one| one.detail.to_string()));
        self.fault_hostname.push(fault.and_then(|one| one.hostname.as_ref()).map(ToString::to_string));
        let ended_at = match stage {
            Stage::Issued { at, .. } | Stage::Failed { at, .. } | Stage::Cancelled { at, .. } => Some(*at),
            _ => None,
        };
        self.ended_at.push(ended_at.map(sql_instant));
        self.replaces.push(order.replaces.as_deref().map(str::to_owned));
        let back_home = matches!(stage, Stage::Accepted { .. } | Stage::Parked { .. });
        self.lands.push(back_home || order.is_at_rest());
        self.releases.push(back_home || stage.is_ended());
        self.in_line.push(back_home && matches!(end.wake, Wake::At(at) if at <= now));
        self.set_exempt_until.push(order.exemptions.set_until.map(sql_instant));
        let window = order.exemptions.renewal_info;
        self.ari_exempt_from.push(window.map(|(from, _)| sql_instant(from)));
        self.ari_exempt_until.push(window.map(|(_, until)| sql_instant(until)));
        self.unspent.push(end.aftermath.is_unspent());
        let may_wait = back_home || matches!(stage, Stage::Admitted { .. });
        self.deferred_as.push(end.deferred_as.clone().filter(|_| may_wait));
    }
}

#[derive(Default)]
struct LedgerColumns {
    order_id: Vec<Uuid>,
    authorization_id: Vec<Uuid>,
    url: Vec<String>,
    identifier: Vec<Option<String>>,
    wildcard: Vec<bool>,
    status: Vec<String>,
    origin: Vec<String>,
    challenge_type: Vec<Option<String>>,
    challenge_url: Vec<Option<String>>,
    token: Vec<Option<String>>,
    key_authorization: Vec<Option<String>>,
    opened_at: Vec<OffsetDateTime>,
    expires_at: Vec<OffsetDateTime>,
    submit_intended_at: Vec<Option<OffsetDateTime>>,
    submitted_at: Vec<Option<OffsetDateTime>>,
    deactivate_intended_at: Vec<Option<OffsetDateTime>>,
    settled_at: Vec<Option<OffsetDateTime>>,
    final_at: Vec<Option<OffsetDateTime>>,
    fault_class: Vec<Option<String>>,
    fault_detail: Vec<Option<String>>,
    settle_at: Vec<Option<OffsetDateTime>>,
}

impl LedgerColumns {
    fn push(&mut self, order: OrderId, entry: &Authorization, mint: &Mint) {
        self.order_id.push(order.0);
        // Used where the row is new; an old one keeps its id.
        self.authorization_id.push(mint.uuid());
        self.url.push(entry.url.to_string());
        self.identifier.push(entry.identifier.as_ref().map(ToString::to_string));
        self.wildcard.push(entry.wildcard);
        self.status.push(entry.status.as_str().to_owned());
        self.origin.push("ours".to_owned());
        let challenge = entry.challenge.as_ref();
        self.challenge_type.push(challenge.map(|one| one.kind.to_string()));
        self.challenge_url.push(challenge.map(|one| one.url.to_string()));
        self.token.push(challenge.map(|one| one.token.to_string()));
        self.key_authorization.push(challenge.map(|one| one.key_authorization.to_string()));
        self.opened_at.push(sql_instant(entry.opened_at));
        self.expires_at.push(sql_instant(entry.expires_at));
        self.submit_intended_at.push(entry.submit_intended_at.map(sql_instant));
        self.submitted_at.push(entry.submitted_at.map(sql_instant));
        self.deactivate_intended_at.push(entry.deactivate_intended_at.map(sql_instant));
        self.settled_at.push(entry.settled_at().map(sql_instant));
        self.final_at.push(entry.final_at.map(sql_instant));
        let fault = entry.fault.as_ref();
        self.fault_class.push(fault.map(|one| one.class.as_str().to_owned()));
        self.fault_detail.push(fault.map(|one| one.detail.to_string()));
        self.settle_at.push(entry.is_open().then(|| sql_instant(entry.settle_at)));
    }
}

#[derive(Default)]
struct ChainColumns {
    order_id: Vec<Uuid>,
    serial: Vec<String>,
    fingerprint_sha256: Vec<Vec<u8>>,
    spki_sha256: Vec<Vec<u8>>,
    issuer: Vec<String>,
    chain_pem: Vec<String>,
    not_before: Vec<OffsetDateTime>,
    not_after: Vec<OffsetDateTime>,
}

impl ChainColumns {
    fn push(&mut self, order: OrderId, chain: &IssuedChain) {
        self.order_id.push(order.0);
        self.serial.push(chain.serial.clone());
        self.fingerprint_sha256.push(chain.fingerprint_sha256.clone());
        self.spki_sha256.push(chain.spki_sha256.clone());
        self.issuer.push(chain.issuer.clone());
        self.chain_pem.push(chain.chain_pem.clone());
        self.not_before.push(sql_instant(chain.not_before));
        self.not_after.push(sql_instant(chain.not_after));
    }
}

fn clamped(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

impl Store {
    /// Writes all of `ends` in one transaction and returns the orders that were written; one that is missing
    /// there was overtaken by another worker, and nothing of it was written.
    pub async fn commit_steps(
        &self,
        ends: &[StepEnd],
        now: Timestamp,
    ) -> Result<HashSet<OrderId>, StoreError> {
        #[cfg(feature = "fault-injection")]
        let ends = &self.reached_commit(ends).await?;
        let written = self.write_steps(ends, now).await?;
        self.moved.notify_waiters();
        #[cfg(feature = "fault-injection")]
        Self::passed_commit(ends).await?;
        Ok(written)
    }

    async fn write_steps(&self, ends: &[StepEnd], now: Timestamp) -> Result<HashSet<OrderId>, StoreError> {
        if ends.iter().all(|end| end.aftermath.is_empty() && end.problems.is_empty()) {
            // One statement is a transaction of its own: no round trips for begin and commit.
            let mut connection =
                self.pool().acquire().await.map_err(StoreError::of("steps.commit: connect"))?;
            return write(&mut connection, ends, now).await;
        }
        let mut tx = self.begin("steps.commit").await?;
        let written = write(&mut tx, ends, now).await?;
        for end in ends.iter().filter(|end| written.contains(&end.lease.order)) {
            for problem in &end.problems {
                problem.write(&mut tx, end.lease.order, now).await?;
            }
            end.aftermath.write(&mut tx, end.lease.order, now).await?;
        }
        reach_write!(Before, "aftermath", "steps.commit");
        tx.commit().await.map_err(StoreError::of("steps.commit"))?;
        reach_write!(After, "aftermath", "steps.commit");
        Ok(written)
    }
}

async fn write(
    connection: &mut PgConnection,
    ends: &[StepEnd],
    now: Timestamp,
) -> Result<HashSet<OrderId>, StoreError> {
    let (mut orders, mut ledger, mut chains) =
        (OrderColumns::default(), LedgerColumns::default(), ChainColumns::default());
    let (mut event_order, mut event_id, mut event_kind, mut event_data, mut event_subject) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mint = Mint::at(now);
    for end in ends {
        let order = end.lease.order;
        orders.push(end, now);
        for entry in &end.ledger {
            ledger.push(order, entry, &mint);
        }
        if let Some(chain) = &end.chain {
            chains.push(order, chain);
        }
        for event in &end.events {
            event_order.push(order.0);
            event_id.push(event.event.0);
            event_kind.push(event.kind.to_owned());
            event_data.push(event.data.clone());
            event_subject.push(event.subject.clone());
        }
    }
    let written = sqlx::query_file_scalar!(
        "queries/orders_commit.sql",
        &orders.order_id,
        &orders.lease_epoch,
        &orders.stage,
        &orders.due_at as &[Option<OffsetDateTime>],
        &orders.lease_expires_at as &[Option<OffsetDateTime>],
        &orders.looks,
        &orders.failures,
        &orders.parted,
        &orders.proven_at as &[Option<OffsetDateTime>],
        &orders.admitted_at as &[Option<OffsetDateTime>],
        &orders.hold_until as &[Option<OffsetDateTime>],
        &orders.reserved,
        &orders.asks,
        &orders.ca_order_url as &[Option<String>],
        &orders.finalize_url as &[Option<String>],
        &orders.ca_expires_at as &[Option<OffsetDateTime>],
        &orders.key_sealed as &[Option<Vec<u8>>],
        &orders.csr_der as &[Option<Vec<u8>>],
        &orders.certificate_url as &[Option<String>],
        &orders.fault_class as &[Option<String>],
        &orders.fault_detail as &[Option<String>],
        &orders.fault_hostname as &[Option<String>],
        &orders.ended_at as &[Option<OffsetDateTime>],
        &orders.replaces as &[Option<String>],
        &orders.lands,
        &ledger.order_id,
        &ledger.authorization_id,
        &ledger.url,
        &ledger.identifier as &[Option<String>],
        &ledger.wildcard,
        &ledger.status,
        &ledger.origin,
        &ledger.challenge_type as &[Option<String>],
        &ledger.challenge_url as &[Option<String>],
        &ledger.token as &[Option<String>],
        &ledger.key_authorization as &[Option<String>],
        &ledger.opened_at,
        &ledger.expires_at,
        &ledger.submit_intended_at as &[Option<OffsetDateTime>],
        &ledger.submitted_at as &[Option<OffsetDateTime>],
        &ledger.deactivate_intended_at as &[Option<OffsetDateTime>],
        &ledger.settled_at as &[Option<OffsetDateTime>],
        &ledger.final_at as &[Option<OffsetDateTime>],
        &ledger.fault_class as &[Option<String>],
        &ledger.fault_detail as &[Option<String>],
        &ledger.settle_at as &[Option<OffsetDateTime>],
        sql_instant(now),
        &chains.order_id,
        &chains.serial,
        &chains.fingerprint_sha256,
        &chains.spki_sha256,
        &chains.issuer,
        &chains.chain_pem,
        &chains.not_before,
        &chains.not_after,
        &event_order,
        &event_id,
        &event_kind,
        &event_data,
        &orders.releases,
        &orders.in_line,
        &orders.set_exempt_until as &[Option<OffsetDateTime>],
        &orders.ari_exempt_from as &[Option<OffsetDateTime>],
        &orders.ari_exempt_until as &[Option<OffsetDateTime>],
        &orders.unspent,
        &orders.deferred_as as &[Option<String>],
        &event_subject
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::of("steps.write"))?;
    Ok(written.into_iter().map(OrderId).collect())
}
