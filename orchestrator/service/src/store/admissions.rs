//! The gate: one transaction that counts what an account holds and takes from every budget an order needs.
//!
//! The account's row is locked first, so there is one admitter per account at a time, on any replica; what
//! is held is then counted, not remembered, so no counter can drift. The decision itself is
//! [`issuance::admission`]'s.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use issuance::admission::{self, Budget, Candidate, Denial};
use issuance::backoff::HostnameBackoff;
use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::{AccountId, OrderId};
use issuance::limit::{Limit, LimitName};
use issuance::order::Reservation;
use issuance::profile::CaProfile;
use issuance::settle::Pressure;
use issuance::time::Timestamp;
use sqlx::types::Uuid;
use sqlx::{Postgres, Transaction};

use super::leases::Lease;
use super::{Store, StoreError, backoffs, sql_instant, summary};
use crate::mishaps::{lacks, reach_write};

/// An order at the gate.
#[derive(Debug, Clone)]
pub struct AdmissionRequest {
    pub lease: Lease,
    pub names: Identifiers,
    pub proven_at: Timestamp,
    /// The certificate profile to ask for, committed with the intent.
    pub profile: Option<Box<str>>,
    /// new-order may have been executed already: it is asked for again, from the recovery reserve.
    pub again: bool,
}

/// The gate's answer to one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdmissionOutcome {
    /// Committed.
    Granted(Reservation),
    Denied(Denial),
    /// Another worker has it.
    LeaseLost,
}

/// The account's row, locked.
struct LockedAccount {
    pending_max: u32,
    recovery_reserve: u32,
    held_until: Timestamp,
}

impl Store {
    /// Decides for `requests`, oldest first, and commits what is granted. The outcomes are in their order.
    pub async fn admit(
        &self,
        account: AccountId,
        requests: &[AdmissionRequest],
        profile: &CaProfile,
        now: Timestamp,
    ) -> Result<Vec<AdmissionOutcome>, StoreError> {
        let mut tx = self.begin("admissions.admit").await?;
        let locked = lock(&mut tx, account, now).await?;
        let targets: Vec<String> = requests
            .iter()
            .flat_map(|request| &request.names)
            .map(|name| name.validation_target().to_owned())
            .collect();
        let (mut budget, mut flights) = count(&mut tx, account, &locked, &targets, profile, now).await?;
        let remembered = remembered(&mut tx, account, &targets).await?;

        let mut decisions = Vec::with_capacity(requests.len());
        for again in [true, false] {
            // What is in doubt goes first, and may use the reserve.
            let reserve = if again || lacks!(RecoveryReserve) { 0 } else { locked.recovery_reserve };
            budget.pending_max = locked.pending_max.saturating_sub(reserve);
            let batch: Vec<(usize, Vec<(Hostname, HostnameBackoff)>)> = requests
                .iter()
                .enumerate()
                .filter(|(_, request)| request.again == again)
                .map(|(index, request)| (index, failures_of(&request.names, &remembered)))
                .collect();
            let candidates: Vec<Candidate<'_>> = batch
                .iter()
                .map(|(index, failures)| Candidate {
                    names: &requests[*index].names,
                    proven_at: requests[*index].proven_at,
                    backoffs: failures,
                    again,
                })
                .collect();
            let outcomes = admission::admit(&candidates, &mut budget, &mut flights, now);
            decisions.extend(batch.iter().map(|(index, _)| *index).zip(outcomes));
        }
        decisions.sort_by_key(|(index, _)| *index);
        let decisions: Vec<_> = decisions.into_iter().map(|(_, decision)| decision).collect();

        let spent = budget.new_orders.map(|(_, full_at)| full_at);
        let outcomes = grant(&mut tx, requests, decisions, spent, profile, now).await?;
        reach_write!(Before, "admission", "admissions.commit");
        tx.commit().await.map_err(StoreError::of("admissions.commit"))?;
        reach_write!(After, "admission", "admissions.commit");
        Ok(outcomes)
    }
}

impl Store {
    /// How much is held of what ordinary work may hold of the account's pending-authorization budget.
    pub async fn pressure(&self, account: AccountId, now: Timestamp) -> Result<Pressure, StoreError> {
        let usage = sqlx::query_file!("queries/admission_usage.sql", account.0, sql_instant(now), &[])
            .fetch_one(self.pool())
            .await
            .map_err(StoreError::of("admissions.usage"))?;
        let ordinary = sqlx::query_scalar!(
            r#"select pending_authorizations_max - recovery_reserve as "ordinary!"
               from accounts where account_id = $1"#,
            account.0
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("admissions.cap"))?;
        Ok(Pressure::of(summary::count(usage.reserved + usage.pending), summary::count(ordinary.into())))
    }
}

