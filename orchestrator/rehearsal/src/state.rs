//! Everything the CA remembers, and the indexes that keep each look-up cheap however much that is.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use issuance::identifier::Hostname;
use issuance::time::Timestamp;

use crate::account::Account;
use crate::authorization::Authorization;
use crate::certificate::Certificate;
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::order::Order;
use crate::pausing::Pauses;
use crate::rules::CaRules;
use crate::verdicts::Verdicts;

/// The place of a row in its table, counted from one, as it stands in URLs.
pub(crate) struct Number<T>(u64, PhantomData<fn() -> T>);

impl<T> Number<T> {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(|number| Self(number, PhantomData))
    }

    pub(crate) fn of(value: u64) -> Self {
        Self(value, PhantomData)
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }
}

impl<T> Clone for Number<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Number<T> {}

impl<T> PartialEq for Number<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Number<T> {}

impl<T> PartialOrd for Number<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Number<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl<T> std::hash::Hash for Number<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<T> fmt::Display for Number<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<T> fmt::Debug for Number<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Rows that are added and changed, never removed.
#[derive(Debug)]
pub(crate) struct Table<T>(Vec<T>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Table<T> {
    pub(crate) fn next_number(&self) -> Number<T> {
        Number(self.0.len() as u64 + 1, PhantomData)
    }

    pub(crate) fn push(&mut self, row: T) -> Number<T> {
        let number = self.next_number();
        self.0.push(row);
        number
    }

    pub(crate) fn find(&self, number: Number<T>) -> Option<&T> {
        self.0.get(usize::try_from(number.0.checked_sub(1)?).ok()?)
    }

    pub(crate) fn find_mut(&mut self, number: Number<T>) -> Option<&mut T> {
        self.0.get_mut(usize::try_from(number.0.checked_sub(1)?).ok()?)
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.0.iter_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T> std::ops::Index<Number<T>> for Table<T> {
    type Output = T;

    /// For numbers that came out of this table.
    fn index(&self, number: Number<T>) -> &T {
        &self.0[number.0 as usize - 1]
    }
}

/// Whose valid authorization may be reused, for which profile and name.
pub(crate) type ReuseKey = (Number<Account>, Arc<str>, Hostname);

impl IssuedSet {
    /// Issued within this time, by anybody, an exact set is a renewal.
    const RENEWAL_WINDOW: Duration = Duration::from_hours(120 * 24);

    pub(crate) fn is_renewed_at(self, now: Timestamp) -> bool {
        self.last_at.is_some_and(|last_at| now.since(last_at) < Self::RENEWAL_WINDOW)
    }
}

/// An exact set of names.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct IssuedSet {
    /// Certificates that this CA has signed for it.
    pub(crate) count: u64,
    /// When it was issued last, also before this CA started.
    pub(crate) last_at: Option<Timestamp>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) accounts: Table<Account>,
    pub(crate) account_by_thumbprint: HashMap<Box<str>, Number<Account>>,
    pub(crate) orders: Table<Order>,
    /// Unfinished orders of each set, soonest to expire first. Failed ones stay in: they hide later ones.
    pub(crate) orders_by_set: HashMap<Arc<str>, BTreeSet<(Timestamp, Number<Order>)>>,
    pub(crate) ledger: Ledger,
    pub(crate) verdicts: Verdicts,
    pub(crate) reusable: HashMap<ReuseKey, Vec<Number<Authorization>>>,
    pub(crate) certificates: Table<Certificate>,
    pub(crate) certificate_by_serial: HashMap<[u8; 16], Number<Certificate>>,
    pub(crate) issued_sets: HashMap<Arc<str>, IssuedSet>,
    /// Sets that were issued more than once.
    pub(crate) duplicate_sets: u64,
    /// Keys whose certificates were revoked for compromise: they may be used no more.
    pub(crate) compromised_keys: HashSet<Box<[u8]>>,
    pub(crate) limits: Limits,
    pub(crate) pauses: Pauses,
}

impl State {
    pub(crate) fn new(rules: &CaRules, now: Timestamp) -> Self {
        Self {
            accounts: Table::default(),
            account_by_thumbprint: HashMap::new(),
            orders: Table::default(),
            orders_by_set: HashMap::new(),
            ledger: Ledger::default(),
            verdicts: Verdicts::default(),
            reusable: HashMap::new(),
            certificates: Table::default(),
            certificate_by_serial: HashMap::new(),
            issued_sets: HashMap::new(),
            duplicate_sets: 0,
            compromised_keys: HashSet::new(),
            limits: Limits::new(&rules.limits, now),
            pauses: Pauses::default(),
        }
    }
}
