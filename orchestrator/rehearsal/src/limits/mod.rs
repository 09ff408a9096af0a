//! Rate limits as Boulder keeps and words them: GCRA buckets, checked together, the longest wait reported.
//!
//! What is the rule, a bucket at a time, is the CA's [`CaRules::limits`](crate::rules::CaRules::limits) unless a
//! [`LimitOverride`] says otherwise; those can be changed while the CA runs, as the faults can:
//!
//! ```text
//! GET /limits     the overrides, and what came of each limit so far
//! PUT /limits     { "overrides": [ { "limit": "new_orders_per_account", "of": { "account": 1 },
//!                                    "burst": 600, "count": 600, "period_seconds": 10800 } ] }
//! POST /history   { "issued": [ { "names": ["a.com", "www.a.com"], "at": "2026-11-01T00:00:00Z" } ],
//!                   "used": [ { "limit": "certificates_per_registered_domain",
//!                               "of": { "domain": "shop.com" }, "tokens": 40 } ] }
//! ```

use std::collections::HashMap;

use issuance::gcra::{Bucket, Decision};
use issuance::limit::{Limit, LimitName};
use issuance::time::Timestamp;

use crate::account::Account;
use crate::state::Number;

mod books;
mod history;
mod key;
mod overrides;
mod refusal;
mod report;

use self::books::Books;
pub use self::books::{LimitTally, LimitUsage, NewOrderTally, RefusalRecord, Usage};
pub use self::history::{History, HistoryError, PastIssuance, UsedTokens};
pub use self::key::Owner;
use self::overrides::Overrides;
pub use self::overrides::{LimitOverride, OverrideError};
pub use self::report::LimitReport;

pub(crate) use self::key::Key;
pub(crate) use self::refusal::{Refusal, too_many_pending};
pub(crate) use self::report::{read, remember, replace};

#[derive(Debug)]
pub(crate) struct Limits {
    rules: HashMap<LimitName, (Limit, Bucket)>,
    overrides: Overrides,
    /// A bucket that is not here is full.
    full_at: HashMap<(LimitName, Key), Timestamp>,
    books: Books,
}

/// What a new-order cost its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewOrderCost {
    Charged,
    ExemptBySet,
    ExemptByWindow,
    Unlimited,
}

impl Limits {
    pub(crate) fn new(limits: &[Limit], now: Timestamp) -> Self {
        let rules = limits.iter().filter_map(|limit| Some((limit.name, (*limit, limit.bucket()?)))).collect();
        Self { rules, overrides: Overrides::default(), full_at: HashMap::new(), books: Books::new(now) }
    }

    /// In place of those there were. What is in the buckets stays: only what it amounts to is another number.
    pub(crate) fn set_overrides(&mut self, overrides: Vec<LimitOverride>) -> Result<(), OverrideError> {
        self.overrides = Overrides::new(overrides)?;
        Ok(())
    }

    /// `None`: nothing is limited.
    fn rule(&self, name: LimitName, key: &Key) -> Option<(Limit, Bucket)> {
        self.overrides.find(name, key).or_else(|| match key {
            Key::DomainOfAccount(..) => None,
            _ => self.rules.get(&name).copied(),
        })
    }

    /// Whether one token is there; nothing is taken.
    fn check(&self, name: LimitName, key: Key, now: Timestamp) -> Result<(), Refusal> {
        let Some((limit, bucket)) = self.rule(name, &key) else { return Ok(()) };
        let place = (name, key);
        let full_at = self.full_at.get(&place).copied().unwrap_or(now);
        match bucket.spend(full_at, 1, now) {
            Decision::Granted { .. } => Ok(()),
            Decision::Denied { retry_at } => Err(Refusal { limit, key: place.1, retry_at }),
        }
    }

    /// Checks several buckets and reports the one with the longest wait.
    pub(crate) fn check_all(
        &mut self,
        wanted: impl IntoIterator<Item = (LimitName, Key)>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let refusals = wanted.into_iter().filter_map(|(name, key)| self.check(name, key, now).err());
        let Some(refusal) = refusals.max_by_key(|refusal| refusal.retry_at) else { return Ok(()) };
        self.books.refused(refusal.limit.name, &refusal.key, refusal.retry_at, now);
        Err(refusal)
    }

