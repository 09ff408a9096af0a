//! What is told of an order's steps to whoever listens: with the step, in its transaction.

use issuance::admission::Denial;
use issuance::event::new_deferral;
use issuance::fault::Fault;
use issuance::order::{Order, Stage};
use issuance::time::Timestamp;
use issuance::waiting;
use serde_json::{Value, json};

use crate::store::aftermath::{Aftermath, SuccessorKind};
use crate::store::leases::Claim;
use crate::store::steps::{Event, IssuedChain};
use crate::store::{Ownership, Store};

/// What is told of a step, if it is worth telling. Whether a certificate is the first of its kind or renews one is known
/// where it is written.
pub(super) fn told(
    store: &Store,
    owner: Ownership,
    before: &Stage,
    order: &Order,
    issued: Option<&IssuedChain>,
    now: Timestamp,
) -> Option<Event> {
    if before.as_str() == order.stage.as_str() {
        return None;
    }
    let of_order = |kind, data| {
        Some(Event { event: store.mint_event(now), kind, subject: owner.order.to_string(), data })
    };
    let faulty = |fault: &Fault| json!({ "names": order.names, "fault": shown(fault) });
    match &order.stage {
        Stage::Issued { .. } => {
            let data = json!({
                "order_id": owner.order,
                "names": order.names,
                "serial": issued.map(|chain| &chain.serial),
                "issuer": issued.map(|chain| &chain.issuer),
                "not_before": issued.map(|chain| chain.not_before),
                "not_after": issued.map(|chain| chain.not_after),
            });
            let subject = owner.certificate.to_string();
            Some(Event { event: store.mint_event(now), kind: "certificate.issued", subject, data })
        }
        Stage::Parked { fault } => of_order("order.parked", faulty(fault)),
        Stage::Failed { fault, .. } => of_order("order.failed", faulty(fault)),
        Stage::Cancelled { .. } => of_order("order.cancelled", json!({ "names": order.names })),
        _ => None,
    }
}

/// A certificate that could not be had, and when it is tried again; told once a day for one cause, which is seen where it is
/// written.
pub(super) fn failure(
    store: &Store,
    owner: Ownership,
    before: &Stage,
    order: &Order,
    aftermath: &Aftermath,
    now: Timestamp,
) -> Option<Event> {
    let Stage::Failed { fault, .. } = &order.stage else { return None };
    if matches!(before, Stage::Failed { .. }) {
        return None;
    }
    let retried_at = aftermath.successors.iter().find_map(|one| match &one.kind {
        SuccessorKind::Retry { due_at, .. } => Some(*due_at),
        SuccessorKind::Part { .. } => None,
    });
    let data = json!({
        "order_id": owner.order,
        "names": order.names,
        "fault": shown(fault),
        "failures": order.failures.saturating_add(1),
        "next_attempt_at": retried_at,
    });
    let subject = owner.certificate.to_string();
    Some(Event { event: store.mint_event(now), kind: "certificate.failed", subject, data })
}

/// An order that the gate keeps waiting: told once for each reason, however often the gate is asked.
pub(super) fn deferral(store: &Store, claim: &mut Claim, denial: &Denial, now: Timestamp) -> Option<Event> {
    let before = claim.deferred_as.as_deref();
    let Some(told) = new_deferral(before, denial.as_str(), denial.until(), now) else {
        // No news; but people are shown the last one as what it waits for.
        if let Some(reordered) = waiting::with_last(before, denial.as_str()) {
            claim.deferred_as = Some(reordered);
        }
        return None;
    };
    claim.deferred_as = Some(told);
    let (limit, key) = match denial {
        Denial::Limit { limit, key, .. } => (Some(limit.as_str()), Some(&**key)),
        Denial::Unproven { limit, .. } => (Some(limit.as_str()), None),
        Denial::NewOrders { .. } => (Some("new_orders_per_account"), None),
        Denial::Backoff { hostname, .. } => (None, Some(hostname.as_str())),
        Denial::TargetBusy { target, .. } => (None, Some(&**target)),
        Denial::NoRoom { .. } | Denial::Held { .. } | Denial::Turn { .. } => (None, None),
    };
    let data = json!({
        "names": claim.order.names,
        "reason": denial.as_str(),
        "limit": limit,
        "key": key,
        "next_attempt_at": denial.until(),
    });
    let subject = claim.owner.order.to_string();
    Some(Event { event: store.mint_event(now), kind: "order.deferred", subject, data })
}

fn shown(fault: &Fault) -> Value {
    json!({
        "class": fault.class,
        "detail": fault.detail,
        "hostname": fault.hostname,
        "advice": fault.class.advice(),
    })
}
