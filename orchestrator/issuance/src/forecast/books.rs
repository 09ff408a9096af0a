//! The question, prepared: orders as numbers, and of all buckets only those that can make somebody wait.

use std::collections::HashMap;
use std::ops::Range;

use super::question::{Question, Readiness, Site};
use crate::exemption::Exemptions;
use crate::fairness::{Lane, Line};
use crate::gcra::Bucket;
use crate::identifier::{Hostname, Identifiers};
use crate::limit::LimitName;
use crate::mirror::{BucketKey, Meter};
use crate::time::Timestamp;

/// One order, waiting from the start.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) tenant: u32,
    pub(super) lane: Lane,
    /// Its place in its lane.
    pub(super) tag: i64,
    /// Authorizations that it holds while it is in hand.
    pub(super) units: u32,
    pub(super) exemptions: Exemptions,
    pub(super) readiness: Readiness,
    /// When the last of its names that failed has a failure to lose again.
    pub(super) rested_at: Option<Timestamp>,
    /// In [`Books::needs`].
    needs: Range<u32>,
}

/// A bucket for which more may come than it holds.
#[derive(Debug, Clone)]
pub(super) struct Scarce {
    pub(super) limit: LimitName,
    pub(super) key: Box<str>,
    pub(super) meter: Meter,
    /// Orders that may take a token of it.
    pub(super) demand: u32,
}

#[derive(Debug)]
pub(super) struct Books<'a> {
    pub(super) question: Question<'a>,
    /// Those ahead, then the sites.
    pub(super) entries: Vec<Entry>,
    /// How many of them are ahead.
    pub(super) ahead: usize,
    pub(super) scarce: Vec<Scarce>,
    /// The account's bucket of new orders and its state.
    pub(super) new_orders: Option<(Bucket, Timestamp)>,
    pub(super) tenants: usize,
    needs: Vec<u32>,
}

impl<'a> Books<'a> {
    pub(super) fn open(question: Question<'a>) -> Self {
        let of_account = BucketKey::of_account(question.account);
        let new_orders =
            question.rules.bucket(&of_account).map(|bucket| (bucket, state(&question, &of_account)));
        let tenants = tenants_of(&question);
        let mut books = Self {
            question,
            entries: Vec::with_capacity(question.sites.len()),
            ahead: 0,
            scarce: Vec::new(),
            new_orders,
            tenants,
            needs: Vec::new(),
        };
        let mut lines = Lines::new(&question, tenants);
        books.enter_ahead(&mut lines);
        books.enter_sites(&mut lines);
        books
    }

    /// The buckets, by their places in `scarce`, of which one order takes a token.
    pub(super) fn needs(&self, entry: &Entry) -> &[u32] {
        &self.needs[entry.needs.start as usize..entry.needs.end as usize]
    }

    fn enter_ahead(&mut self, lines: &mut Lines) {
        for ahead in self.question.ahead {
            for _ in 0..ahead.orders {
                self.entries.push(Entry {
                    tenant: ahead.tenant,
                    lane: ahead.lane,
                    tag: lines.join(ahead.lane, ahead.tenant),
                    units: ahead.names,
                    exemptions: ahead.exemptions,
                    readiness: Readiness::Unknown,
                    rested_at: None,
                    needs: 0..0,
                });
            }
        }
        self.ahead = self.entries.len();
    }

    fn enter_sites(&mut self, lines: &mut Lines) {
        let shelf = Shelf::fill(&self.question, &mut self.scarce);
        let failures_known = self
            .question
            .full_at
            .keys()
            .any(|bucket| bucket.limit == LimitName::FailedAuthorizationsPerHostname);
        for site in self.question.sites {
            let start = self.needs.len() as u32;
            shelf.needs(site, &mut self.needs);
            self.entries.push(Entry {
                tenant: site.tenant,
                lane: site.lane,
                tag: lines.join(site.lane, site.tenant),
                units: site.names.len() as u32,
                exemptions: site.exemptions,
                readiness: site.readiness,
                rested_at: if failures_known { rested_at(&self.question, site) } else { None },
                needs: start..self.needs.len() as u32,
            });
        }
    }
}

fn state(question: &Question<'_>, bucket: &BucketKey) -> Timestamp {
    question.full_at.get(bucket).copied().unwrap_or(question.now).max(question.now)
}

fn tenants_of(question: &Question<'_>) -> usize {
    let named = question.sites.iter().map(|site| site.tenant);
    let highest = named.chain(question.ahead.iter().map(|ahead| ahead.tenant)).max();
    question.tenants.len().max(highest.map_or(0, |highest| highest as usize + 1))
}

