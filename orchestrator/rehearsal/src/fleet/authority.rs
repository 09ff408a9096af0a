//! The authoritative servers: which zones each serves, what is wrong with it, and how far behind it is.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use issuance::time::{Clock, Timestamp};

/// What is wrong with one authoritative server, for every zone it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerFault {
    /// It answers REFUSED, as one that was never told of the zone.
    Refused,
    Servfail,
    /// It takes every question and answers none.
    Silent,
    /// It answers from a copy: right, and without the AA bit.
    NotAuthoritative,
    /// Over UDP it always cuts the answer off.
    Truncates,
    /// It does not answer over TCP.
    NoTcp,
    /// Both of the last two.
    TruncatesWithoutTcp,
    /// Over TCP stands another machine, which has no TXT record.
    OtherOverTcp,
}

/// How a zone is delegated, by the numbers of its servers, from 1. A number beyond the last server is of one that does
/// not exist: nobody knows an address of it but the zone above, where it lies in the zone (glue), and nobody is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZonePlan {
    /// Whom the zone above names.
    pub parent: Vec<u8>,
    /// Whom the zone itself names. These serve it; one that only the parent names answers REFUSED.
    pub child: Vec<u8>,
    /// Its signatures do not validate: a resolver answers SERVFAIL, unless it is told not to check (CD).
    pub bogus: bool,
    /// The domain in which the servers' names are, as in `ns1.provider.net`; none: the zone itself.
    pub servers_in: Option<String>,
}

impl ZonePlan {
    /// Both sides name these.
    pub fn of(servers: &[u8]) -> Self {
        Self { parent: servers.to_vec(), child: servers.to_vec(), bogus: false, servers_in: None }
    }
}

/// Values of a TXT record, and those before them, which servers that are behind still show.
#[derive(Debug, Clone, Default)]
pub(super) struct Published {
    pub(super) values: Vec<String>,
    before: Vec<String>,
    at: Timestamp,
    lags: Vec<Duration>,
}

impl Published {
    pub(super) fn at_once(values: Vec<String>) -> Self {
        Self { values, ..Self::default() }
    }

    pub(super) fn lagging(self, values: Vec<String>, at: Timestamp, lags: &[Duration]) -> Self {
        Self { values, before: self.values, at, lags: lags.to_vec() }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.values.is_empty() && self.before.is_empty()
    }

    /// At server `number`; none: wherever a CA may look, so at the one that is furthest behind.
    fn shown(&self, number: Option<u8>, now: Timestamp) -> &[String] {
        let lag = match number {
            Some(number) => self.lags.get(usize::from(number.saturating_sub(1))),
            None => self.lags.iter().max(),
        };
        if now >= self.at.after(lag.copied().unwrap_or_default()) { &self.values } else { &self.before }
    }

    fn is_everywhere(&self, now: Timestamp) -> bool {
        self.shown(None, now) == self.values
    }
}

/// All authoritative servers there are.
#[derive(Debug)]
pub(super) struct Authority {
    /// They stand at 127.0.1.1 and up; with none, the one DNS server plays all parts.
    pub(super) servers: u8,
    clock: Option<Arc<dyn Clock>>,
    books: RwLock<Books>,
}

#[derive(Debug, Default)]
struct Books {
    plans: HashMap<Box<str>, ZonePlan>,
    faults: HashMap<u8, ServerFault>,
    /// Questions to the resolver about a name whose record was not everywhere yet.
    early: HashMap<Box<str>, u64>,
}

impl Authority {
    pub(super) fn new(servers: u8, clock: Option<Arc<dyn Clock>>) -> Self {
        Self { servers, clock, books: RwLock::default() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.as_ref().map_or(Timestamp::EPOCH, |clock| clock.now())
    }

    pub(super) fn plan(&self, zone: &str) -> ZonePlan {
        let every: Vec<u8> = (1..=self.servers.max(1)).collect();
        self.read().plans.get(zone).cloned().unwrap_or_else(|| ZonePlan::of(&every))
    }

    pub(super) fn set_plan(&self, zone: &str, plan: ZonePlan) {
        self.write().plans.insert(zone.into(), plan);
    }

    pub(super) fn fault(&self, number: u8) -> Option<ServerFault> {
        self.read().faults.get(&number).copied()
    }

    pub(super) fn set_fault(&self, number: u8, fault: Option<ServerFault>) {
        let mut books = self.write();
        match fault {
            Some(fault) => books.faults.insert(number, fault),
            None => books.faults.remove(&number),
        };
    }

    pub(super) fn serves(&self, number: u8, zone: &str) -> bool {
        self.plan(zone).child.contains(&number)
    }

    /// Whether a resolver that does not validate gets an answer.
    pub(super) fn is_reachable(&self, zone: &str) -> bool {
        use ServerFault as F;
        let plan = self.plan(zone);
        let answers = |number: &u8| {
            let dead = matches!(
                self.fault(*number),
                Some(F::Refused | F::Servfail | F::Silent | F::NotAuthoritative)
            );
            plan.child.contains(number) && *number <= self.servers && !dead
        };
        self.servers == 0 || plan.parent.iter().chain(&plan.child).any(answers)
    }

    pub(super) fn shown<'a>(&self, published: &'a Published, number: Option<u8>) -> &'a [String] {
        published.shown(number, self.now())
    }

    /// A resolver that is asked too early goes on saying that there is nothing.
    pub(super) fn note_question(&self, name: &str, published: Option<&Published>) {
        let now = self.now();
        if published.is_some_and(|published| !published.is_everywhere(now)) {
            *self.write().early.entry(name.into()).or_default() += 1;
        }
    }

    pub(super) fn early_questions(&self, name: &str) -> u64 {
        self.read().early.get(name).copied().unwrap_or_default()
    }

    /// The number and the domain in `ns2.example.com`.
    pub(super) fn server_in<'name>(&self, name: &'name str) -> Option<(u8, &'name str)> {
        let (label, domain) = name.strip_prefix("ns")?.split_once('.')?;
        let number = label.parse().ok().filter(|number| (1..=self.servers.max(1)).contains(number))?;
        Some((number, domain))
    }

    fn read(&self) -> RwLockReadGuard<'_, Books> {
        self.books.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Books> {
        self.books.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where server `number` stands.
pub(super) fn address_of(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, number)
}
