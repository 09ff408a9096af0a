//! One seed's story, and the promises that hold at every instant of it.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use issuance::authorization::AuthorizationStatus;
use issuance::fault::FailureClass;
use issuance::identifier::{Hostname, Identifiers};
use issuance::order::Stage;
use issuance::profile::CaProfile;
use issuance::settle::{Circumstances, Pressure};
use issuance::time::Timestamp;

use super::ca::Ca;
use super::chance::Chance;
use super::service::Row;
use super::wire::number;

const START: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);
/// A certificate is tried for at most this often; the story ends with the last one.
const ATTEMPTS_MAX: u32 = 4;
const TRACE_MAX: usize = 80;
/// From here on the network is well, so that every story has an end.
const CALM_AFTER: Duration = Duration::from_hours(24 * 12);
/// Everything is at rest by then: a lifetime of the CA's objects, a backoff, and some.
const END_AFTER: Duration = Duration::from_hours(24 * 45);

#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) chance: Chance,
    pub(super) ca: Ca,
    pub(super) rows: Vec<Row>,
    pub(super) latency_max: Duration,
    pub(super) faults_percent: u64,
    seed: u64,
    down: (Timestamp, Timestamp),
    /// Tries for which an order was kept open, and deactivations that waited for their turn.
    pub(super) resumed: u64,
    pub(super) paced: u64,
    /// Authorizations that had to be deactivated, whatever it costs.
    pub(super) forced: HashSet<usize>,
    trace: Option<VecDeque<String>>,
}

impl World {
    /// `told`: every step is written down, for whoever has to read what went wrong.
    pub(super) fn new(seed: u64, told: bool) -> Self {
        let mut chance = Chance::new(seed);
        let hours = 3_600;
        let lives = [hours, 24 * hours, 7 * 24 * hours];
        let kind = chance.below(3);
        let order_seconds = lives[chance.below(3) as usize];
        let profile = CaProfile {
            name: "model".into(),
            pending_authorizations_max: 12,
            recovery_reserve: 6,
            charges_deactivation: chance.percent(50),
            reuses_pending_order: kind == 0,
            lists_orders: kind == 1,
            pending_authorization_seconds: order_seconds,
            order_seconds,
            resubmit_seconds: 60,
            settle_grace_seconds: [900, 7_200][chance.below(2) as usize],
            asks_max: 3,
            poll_first_ms: 25,
            poll_max_ms: 15_000,
            ..CaProfile::bare()
        };
        let down_from = START.after(chance.up_to(Duration::from_mins(10)));
        let down_for = match chance.below(6) {
            0 => chance.up_to(Duration::from_hours(24 * 8)),
            1 => chance.up_to(Duration::from_hours(3)),
            _ => Duration::ZERO,
        };
        let rows = [("a", 1), ("b", 2), ("c", 3)]
            .map(|(site, count)| Row::new(names(site, count), 0, START.after(Duration::from_secs(count))))
            .into();
        let shows_expired = chance.percent(50);
        let latency_max = Duration::from_millis([0, 500, 20_000][chance.below(3) as usize]);
        let faults_percent = [0, 10, 40][chance.below(3) as usize];
        Self {
            seed,
            now: START,
            chance,
            ca: Ca::new(profile, shows_expired),
            rows,
            latency_max,
            faults_percent,
            down: (down_from, down_from.after(down_for)),
            resumed: 0,
            paced: 0,
            forced: HashSet::new(),
            trace: told.then(VecDeque::new),
        }
    }

    /// Plays the story to its end.
    pub(super) fn run(&mut self) {
        while let Some((at, due)) = self.next_due() {
            self.check(due < START.after(END_AFTER), "everything is at rest within bounded time");
            let idle = self.now.until(due);
            self.pass(idle);
            if self.rows[at].order.stage.ca().is_some() && self.chance.below(200) == 0 {
                self.cancel(at);
                continue;
            }
            self.run_lease(at);
            self.try_again(at);
        }
        self.check_the_end();
    }

    fn next_due(&self) -> Option<(usize, Timestamp)> {
        let due = self.rows.iter().enumerate().filter_map(|(at, row)| Some((at, row.due?)));
        due.min_by_key(|(_, due)| *due)
    }

    /// Time goes by, at the CA as here; the budget is looked at when anything may have happened.
    pub(super) fn pass(&mut self, wait: Duration) {
        self.now = self.now.after(wait);
        self.ca.settle(self.now, &mut self.chance);
        self.check_budget();
    }

    pub(super) fn faulty(&self) -> bool {
        self.now < START.after(CALM_AFTER) && self.faults_percent > 0
    }

    pub(super) fn is_down(&self) -> bool {
        (self.down.0..self.down.1).contains(&self.now)
    }

    pub(super) fn circumstances(&mut self, name: Option<&Hostname>) -> Circumstances {
        let ordinary = u64::from(self.ca.profile.pending_for_new_work());
        Circumstances {
            served: self.chance.percent(80),
            failed_at: self.failed_at(name),
            pressure: Pressure::of(u64::from(self.held()), ordinary),
        }
    }