    /// Takes a token if there is one. An empty bucket is left as it is: what was admitted is never refused
    /// later.
    pub(crate) fn spend(&mut self, name: LimitName, key: Key, now: Timestamp) -> bool {
        let Some((_, bucket)) = self.rule(name, &key) else { return true };
        let place = (name, key);
        let full_at = self.full_at.get(&place).copied().unwrap_or_default();
        match bucket.spend(full_at, 1, now) {
            Decision::Granted { full_at: after } => {
                self.books.spent(name, &place.1, full_at, bucket, now);
                self.full_at.insert(place, after);
                true
            }
            Decision::Denied { .. } => false,
        }
    }

    /// Gives the token back that was taken last.
    pub(crate) fn refund(&mut self, name: LimitName, key: Key, now: Timestamp) {
        let Some((_, bucket)) = self.rule(name, &key) else { return };
        let place = (name, key);
        if let Some(full_at) = self.full_at.get_mut(&place) {
            *full_at = bucket.refund(*full_at, 1, now);
            self.books.refunded(name, &place.1);
        }
    }

    /// Fills a bucket.
    pub(crate) fn reset(&mut self, name: LimitName, key: Key) {
        self.full_at.remove(&(name, key));
    }

    /// The bucket that an order of this account is held against for a registered domain.
    pub(crate) fn domain_key(&self, account: Number<Account>, domain: &str) -> Key {
        if self.overrides.has_domains_of_its_own(account) {
            Key::DomainOfAccount(account, domain.into())
        } else {
            Key::Domain(domain.into())
        }
    }

    /// Counts a new-order that is answered 201.
    pub(crate) fn count_new_order(&mut self, cost: NewOrderCost) {
        let tally = &mut self.books.new_orders;
        *match cost {
            NewOrderCost::Charged => &mut tally.charged,
            NewOrderCost::ExemptBySet => &mut tally.exempt_by_set,
            NewOrderCost::ExemptByWindow => &mut tally.exempt_by_window,
            NewOrderCost::Unlimited => &mut tally.unlimited,
        } += 1;
    }

