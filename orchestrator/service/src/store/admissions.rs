//! The gate: one transaction that counts what an account holds and takes from every budget an order needs.
//!
//! The account's row is locked first, so there is one admitter per account at a time, on any replica; what
//! is held is then counted, not remembered, so no counter can drift. The decision itself is
//! [`issuance::admission`]'s.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use issuance::admission::{self, Books, Budget, Candidate, Denial};
use issuance::allowance::Allowance;
use issuance::backoff::HostnameBackoff;
use issuance::exemption::{Exemption, Exemptions};
use issuance::fairness::{Lane, Turns};
use issuance::gcra::Bucket;
use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::{AccountId, OrderId};
use issuance::mirror::{self, BucketKey, Meters, Need};
use issuance::order::Reservation;
use issuance::profile::CaProfile;
use issuance::settle::Pressure;
use issuance::time::Timestamp;
use sqlx::types::Uuid;
use sqlx::{Postgres, Transaction};

use super::account_lock::{self, LockedAccount};
use super::ahead::Ahead;
use super::leases::{Claim, Lease};
use super::{Store, StoreError, backoffs, flights, meters, sql_instant, sql_micros, summary};
use crate::mishaps::{lacks, reach_write};

/// An order at the gate.
#[derive(Debug, Clone)]
pub struct AdmissionRequest {
    pub lease: Lease,
    pub names: Identifiers,
    pub proven_at: Timestamp,
    pub lane: Lane,
    /// Its place in the line of its lane.
    pub fair_tag: i64,
    pub exemptions: Exemptions,
    /// The certificate profile to ask for, committed with the intent.
    pub profile: Option<Box<str>>,
    /// new-order may have been executed already: it is asked for again, from the recovery reserve.
    pub again: bool,
}

impl AdmissionRequest {
    /// Of an order that comes to the gate for the first time, proven at `proven_at`.
    pub fn first(claim: &Claim, proven_at: Timestamp) -> Self {
        Self {
            lease: claim.lease,
            names: claim.order.names.clone(),
            proven_at,
            lane: claim.owner.lane,
            fair_tag: claim.owner.fair_tag,
            exemptions: claim.order.exemptions,
            profile: claim.order.profile.clone(),
            again: false,
        }
    }
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

/// What the gate has said to a batch, and what an account has left after it.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// In the order of the requests.
    pub outcomes: Vec<AdmissionOutcome>,
    pub allowance: Allowance,
}