/// Not `for update`: that would also wait for everybody who inserts a row that refers to the account, every commit
/// of steps among them, and make them wait.
async fn lock(
    tx: &mut Transaction<'static, Postgres>,
    account: AccountId,
    now: Timestamp,
) -> Result<LockedAccount, StoreError> {
    let row = sqlx::query!(
        "select pending_authorizations_max, recovery_reserve, held_until, stopped_at
         from accounts where account_id = $1 for no key update",
        account.0
    )
    .fetch_one(&mut **tx)
    .await
    .map_err(StoreError::of("admissions.lock"))?;
    let held_until = match row.stopped_at {
        // Until the operator acts; whether he has is looked at again then.
        Some(_) => now.after(STOPPED_WAIT),
        None => row.held_until.map_or(Timestamp::EPOCH, Timestamp::from),
    };
    Ok(LockedAccount {
        pending_max: u32::try_from(row.pending_authorizations_max).unwrap_or(0),
        recovery_reserve: u32::try_from(row.recovery_reserve).unwrap_or(0),
        held_until,
    })
}

/// What is held and what is left, and which of `targets` are in flight.
async fn count(
    tx: &mut Transaction<'static, Postgres>,
    account: AccountId,
    locked: &LockedAccount,
    targets: &[String],
    profile: &CaProfile,
    now: Timestamp,
) -> Result<(Budget, HashSet<Box<str>>), StoreError> {
    let usage = sqlx::query_file!("queries/admission_usage.sql", account.0, sql_instant(now), targets)
        .fetch_one(&mut **tx)
        .await
        .map_err(StoreError::of("admissions.count"))?;
    let bucket = profile.limit(LimitName::NewOrdersPerAccount).and_then(Limit::bucket);
    let full_at = usage.new_orders_full_at.map_or(now, Timestamp::from);
    let reserved = if lacks!(ReservationBeforeCall) { 0 } else { usage.reserved };
    let budget = Budget {
        pending_max: locked.pending_max,
        pending: u32::try_from(reserved + usage.pending).unwrap_or(u32::MAX),
        new_orders: bucket.map(|bucket| (bucket, full_at)),
        held_until: locked.held_until,
    };
    Ok((budget, usage.busy.into_iter().map(Box::from).collect()))
}

async fn remembered(
    tx: &mut Transaction<'static, Postgres>,
    account: AccountId,
    targets: &[String],
) -> Result<HashMap<Box<str>, HostnameBackoff>, StoreError> {
    let failures = backoffs::read(&mut **tx, account, targets).await?;
    Ok(failures.into_iter().map(|one| (one.hostname.as_str().into(), one.backoff)).collect())
}

fn failures_of(
    names: &Identifiers,
    remembered: &HashMap<Box<str>, HostnameBackoff>,
) -> Vec<(Hostname, HostnameBackoff)> {
    names
        .iter()
        .filter_map(|name| remembered.get(name.validation_target()).map(|backoff| (name.clone(), *backoff)))
        .collect()
}