/// The instant at which every name of the site may fail once more, if that is later than now.
fn rested_at(question: &Question<'_>, site: &Site<'_>) -> Option<Timestamp> {
    let limit = LimitName::FailedAuthorizationsPerHostname;
    let rested = site.names.iter().filter_map(|name| {
        let key = BucketKey::of_hostname(limit, question.account, name);
        let full_at = *question.full_at.get(&key)?;
        Some(question.rules.bucket(&key)?.next_token_at(full_at, question.now))
    });
    rested.max().filter(|at| *at > question.now)
}

/// Where all tenants line up, lane by lane.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    lines: Vec<Line>,
    tenants: usize,
}

impl Lines {
    pub(super) fn new(question: &Question<'_>, tenants: usize) -> Self {
        let weight = |tenant: usize| question.tenants.get(tenant).copied().unwrap_or(1);
        let lane = (0..tenants).map(|tenant| Line { next_tag: 0, weight: weight(tenant) });
        let lines = Lane::ALL.iter().flat_map(|_| lane.clone()).collect();
        Self { lines, tenants }
    }

    fn join(&mut self, lane: Lane, tenant: u32) -> i64 {
        self.join_behind(lane, tenant, 0)
    }

    pub(super) fn join_behind(&mut self, lane: Lane, tenant: u32, clock: i64) -> i64 {
        self.lines[lane as usize * self.tenants + tenant as usize].join(clock)
    }
}

/// Where each registered domain and each exact set stands among the scarce buckets, if it does.
#[derive(Debug)]
struct Shelf<'a> {
    domains: HashMap<&'a str, u32>,
    sets: HashMap<&'a Identifiers, u32>,
}

impl<'a> Shelf<'a> {
    fn fill(question: &Question<'a>, scarce: &mut Vec<Scarce>) -> Self {
        let mut domains: HashMap<&str, u32> = HashMap::with_capacity(question.sites.len());
        let mut sets: HashMap<&Identifiers, u32> = HashMap::with_capacity(question.sites.len());
        for site in question.sites {
            for_each_domain(site, |domain| *domains.entry(domain).or_default() += 1);
            *sets.entry(site.names).or_default() += 1;
        }
        let sets_known =
            question.full_at.keys().any(|bucket| bucket.limit == LimitName::CertificatesPerExactSet);
        let usual =
            question.rules.bucket(&BucketKey { limit: LimitName::CertificatesPerExactSet, key: "".into() });
        let plenty = |demand: u32| !sets_known && usual.is_none_or(|bucket| bucket.burst() >= demand);
        let domains = retain(question, domains, scarce, |domain, _| Some(BucketKey::of_domain(domain)));
        let sets = retain(question, sets, scarce, |names, demand| {
            (!plenty(demand)).then(|| BucketKey::of_set(names))
        });
        Self { domains, sets }
    }

    fn needs(&self, site: &Site<'_>, needs: &mut Vec<u32>) {
        if !self.domains.is_empty() {
            for_each_domain(site, |domain| needs.extend(self.domains.get(domain)));
        }
        if !self.sets.is_empty() {
            needs.extend(self.sets.get(site.names));
        }
    }
}

/// Each registered domain of the site once.
fn for_each_domain<'a>(site: &Site<'a>, mut visit: impl FnMut(&'a str)) {
    let mut seen: Vec<&str> = Vec::new();
    for domain in site.names.iter().map(Hostname::registered_domain) {
        if !seen.contains(&domain) {
            seen.push(domain);
            visit(domain);
        }
    }
}

/// Puts those buckets on the shelf for which there are fewer tokens than orders. The others never make anybody wait:
/// each order takes one token at the most.
fn retain<K: Copy + Eq + std::hash::Hash + Ord>(
    question: &Question<'_>,
    demands: HashMap<K, u32>,
    scarce: &mut Vec<Scarce>,
    bucket_of: impl Fn(K, u32) -> Option<BucketKey>,
) -> HashMap<K, u32> {
    let mut found: Vec<(K, Scarce)> = demands
        .into_iter()
        .filter_map(|(whose, demand)| {
            let key = bucket_of(whose, demand)?;
            let bucket = question.rules.bucket(&key)?;
            let full_at = state(question, &key);
            (bucket.remaining(full_at, question.now) < demand).then(|| {
                let meter = Meter { full_at, ..Meter::full(bucket, question.now) };
                (whose, Scarce { limit: key.limit, key: key.key, meter, demand })
            })
        })
        .collect();
    found.sort_by_key(|(whose, _)| *whose);
    let places = found.iter().zip(scarce.len() as u32..).map(|((whose, _), place)| (*whose, place)).collect();
    scarce.extend(found.into_iter().map(|(_, bucket)| bucket));
    places
}