impl Store {
    /// Decides for `requests`, in the order of their lanes and places in them, and commits what is granted.
    pub async fn admit(
        &self,
        account: AccountId,
        requests: &[AdmissionRequest],
        profile: &CaProfile,
        now: Timestamp,
    ) -> Result<Admitted, StoreError> {
        let mut tx = self.begin("admissions.admit").await?;
        let locked = account_lock::lock(&mut tx, account, now).await?;
        let targets: Vec<String> = requests
            .iter()
            .flat_map(|request| &request.names)
            .map(|name| name.validation_target().to_owned())
            .collect();
        let rules = meters::rules(&mut tx, &locked.ca, account, profile, now).await?;
        let (mut budget, mut flights) = count(&mut tx, account, &locked, &targets, now).await?;
        let remembered = remembered(&mut tx, account, &targets).await?;
        let wants: Vec<Wants> = requests.iter().map(|request| Wants::of(request, account, now)).collect();
        let new_orders = BucketKey::of_account(account);
        let wanted = wants.iter().flat_map(|one| &one.needs).map(|need| &need.bucket);
        let wanted: BTreeSet<&BucketKey> = wanted.chain([&new_orders]).collect();
        let mut before =
            meters::read(&mut tx, &locked.ca, &rules, wanted, profile.limits_certain, now).await?;
        budget.new_orders = before.remove(&new_orders);
        let mut meters = before.clone();

        let left = budget.new_orders.map_or(u32::MAX, |meter| meter.left(now));
        let mut turns = Turns::of(locked.passed_over);
        let ahead = Ahead::read(&mut tx, account, requests, &turns, left, now).await?;
        let mut decisions = Vec::with_capacity(requests.len());
        for again in [true, false] {
            // What is in doubt goes first, and may use the reserve.
            let reserve = if again || lacks!(RecoveryReserve) { 0 } else { locked.recovery_reserve };
            budget.pending_max = locked.pending_max.saturating_sub(reserve);
            let mut batch: Vec<(usize, Vec<(Hostname, HostnameBackoff)>)> = requests
                .iter()
                .enumerate()
                .filter(|(_, request)| request.again == again)
                .map(|(index, request)| (index, failures_of(&request.names, &remembered)))
                .collect();
            batch.sort_by_key(|(index, _)| (turns.place(requests[*index].lane), requests[*index].fair_tag));
            let candidates: Vec<Candidate<'_>> = batch
                .iter()
                .map(|(index, failures)| Candidate {
                    names: &requests[*index].names,
                    lane: requests[*index].lane,
                    proven_at: requests[*index].proven_at,
                    backoffs: failures,
                    again,
                    exemption: wants[*index].exemption,
                    needs: &wants[*index].needs,
                    ahead: ahead.of(&requests[*index], &turns),
                })
                .collect();
            let mut books = Books { budget: &mut budget, flights: &mut flights, meters: &mut meters };
            let outcomes = admission::admit(&candidates, &mut books, now);
            decisions.extend(batch.iter().map(|(index, _)| *index).zip(outcomes));
        }
        decisions.sort_by_key(|(index, _)| *index);
        let decisions: Vec<_> = decisions.into_iter().map(|(_, decision)| decision).collect();

        meters::promise(&mut tx, &locked.ca, &before, &meters).await?;
        if wants.iter().any(|one| one.exemption.is_none()) {
            account_lock::tell_whether_closed(&mut tx, account, locked.closed_until, &decisions).await?;
        }
        for (request, _) in served(requests, &wants, &decisions) {
            turns.served([request.lane]);
        }
        let taken = Taken {
            new_orders: budget.new_orders.map(|meter| (&new_orders, meter.bucket)),
            fair_clock: clock_after(&locked.fair_clock, requests, &decisions),
            passed_over: turns.passed_over().map(|times| i32::try_from(times).unwrap_or(i32::MAX)),
            meters: &meters,
        };
        let outcomes = grant(&mut tx, requests, &wants, decisions, taken, profile, now).await?;
        reach_write!(Before, "admission", "admissions.commit");
        tx.commit().await.map_err(StoreError::of("admissions.commit"))?;
        reach_write!(After, "admission", "admissions.commit");
        let allowance = Allowance::of(&budget, now);
        Ok(Admitted { outcomes, allowance })
    }
}

/// What one request wants of the limits.
struct Wants {
    exemption: Option<Exemption>,
    needs: Vec<Need>,
}

impl Wants {
    fn of(request: &AdmissionRequest, account: AccountId, now: Timestamp) -> Self {
        let exemption = request.exemptions.at(now);
        let set_is_known = request.exemptions.set_until.is_some_and(|until| now < until);
        Self { exemption, needs: mirror::needs(&request.names, account, exemption, set_is_known) }
    }
}

/// What a decision has taken, beside what stands in the rows of its orders.
struct Taken<'a> {
    /// Where the CA counts new orders.
    new_orders: Option<(&'a BucketKey, Bucket)>,
    fair_clock: Vec<i64>,
    passed_over: [i32; 4],
    meters: &'a Meters,
}

/// Those that are let through and take what the others wait for.
fn served<'a>(
    requests: &'a [AdmissionRequest],
    wants: &'a [Wants],
    decisions: &'a [Result<(), Denial>],
) -> impl Iterator<Item = (&'a AdmissionRequest, &'a Wants)> {
    let asked = requests.iter().zip(wants).zip(decisions);
    asked
        .filter(|((_, wants), decision)| decision.is_ok() && wants.exemption.is_none())
        .map(|(asked, _)| asked)
}

/// How far the lanes have come with what was granted.
fn clock_after(before: &[i64], requests: &[AdmissionRequest], decisions: &[Result<(), Denial>]) -> Vec<i64> {
    let mut clock = before.to_vec();
    for (request, decision) in requests.iter().zip(decisions) {
        if let (Ok(()), Some(lane)) = (decision, clock.get_mut(request.lane as usize)) {
            *lane = (*lane).max(request.fair_tag);
        }
    }
    clock
}