/// Another account's admitter may have started a flight since it was looked: whoever inserts first flies.
async fn take_off(
    tx: &mut Transaction<'static, Postgres>,
    flying: &[(OrderId, &Identifiers)],
) -> Result<HashSet<OrderId>, StoreError> {
    let (mut targets, mut orders): (Vec<String>, Vec<Uuid>) = (Vec::new(), Vec::new());
    for (order, names) in flying {
        let mut own: Vec<&str> = names.iter().map(Hostname::validation_target).collect();
        own.sort_unstable();
        own.dedup();
        targets.extend(own.iter().map(|&target| target.to_owned()));
        orders.extend(own.iter().map(|_| order.0));
    }
    let taken = sqlx::query_scalar!(
        "insert into flights (validation_target, order_id)
         select * from unnest($1::text[], $2::uuid[])
         on conflict (validation_target) do nothing
         returning order_id",
        &targets,
        &orders
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(StoreError::of("admissions.take_off"))?;
    let mut wanted: HashMap<Uuid, usize> = HashMap::new();
    for order in orders {
        *wanted.entry(order).or_default() += 1;
    }
    for order in taken {
        if let Some(missing) = wanted.get_mut(&order) {
            *missing -= 1;
        }
    }
    let grounded: Vec<Uuid> =
        wanted.iter().filter(|(_, missing)| **missing > 0).map(|(order, _)| *order).collect();
    ground(tx, &grounded).await?;
    Ok(grounded.into_iter().map(OrderId).collect())
}

/// Takes back what was taken off in this transaction.
async fn ground(tx: &mut Transaction<'static, Postgres>, orders: &[Uuid]) -> Result<(), StoreError> {
    if !orders.is_empty() {
        sqlx::query!("delete from flights where order_id = any($1)", orders)
            .execute(&mut **tx)
            .await
            .map_err(StoreError::of("admissions.ground"))?;
    }
    Ok(())
}

async fn grant(
    tx: &mut Transaction<'static, Postgres>,
    requests: &[AdmissionRequest],
    decisions: Vec<Result<(), Denial>>,
    new_orders_full_at: Option<Timestamp>,
    profile: &CaProfile,
    now: Timestamp,
) -> Result<Vec<AdmissionOutcome>, StoreError> {
    let granted = || {
        requests.iter().zip(&decisions).filter(|(_, decision)| decision.is_ok()).map(|(request, _)| request)
    };
    let flying: Vec<_> = granted()
        .filter(|request| !request.again)
        .map(|request| (request.lease.order, &request.names))
        .collect();
    let grounded = if flying.is_empty() { HashSet::new() } else { take_off(tx, &flying).await? };
    let going: Vec<_> = granted().filter(|request| !grounded.contains(&request.lease.order)).collect();
    let mut reservations = HashMap::new();
    if !going.is_empty() {
        let orders: Vec<Uuid> = going.iter().map(|request| request.lease.order.0).collect();
        let epochs: Vec<i64> = going.iter().map(|request| request.lease.epoch).collect();
        let proven: Vec<_> = going.iter().map(|request| sql_instant(request.proven_at)).collect();
        let profiles: Vec<Option<String>> =
            going.iter().map(|request| request.profile.as_deref().map(str::to_owned)).collect();
        let hold_until =
            now.after(Duration::from_secs(profile.pending_authorization_seconds)).after(HOLD_MARGIN);
        let rows = sqlx::query_file!(
            "queries/admission_grant.sql",
            &orders,
            sql_instant(now),
            sql_instant(hold_until),
            &epochs,
            &proven,
            &profiles as &[Option<String>],
            new_orders_full_at.map(sql_instant)
        )
        .fetch_all(&mut **tx)
        .await
        .map_err(StoreError::of("admissions.grant"))?;
        reservations.extend(rows.into_iter().map(|row| {
            let reservation = Reservation {
                admitted_at: row.admitted_at.into(),
                hold_until,
                units: u32::try_from(row.reserved_authorizations).unwrap_or(u32::MAX),
                asks: u32::try_from(row.asks).unwrap_or(u32::MAX),
            };
            (OrderId(row.order_id), reservation)
        }));
        // Taken off above for somebody who was overtaken meanwhile: nobody would ever land it.
        let overtaken: Vec<Uuid> = going
            .iter()
            .filter(|request| !request.again && !reservations.contains_key(&request.lease.order))
            .map(|request| request.lease.order.0)
            .collect();
        ground(tx, &overtaken).await?;
    }
    Ok(requests
        .iter()
        .zip(decisions)
        .map(|(request, decision)| {
            let order = request.lease.order;
            match decision {
                Err(denial) => AdmissionOutcome::Denied(denial),
                Ok(()) if grounded.contains(&order) => AdmissionOutcome::Denied(Denial::TargetBusy {
                    target: request.names.canonical().into(),
                    until: now.after(GROUNDED_WAIT),
                }),
                Ok(()) => {
                    reservations.remove(&order).map_or(AdmissionOutcome::LeaseLost, AdmissionOutcome::Granted)
                }
            }
        })
        .collect())
}

/// The CA's clock and ours may differ.
const HOLD_MARGIN: Duration = Duration::from_mins(1);
/// An account that the CA refuses is asked about this often.
const STOPPED_WAIT: Duration = Duration::from_mins(5);
/// A race for a target was lost: its winner flies about this long.
const GROUNDED_WAIT: Duration = Duration::from_secs(5);
