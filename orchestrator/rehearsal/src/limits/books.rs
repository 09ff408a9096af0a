//! The CA's own books about its limits: what was spent, what was refused, and what there would have been.
//!
//! Kept at each change and never by request: a page for each hour in which a bucket was spent from, for accounts and
//! registered domains; everything else is a number.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use issuance::gcra::Bucket;
use issuance::limit::LimitName;
use issuance::time::Timestamp;
use serde::Serialize;

use super::key::{Key, Owner};

const HOUR: Duration = Duration::from_hours(1);
/// Enough to see what went wrong first.
const REFUSALS_KEPT: usize = 100;

/// What became of one limit, over all its buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LimitTally {
    /// Tokens taken and not given back.
    pub spent: u64,
    /// Answers 429 that named this limit.
    pub refused: u64,
}

/// New-orders that were answered 201, by what they cost; orders that were found again are among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct NewOrderTally {
    /// A token of the account's.
    pub charged: u64,
    /// None, since the exact set was issued lately.
    pub exempt_by_set: u64,
    /// None, since it replaced a certificate inside its window.
    pub exempt_by_window: u64,
    /// None, since the store of the limits was out.
    pub unlimited: u64,
}

/// One answer 429, of the first hundred and the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusalRecord {
    pub at: Timestamp,
    pub limit: LimitName,
    /// Address, account, registered domain, canonical set, or account and hostname with a slash between.
    pub key: String,
    /// When there is a token; the client was told that, rounded, and up to 3 % more of the wait.
    pub retry_at: Timestamp,
}

/// What one bucket would have given in a span of time, and what was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub from: Timestamp,
    /// Not included, unless it is now.
    pub until: Timestamp,
    /// Tokens there were at the start, and those that came back since: a client with demand could have had that many.
    pub allowed: u64,
    /// Tokens taken.
    pub made: u64,
}

impl Usage {
    /// Made by allowed; 1 where nothing was allowed.
    pub fn ratio(&self) -> f64 {
        if self.allowed == 0 { 1.0 } else { self.made as f64 / self.allowed as f64 }
    }
}

/// One bucket since the CA's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitUsage {
    /// From the CA's start to now. What was not taken in one hour can be taken in the next, so this is no sum of hours.
    pub whole: Usage,
    /// Every hour since the CA's start, the last one until now.
    pub hours: Vec<Usage>,
}

/// An hour in which a bucket was spent from.
#[derive(Debug)]
struct Page {
    hour: u64,
    /// The bucket's instant before the first token was taken.
    full_at: Timestamp,
    /// Its rule at that moment: one that is changed within the hour counts from the next.
    bucket: Bucket,
    made: u64,
}

#[derive(Debug)]
pub(super) struct Books {
    since: Timestamp,
    tallies: BTreeMap<LimitName, LimitTally>,
    pub(super) new_orders: NewOrderTally,
    pages: HashMap<(LimitName, Key), Vec<Page>>,
    refusals: Vec<RefusalRecord>,
}

impl Books {
    pub(super) fn new(since: Timestamp) -> Self {
        Self {
            since,
            tallies: BTreeMap::new(),
            new_orders: NewOrderTally::default(),
            pages: HashMap::new(),
            refusals: Vec::new(),
        }
    }

    fn hour(&self, at: Timestamp) -> u64 {
        (self.since.until(at).as_secs()) / HOUR.as_secs()
    }

    /// A token was taken from a bucket that was at `full_at`.
    pub(super) fn spent(
        &mut self,
        name: LimitName,
        key: &Key,
        full_at: Timestamp,
        bucket: Bucket,
        now: Timestamp,
    ) {
        self.tallies.entry(name).or_default().spent += 1;
        if key.owner().is_none() {
            return;
        }
        let hour = self.hour(now);
        let pages = self.pages.entry((name, key.clone())).or_default();
        match pages.last_mut() {
            // The CA's clock may be set back.
            Some(page) if page.hour >= hour => page.made += 1,
            _ => pages.push(Page { hour, full_at, bucket, made: 1 }),
        }
    }

    /// The token that was taken last was given back at once.
    pub(super) fn refunded(&mut self, name: LimitName, key: &Key) {
        let tally = self.tallies.entry(name).or_default();
        tally.spent = tally.spent.saturating_sub(1);
        if let Some(page) = self.pages.get_mut(&(name, key.clone())).and_then(|pages| pages.last_mut()) {
            page.made = page.made.saturating_sub(1);
        }
    }

    pub(super) fn refused(&mut self, name: LimitName, key: &Key, retry_at: Timestamp, now: Timestamp) {
        self.tallies.entry(name).or_default().refused += 1;
        if self.refusals.len() > REFUSALS_KEPT {
            self.refusals.pop();
        }
        self.refusals.push(RefusalRecord { at: now, limit: name, key: key.to_string(), retry_at });
    }

    pub(super) fn tallies(&self) -> BTreeMap<LimitName, LimitTally> {
        self.tallies.clone()
    }

    pub(super) fn refusals(&self) -> Vec<RefusalRecord> {
        self.refusals.clone()
    }

    /// Whose buckets were spent from.
    pub(super) fn owners(&self, name: LimitName) -> Vec<Owner> {
        let spent_from = self.pages.keys().filter(|(limit, _)| *limit == name);
        let mut owners: Vec<Owner> = spent_from.filter_map(|(_, key)| key.owner()).collect();
        owners.sort();
        owners
    }

    /// `full_at` and `bucket` are the bucket as it is now.
    pub(super) fn usage(
        &self,
        name: LimitName,
        key: &Key,
        full_at: Timestamp,
        bucket: Bucket,
        now: Timestamp,
    ) -> LimitUsage {
        let pages = self.pages.get(&(name, key.clone())).map_or(&[][..], Vec::as_slice);
        let mut rest = pages.iter().peekable();
        let mut hours = Vec::new();
        for hour in 0..=self.hour(now) {
            let from = self.since.after(HOUR.saturating_mul(u32::try_from(hour).unwrap_or(u32::MAX)));
            let end = from.after(HOUR);
            // Between two pages nothing was taken: the next one says what there was.
            let opening = rest.peek().map_or((full_at, bucket), |page| (page.full_at, page.bucket));
            let made = rest.next_if(|page| page.hour == hour).map_or(0, |page| page.made);
            let allowed = allowed(opening, from, end.min(now), end <= now);
            hours.push(Usage { from, until: end.min(now), allowed, made });
        }
        let opening = pages.first().map_or((full_at, bucket), |page| (page.full_at, page.bucket));
        let whole = Usage {
            from: self.since,
            until: now,
            allowed: allowed(opening, self.since, now, false),
            made: pages.iter().map(|page| page.made).sum(),
        };
        LimitUsage { whole, hours }
    }
}

/// How many tokens a client could take that never lets one wait. The token that comes back exactly at an hour's end is
/// the next hour's.
fn allowed(opening: (Timestamp, Bucket), from: Timestamp, until: Timestamp, is_over: bool) -> u64 {
    let (full_at, bucket) = opening;
    let owed = from.until(full_at).min(bucket.horizon());
    let there = bucket.horizon().saturating_sub(owed).saturating_add(from.until(until));
    let there = if is_over { there.saturating_sub(Duration::from_micros(1)) } else { there };
    u64::try_from(there.as_micros() / bucket.refill().as_micros()).unwrap_or(u64::MAX)
}