    /// `None` where nothing is limited.
    fn usage(&self, name: LimitName, owner: &Owner, now: Timestamp) -> Option<LimitUsage> {
        let key = owner.key();
        let (_, bucket) = self.rule(name, &key)?;
        let full_at = self.full_at.get(&(name, key.clone())).copied().unwrap_or_default();
        Some(self.books.usage(name, &key, full_at, bucket, now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);
    const NEW_ORDERS: LimitName = LimitName::NewOrdersPerAccount;

    fn account() -> Key {
        Owner::Account(1).key()
    }

    fn limit(name: LimitName, burst: u32, period_seconds: u64) -> Limit {
        Limit { name, burst, count: burst, period_seconds }
    }

    #[test]
    fn the_longest_wait_is_reported_and_nothing_is_taken_by_a_check() {
        let mut limits = Limits::new(
            &[limit(NEW_ORDERS, 1, 60), limit(LimitName::CertificatesPerRegisteredDomain, 1, 1_216)],
            NOW,
        );
        let wanted = [
            (NEW_ORDERS, account()),
            (LimitName::CertificatesPerRegisteredDomain, Key::Domain("a.com".into())),
            (LimitName::CertificatesPerExactSet, Key::Set("a.com".into())),
        ];
        for _ in 0..3 {
            limits.check_all(wanted.clone(), NOW).expect("full buckets");
        }
        for (name, key) in wanted.clone() {
            assert!(limits.spend(name, key, NOW));
        }
        let refusal = limits.check_all(wanted, NOW).expect_err("both empty");
        assert_eq!(refusal.limit.name, LimitName::CertificatesPerRegisteredDomain);
        assert_eq!(refusal.retry_at, NOW.after(Duration::from_secs(1_216)));
        let tallies = limits.books.tallies();
        let count = |name: LimitName| tallies.get(&name).map(|tally| (tally.spent, tally.refused));
        assert_eq!(count(LimitName::CertificatesPerRegisteredDomain), Some((1, 1)));
        assert_eq!(count(NEW_ORDERS), Some((1, 0)), "one answer names one limit");
    }

    /// 300 at once, then each as it comes back: every hour is used up, and the hours add up to the whole.
    #[test]
    fn the_books_say_what_there_was_and_what_was_taken_hour_by_hour() {
        let mut limits = Limits::new(&[limit(NEW_ORDERS, 300, 10_800)], NOW);
        let mut taken = 0;
        for minute in 0..240 {
            // The second hour is slept through.
            if !(60..120).contains(&minute) {
                while limits.spend(NEW_ORDERS, account(), NOW.after(Duration::from_secs(minute * 60))) {
                    taken += 1;
                }
            }
        }
        let now = NOW.after(Duration::from_hours(4));
        let usage = limits.usage(NEW_ORDERS, &Owner::Account(1), now).expect("limited");
        let hours: Vec<_> = usage.hours.iter().map(|hour| (hour.allowed, hour.made)).collect();
        // Tokens come back every 36 s and are taken on the minute: what came after the last one is left to the next hour.
        assert_eq!(hours[..4], [(399, 398), (101, 0), (201, 200), (101, 100)]);
        assert_eq!((usage.hours.len(), hours[4].1), (5, 0), "the fifth has just begun");
        assert_eq!(usage.whole.made, taken);
        assert_eq!(usage.whole.allowed, 700, "300 and 100 an hour");
        assert!((usage.hours[1].ratio() - 0.0).abs() < f64::EPSILON);
        assert_eq!(limits.usage(LimitName::CertificatesPerExactSet, &Owner::Account(1), now), None);
        assert_eq!(limits.books.owners(NEW_ORDERS), [Owner::Account(1)]);
    }

    #[test]
    fn a_refund_leaves_no_trace() {
        let mut limits = Limits::new(&[limit(NEW_ORDERS, 1, 60)], NOW);
        assert!(limits.spend(NEW_ORDERS, account(), NOW));
        assert!(!limits.spend(NEW_ORDERS, account(), NOW));
        limits.refund(NEW_ORDERS, account(), NOW);
        assert!(limits.spend(NEW_ORDERS, account(), NOW));
        assert_eq!(limits.books.tallies()[&NEW_ORDERS].spent, 1);
        assert_eq!(limits.usage(NEW_ORDERS, &Owner::Account(1), NOW).map(|usage| usage.whole.made), Some(1));
    }

    #[test]
    fn the_most_special_override_holds_and_can_be_lifted() {
        let rule = limit(NEW_ORDERS, 300, 10_800);
        let mut limits =
            Limits::new(&[rule, limit(LimitName::CertificatesPerRegisteredDomain, 50, 604_800)], NOW);
        let burst = |limits: &Limits, name, key: &Key| limits.rule(name, key).map(|(limit, _)| limit.burst);
        let half = LimitOverride::scaled(rule, 0.5);
        let own = LimitOverride::scaled(rule, 2.0).of(Owner::Account(1));
        let shop = LimitOverride::everybody(limit(LimitName::CertificatesPerRegisteredDomain, 500, 604_800))
            .of(Owner::Domain("shop.com".to_owned()));
        limits.set_overrides(vec![half, own, shop]).expect("good ones");
        assert_eq!(burst(&limits, NEW_ORDERS, &account()), Some(600));
        assert_eq!(burst(&limits, NEW_ORDERS, &Owner::Account(2).key()), Some(150));
        let domain = |name: &str| Key::Domain(name.into());
        assert_eq!(
            burst(&limits, LimitName::CertificatesPerRegisteredDomain, &domain("shop.com")),
            Some(500)
        );
        assert_eq!(
            burst(&limits, LimitName::CertificatesPerRegisteredDomain, &domain("other.com")),
            Some(50)
        );
        limits.set_overrides(Vec::new()).expect("none");
        assert_eq!(burst(&limits, NEW_ORDERS, &account()), Some(300));

        let empty = LimitOverride { burst: 0, ..LimitOverride::everybody(rule) };
        assert!(matches!(limits.set_overrides(vec![empty]), Err(OverrideError::NoBucket { .. })));
        let misfit = LimitOverride::everybody(rule).of(Owner::Domain("shop.com".to_owned()));
        assert!(matches!(limits.set_overrides(vec![misfit]), Err(OverrideError::Misfit { .. })));
    }
}
