//! Certificates that are to be renewed: plans for those just issued, orders for those whose instant has come.

use std::time::Duration;

use issuance::renewal::{self, Plan, Turn};
use issuance::time::Timestamp;
use tracing::info;

use crate::acme::renewal_info;
use crate::chance::draw;
use crate::store::renewal_orders::{DueRenewal, RenewalTurn};
use crate::store::renewals::{Planned, Unplanned};

use super::renewal_instruments::RenewalInstruments;
use super::{Pass, ROWS_MAX, ReconcileError, ReconcileParts, Reconciler};

/// How often [`ROWS_MAX`] certificates are planned by one pass: as many as a fast import brings until the next.
const PLANNED_ROUNDS_MAX: usize = 25;
/// A renewal that has not succeeded for this long is overdue, whatever it waits for.
const OVERDUE_AFTER: Duration = Duration::from_hours(24);
/// A row that cannot be read is looked at again after this.
const UNREADABLE_WAIT: Duration = Duration::from_hours(24);

const PLANNED: &str = "planned";
const QUEUED: &str = "queued";
const HASTENED: &str = "hastened";
const TOLD: &str = "told";

#[derive(Debug)]
pub struct Renew {
    parts: ReconcileParts,
    renewals_max: u16,
    instruments: RenewalInstruments,
}

impl Renew {
    pub fn new(parts: ReconcileParts, renewals_max: u16) -> Self {
        Self { parts, renewals_max, instruments: RenewalInstruments::register() }
    }

    /// Certificates issued since the last pass get their instants; what the CA wants is asked by the next pass of `ari`.
    async fn plan(&self, now: Timestamp, pass: &mut Pass) -> Result<(), ReconcileError> {
        let ReconcileParts { store, account, account_id, .. } = &self.parts;
        let asks = account.has_renewal_info();
        for _ in 0..PLANNED_ROUNDS_MAX {
            let unplanned = store.unplanned_renewals(*account_id, ROWS_MAX).await?;
            if unplanned.is_empty() {
                break;
            }
            let plans: Vec<Planned> = unplanned.iter().map(|one| planned(one, asks, now)).collect();
            store.plan_renewals(&plans).await?;
            pass.add(PLANNED, plans.len() as u64);
        }
        Ok(())
    }

    async fn order(&self, now: Timestamp, pass: &mut Pass) -> Result<(), ReconcileError> {
        let ReconcileParts { store, account, account_id, .. } = &self.parts;
        let mut due =
            store.due_renewals(*account_id, now, now.after(UNREADABLE_WAIT), self.renewals_max).await?;
        if due.is_empty() {
            return Ok(());
        }
        let takes_replaces = account.has_renewal_info();
        for one in &mut due {
            one.standing.can_replace &= takes_replaces;
        }
        let turns: Vec<RenewalTurn<'_>> = due.iter().map(|one| decided(one, now)).collect();
        let written = store.queue_renewals(&turns, now).await?;
        for turn in turns.iter().filter(|turn| written.queued.contains(&turn.due.certificate)) {
            RenewalInstruments::queued(turn.due.standing.plan.basis());
        }
        if !written.queued.is_empty() {
            info!(
                event = "renewals.queued",
                renewals = written.queued.len(),
                "{} renewals were queued",
                written.queued.len()
            );
        }
        pass.add(QUEUED, written.queued.len() as u64);
        pass.add(HASTENED, written.hastened);
        Ok(())
    }
}

fn planned(one: &Unplanned, asks: bool, now: Timestamp) -> Planned {
    let renewal_id = renewal_info::renewal_id(&one.chain_pem);
    let poll_at = (asks && renewal_id.is_some() && now < one.validity.not_after).then_some(now);
    let renew_at = Plan::by_lifetime(one.validity, draw()).renew_at;
    Planned { order: one.order, renewal_id, renew_at, poll_at }
}

fn decided(due: &DueRenewal, now: Timestamp) -> RenewalTurn<'_> {
    let turn = if due.needs_request { Turn::Wait } else { due.standing.turn(now) };
    RenewalTurn { due, turn, look_at: due.standing.look_again(now) }
}

impl Reconciler for Renew {
    const NAME: &'static str = "renew";
    const KINDS: &'static [&'static str] = &[PLANNED, QUEUED, HASTENED, TOLD];

    async fn pass(&self, now: Timestamp) -> Result<Pass, ReconcileError> {
        let ReconcileParts { store, account_id, .. } = &self.parts;
        let mut pass = Pass::default();
        self.plan(now, &mut pass).await?;
        self.order(now, &mut pass).await?;
        pass.add(TOLD, store.tell_expiring(*account_id, now).await?);
        let soon = now.after(renewal::URGENT_BEFORE_EXPIRY);
        let counts = store.count_renewals(*account_id, now, now.before(OVERDUE_AFTER), soon).await?;
        self.instruments.counted(&counts, now);
        Ok(pass)
    }
}