    /// The last failure of the name that the CA may have counted, by the ledger.
    fn failed_at(&self, name: Option<&Hostname>) -> Option<Timestamp> {
        let of_name = self.rows.iter().flat_map(|row| &row.order.authorizations);
        let counted = of_name.filter(|one| one.identifier.as_ref() == name).filter(|one| {
            let deactivated =
                matches!(one.status, AuthorizationStatus::Pending | AuthorizationStatus::Deactivated);
            one.status == AuthorizationStatus::Invalid || one.deactivate_intended_at.is_some() && deactivated
        });
        counted.map(|one| one.final_at.unwrap_or(self.now)).max()
    }

    /// The tenant asks for it, at an instant when nobody works on the order.
    fn cancel(&mut self, at: usize) {
        let row = &mut self.rows[at];
        match row.order.clone().cancel(self.now) {
            Ok(applied) => {
                row.due = (!applied.order.is_at_rest()).then_some(self.now);
                row.order = applied.order;
            }
            Err(_) => row.due = Some(self.now.after(Duration::from_secs(1))),
        }
    }

    fn try_again(&mut self, at: usize) {
        let row = &self.rows[at];
        let next = row.attempt + 1;
        if row.due.is_none() && row.retries > 0 && next < ATTEMPTS_MAX {
            let due = self.now.after(issuance::backoff::rest(next, issuance::time::Fraction::ZERO));
            let again = Row::new(row.order.names.clone(), next, due);
            self.rows.push(again);
        }
    }

    /// What the ledger says is held: the reservations, and what may be pending.
    pub(super) fn held(&self) -> u32 {
        let of = |row: &Row| {
            let reserved = row
                .order
                .stage
                .reservation()
                .filter(|one| one.hold_until > self.now)
                .map_or(0, |one| one.units);
            let listed = row.order.authorizations.iter().filter(|one| one.holds_budget()).count();
            reserved + listed as u32
        };
        self.rows.iter().map(of).sum()
    }

    pub(super) fn check_budget(&mut self) {
        let (held, pending) = (self.held(), self.ca.pending() as u32);
        self.insist(held >= pending, || {
            format!("the budget never undercounts: {held} held, {pending} pending")
        });
    }

    fn check_the_end(&mut self) {
        let listed: Vec<_> = self
            .rows
            .iter()
            .flat_map(|row| &row.order.authorizations)
            .filter_map(|one| number(&one.url))
            .collect();
        for at in 0..self.ca.authz.len() {
            let open = self.ca.authz[at].status == AuthorizationStatus::Pending
                && self.ca.authz[at].taken_at.is_none();
            let given_up = !listed.contains(&at);
            self.insist(!open || given_up, || format!("authorization {at} is left open at the CA"));
        }
        for at in 0..self.rows.len() {
            let row = &self.rows[at];
            let (retries, stage) = (row.retries, row.order.stage.clone());
            let expected = match &stage {
                Stage::Failed { fault, .. } => u32::from(fault.class != FailureClass::RejectedIdentifier),
                _ => 0,
            };
            self.check(
                retries == expected,
                &format!("row {at}: a failure is retried once, not {retries} times"),
            );
            let of_row = format!("of row {at}").into_bytes();
            let signed = self
                .ca
                .orders
                .iter()
                .filter(|one| one.csr.as_ref().is_some_and(|csr| csr.ends_with(&of_row)));
            let signed = signed.count();
            self.insist(signed <= 1, || format!("row {at} was certified {signed} times"));
            if matches!(stage, Stage::Issued { .. }) {
                self.insist(signed == 1, || format!("row {at} has its certificate"));
            }
        }
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        let Some(trace) = &mut self.trace else { return };
        if trace.len() == TRACE_MAX {
            trace.pop_front();
        }
        trace.push_back(format!("{} {}", self.now, line()));
    }

    pub(super) fn check(&self, kept: bool, promise: &str) {
        self.insist(kept, || promise.to_owned());
    }

    pub(super) fn insist(&self, kept: bool, promise: impl FnOnce() -> String) {
        if !kept {
            let told: Vec<_> = self.trace.iter().flatten().map(String::as_str).collect();
            panic!("{}\nSEED={}: broken: {}", told.join("\n"), self.seed, promise());
        }
    }

    /// How the story ended, for the count of outcomes.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = &'static str> {
        self.rows.iter().map(|row| row.order.stage.as_str())
    }
}

/// What one new-order for these names may create.
pub(super) fn profile_units(names: &Identifiers) -> u32 {
    names.len() as u32
}

fn names(site: &str, count: u64) -> Identifiers {
    let names = (0..count).map(|n| Hostname::parse(&format!("h{n}.{site}.com")).expect("a name"));
    Identifiers::new(names).expect("a set")
}
