//! The account's row, locked: one admitter per account at a time, on any replica.

use std::time::Duration;

use issuance::admission::Denial;
use issuance::ids::AccountId;
use issuance::time::Timestamp;
use sqlx::{Postgres, Transaction};

use super::{StoreError, sql_instant};

/// An account that the CA refuses is asked about this often.
const STOPPED_WAIT: Duration = Duration::from_mins(5);

/// The account's row, locked.
pub(super) struct LockedAccount {
    pub(super) ca: String,
    pub(super) fair_clock: Vec<i64>,
    pub(super) passed_over: [u32; 4],
    pub(super) closed_until: Option<Timestamp>,
    pub(super) pending_max: u32,
    pub(super) recovery_reserve: u32,
    pub(super) held_until: Timestamp,
    pub(super) seeks_more: bool,
}

/// Not `for update`: that would also wait for everybody who inserts a row that refers to the account, every commit
/// of steps among them, and make them wait.
pub(super) async fn lock(
    tx: &mut Transaction<'static, Postgres>,
    account: AccountId,
    now: Timestamp,
) -> Result<LockedAccount, StoreError> {
    let row = sqlx::query!(
        "select ca, fair_clock, passed_over, gate_closed_until, pending_authorizations_max, recovery_reserve, held_until,
             paused_until, stopped_at, seeks_more_until > $2 as seeks_more
         from accounts where account_id = $1 for no key update",
        account.0,
        sql_instant(now)
    )
    .fetch_one(&mut **tx)
    .await
    .map_err(StoreError::of("admissions.lock"))?;
    // Until the operator acts, or thinks otherwise; whether he has is looked at again then.
    let looked_at = now.after(STOPPED_WAIT);
    let paused_until = row.paused_until.map(Timestamp::from).filter(|until| *until > now);
    let held_until = if row.stopped_at.is_some() {
        looked_at
    } else {
        let held_until = row.held_until.map_or(Timestamp::EPOCH, Timestamp::from);
        paused_until.map_or(held_until, |until| held_until.max(until.min(looked_at)))
    };
    Ok(LockedAccount {
        ca: row.ca,
        fair_clock: row.fair_clock,
        passed_over: passed_over(&row.passed_over),
        closed_until: row.gate_closed_until.map(Timestamp::from),
        pending_max: u32::try_from(row.pending_authorizations_max).unwrap_or(0),
        recovery_reserve: u32::try_from(row.recovery_reserve).unwrap_or(0),
        held_until,
        seeks_more: row.seeks_more.unwrap_or(false),
    })
}

fn passed_over(row: &[i32]) -> [u32; 4] {
    let mut times = [0; 4];
    for (lane, passed_over) in times.iter_mut().zip(row) {
        *lane = u32::try_from(*passed_over).unwrap_or(0);
    }
    times
}

/// Tells when the account is asked again, where it had nothing left for somebody; and that it has, where it had.
pub(super) async fn tell_whether_closed(
    tx: &mut Transaction<'static, Postgres>,
    account: AccountId,
    told: Option<Timestamp>,
    decisions: &[Result<(), Denial>],
) -> Result<(), StoreError> {
    let denials = decisions.iter().filter_map(|decision| decision.as_ref().err());
    let until = denials.filter(|denial| denial.is_the_accounts()).map(Denial::until).max();
    if until == told {
        return Ok(());
    }
    sqlx::query!(
        "update accounts set gate_closed_until = $2 where account_id = $1",
        account.0,
        until.map(sql_instant)
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .map_err(StoreError::of("admissions.tell"))
}
