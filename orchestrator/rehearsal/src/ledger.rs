//! Every authorization the CA ever created, counted by what it is now.
//!
//! The counts are kept at each change, so that an audit costs the same after a million authorizations as
//! after one, and so that the peak of open ones is the true peak and not that of the samples taken.

use std::collections::{BTreeSet, HashMap};

use issuance::time::Timestamp;
use serde::Serialize;

use crate::account::Account;
use crate::authorization::{Authorization, Event, Standing};
use crate::state::{Number, Table};

/// Authorizations by what they are now. `total` is the sum of `pending`, `valid`, `invalid`, `deactivated`
/// and `expired`; `pending` is the sum of `open` and `submitted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct AuthorizationCounts {
    /// Ever created.
    pub total: u64,
    /// Pending, not expired, and no challenge submitted: what a client has left lying about.
    pub open: u64,
    pub pending: u64,
    pub valid: u64,
    pub invalid: u64,
    pub deactivated: u64,
    pub expired: u64,
    /// A challenge was submitted and the verdict is not there yet.
    pub submitted: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    rows: Table<Authorization>,
    tally: Tally,
}

impl Ledger {
    /// Adds an authorization; `with` makes it once its number is known.
    pub(crate) fn create(
        &mut self,
        with: impl FnOnce(Number<Authorization>) -> Authorization,
    ) -> Number<Authorization> {
        let row = with(self.rows.next_number());
        self.tally.counts.total += 1;
        self.tally.enter(&row);
        self.rows.push(row)
    }

    /// The only way to change an authorization: what it was is uncounted, what it becomes is counted.
    pub(crate) fn change(&mut self, number: Number<Authorization>, with: impl FnOnce(&mut Authorization)) {
        let Some(row) = self.rows.find_mut(number) else { return };
        self.tally.leave(row);
        with(row);
        self.tally.enter(row);
    }

    /// Lets everything expire whose time has come.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        while let Some(&(expires_at, number)) = self.tally.expiring.first() {
            if expires_at > now {
                break;
            }
            self.change(number, Authorization::expire);
        }
    }

    pub(crate) fn find(&self, number: Number<Authorization>) -> Option<&Authorization> {
        self.rows.find(number)
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &Authorization> {
        self.rows.iter()
    }

    pub(crate) fn counts(&self) -> AuthorizationCounts {
        self.tally.counts
    }

    pub(crate) fn peak_open(&self) -> u64 {
        self.tally.peak_open
    }

    /// Pending authorizations of an account, submitted or not.
    pub(crate) fn pending_of(&self, account: Number<Account>) -> u64 {
        self.tally.pending_by_account.get(&account).copied().unwrap_or(0)
    }

    /// Adds to the history of an authorization what does not change it.
    pub(crate) fn note(&mut self, number: Number<Authorization>, at: Timestamp, event: Event) {
        if let Some(row) = self.rows.find_mut(number) {
            row.history.push((at, event));
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    counts: AuthorizationCounts,
    peak_open: u64,
    pending_by_account: HashMap<Number<Account>, u64>,
    /// What can still expire, soonest first.
    expiring: BTreeSet<(Timestamp, Number<Authorization>)>,
}

impl Tally {
    fn enter(&mut self, row: &Authorization) {
        self.count(row, 1);
        if matches!(row.standing(), Standing::Open | Standing::Submitted | Standing::Valid) {
            self.expiring.insert((row.expires_at, row.number));
        }
        self.peak_open = self.peak_open.max(self.counts.open);
    }

    fn leave(&mut self, row: &Authorization) {
        self.count(row, -1);
        self.expiring.remove(&(row.expires_at, row.number));
    }

    fn count(&mut self, row: &Authorization, by: i64) {
        let add = |count: &mut u64| *count = count.saturating_add_signed(by);
        let counts = &mut self.counts;
        match row.standing() {
            Standing::Open => add(&mut counts.open),
            Standing::Submitted => add(&mut counts.submitted),
            Standing::Valid => add(&mut counts.valid),
            Standing::Invalid => add(&mut counts.invalid),
            Standing::Deactivated => add(&mut counts.deactivated),
            Standing::Expired => add(&mut counts.expired),
        }
        if matches!(row.standing(), Standing::Open | Standing::Submitted) {
            add(&mut counts.pending);
            add(self.pending_by_account.entry(row.account).or_default());
        }
    }
}