impl Store {
    /// Of an [`Store::admit`] at `at` whose COMMIT was not answered: what it has granted, if it was executed. Whoever
    /// holds the leases may go on with that: nobody else can have acted upon it.
    pub async fn granted_at(
        &self,
        requests: &[AdmissionRequest],
        at: Timestamp,
    ) -> Result<HashMap<OrderId, Reservation>, StoreError> {
        let orders: Vec<Uuid> = requests.iter().map(|request| request.lease.order.0).collect();
        let epochs: Vec<i64> = requests.iter().map(|request| request.lease.epoch).collect();
        let rows = sqlx::query!(
            r#"select
                   orders.order_id, orders.hold_until as "hold_until!", orders.reserved_authorizations, orders.asks
               from unnest($1::uuid[], $2::bigint[]) as asked (order_id, lease_epoch)
               join orders using (order_id, lease_epoch)
               where orders.stage = 'admitted' and orders.admitted_at = $3"#,
            &orders,
            &epochs,
            sql_instant(at)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("admissions.granted"))?;
        let granted = rows.into_iter().map(|row| {
            let reservation = Reservation {
                admitted_at: at,
                hold_until: row.hold_until.into(),
                units: u32::try_from(row.reserved_authorizations).unwrap_or(u32::MAX),
                asks: u32::try_from(row.asks).unwrap_or(u32::MAX),
            };
            (OrderId(row.order_id), reservation)
        });
        Ok(granted.collect())
    }

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

/// What is held, and which of `targets` are in flight.
async fn count(
    tx: &mut Transaction<'static, Postgres>,
    account: AccountId,
    locked: &LockedAccount,
    targets: &[String],
    now: Timestamp,
) -> Result<(Budget, HashSet<Box<str>>), StoreError> {
    let usage = sqlx::query_file!("queries/admission_usage.sql", account.0, sql_instant(now), targets)
        .fetch_one(&mut **tx)
        .await
        .map_err(StoreError::of("admissions.count"))?;
    let reserved = if lacks!(ReservationBeforeCall) { 0 } else { usage.reserved };
    let budget = Budget {
        pending_max: locked.pending_max,
        pending: u32::try_from(reserved + usage.pending).unwrap_or(u32::MAX),
        new_orders: None,
        seeks_more: locked.seeks_more,
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

async fn grant(
    tx: &mut Transaction<'static, Postgres>,
    requests: &[AdmissionRequest],
    wants: &[Wants],
    decisions: Vec<Result<(), Denial>>,
    taken: Taken<'_>,
    profile: &CaProfile,
    now: Timestamp,
) -> Result<Vec<AdmissionOutcome>, StoreError> {
    let granted = || {
        let asked = requests.iter().zip(wants).zip(&decisions);
        asked.filter(|(_, decision)| decision.is_ok()).map(|(asked, _)| asked)
    };
    let flying: Vec<_> = granted()
        .filter(|(request, _)| !request.again)
        .map(|(request, _)| (request.lease.order, &request.names))
        .collect();
    let grounded = if flying.is_empty() { HashSet::new() } else { flights::take_off(tx, &flying).await? };
    let going: Vec<_> = granted().filter(|(request, _)| !grounded.contains(&request.lease.order)).collect();
    let held = Held::of(&going, &taken);
    let counts: Vec<bool> = going.iter().map(|(_, wants)| wants.exemption.is_none()).collect();
    let going: Vec<_> = going.into_iter().map(|(request, _)| request).collect();
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
            &counts,
            &held.orders,
            &held.limits,
            &held.keys,
            &held.refills,
            &taken.fair_clock,
            &taken.passed_over
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
        flights::ground(tx, &overtaken).await?;
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

/// What the CA will count later, column by column.
#[derive(Default)]
struct Held {
    orders: Vec<Uuid>,
    limits: Vec<String>,
    keys: Vec<String>,
    refills: Vec<i64>,
}

impl Held {
    fn of(going: &[(&AdmissionRequest, &Wants)], taken: &Taken<'_>) -> Self {
        let mut held = Self::default();
        for (request, wants) in going {
            if let Some((key, bucket)) = taken.new_orders.filter(|_| wants.exemption.is_none()) {
                held.push(request, key, bucket);
            }
            // Asked for again, it holds the others already.
            for need in wants.needs.iter().filter(|need| need.reserved && !request.again) {
                if let Some(meter) = taken.meters.get(&need.bucket) {
                    held.push(request, &need.bucket, meter.bucket);
                }
            }
        }
        held
    }

    fn push(&mut self, request: &AdmissionRequest, key: &BucketKey, bucket: Bucket) {
        self.orders.push(request.lease.order.0);
        self.limits.push(key.limit.as_str().to_owned());
        self.keys.push(key.key.to_string());
        self.refills.push(sql_micros(bucket.refill()));
    }
}

/// The CA's clock and ours may differ.
const HOLD_MARGIN: Duration = Duration::from_mins(1);
/// A race for a target was lost: its winner flies about this long.
const GROUNDED_WAIT: Duration = Duration::from_secs(5);
