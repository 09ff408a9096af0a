//! The CA's limits as we keep them: which buckets an order needs, what is in them, and how much of that is spoken for.
//!
//! One instant a bucket (see [`crate::gcra`]), never earlier than the CA's own: what is not known to have been counted
//! counts as counted, as late as it can have been. So a token that is here is there at the CA.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::exemption::Exemption;
use crate::gcra::{Bucket, Decision};
use crate::identifier::{Hostname, Identifiers};
use crate::ids::AccountId;
use crate::limit::{Limit, LimitName};
use crate::time::Timestamp;

/// One bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketKey {
    pub limit: LimitName,
    /// The account's UUID; the registered domain; the digest of the exact set; the account's UUID, a slash and the
    /// hostname, wildcard or not.
    pub key: Box<str>,
}

impl BucketKey {
    pub fn of_account(account: AccountId) -> Self {
        Self { limit: LimitName::NewOrdersPerAccount, key: account.0.to_string().into() }
    }

    pub fn of_domain(domain: &str) -> Self {
        Self { limit: LimitName::CertificatesPerRegisteredDomain, key: domain.into() }
    }

    pub fn of_set(names: &Identifiers) -> Self {
        Self { limit: LimitName::CertificatesPerExactSet, key: names.digest().into() }
    }

    /// `limit` is one of the two that count failures.
    pub fn of_hostname(limit: LimitName, account: AccountId, hostname: &Hostname) -> Self {
        Self { limit, key: format!("{}/{hostname}", account.0).into() }
    }
}

/// What an order wants of a bucket besides the account's bucket of new orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    pub bucket: BucketKey,
    /// The order waits if no token is there.
    pub checked: bool,
    /// The CA will take a token when it issues: held from here to there.
    pub reserved: bool,
}

/// What an order for `names` needs, in the order of the buckets' keys.
///
/// What Boulder does: certificates per registered domain and per exact set are checked at new-order and counted at
/// issuance, failed authorizations are checked; a renewal by exact set is not held against its domains; one by
/// renewal information is checked for nothing. At issuance its set is counted in any case, and its domains unless the
/// set was issued lately.
pub fn needs(
    names: &Identifiers,
    account: AccountId,
    exemption: Option<Exemption>,
    set_is_known: bool,
) -> Vec<Need> {
    let checked = exemption != Some(Exemption::RenewalInfo);
    let mut needs = vec![Need { bucket: BucketKey::of_set(names), checked, reserved: true }];
    if exemption != Some(Exemption::ExactSet) && !set_is_known {
        let domains: BTreeSet<&str> = names.iter().map(Hostname::registered_domain).collect();
        needs.extend(domains.into_iter().map(|domain| Need {
            bucket: BucketKey::of_domain(domain),
            checked,
            reserved: true,
        }));
    }
    if checked {
        needs.extend(names.iter().map(|name| Need {
            bucket: BucketKey::of_hostname(LimitName::FailedAuthorizationsPerHostname, account, name),
            checked,
            reserved: false,
        }));
    }
    needs.sort_by(|one, other| one.bucket.cmp(&other.bucket));
    needs
}

/// Where a CA counts otherwise than its profile says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitOverride {
    pub limit: LimitName,
    /// `None`: every account.
    pub account: Option<AccountId>,
    /// `None`: every bucket.
    pub key: Option<Box<str>>,
    pub burst: u32,
    pub count: u32,
    pub period_seconds: u64,
}

impl LimitOverride {
    /// The limit as it says it is.
    pub fn told(&self) -> Limit {
        let Self { limit, burst, count, period_seconds, .. } = *self;
        Limit { name: limit, burst, count, period_seconds }
    }
}

/// The limits that hold for one account: the profile's, but for what overrides say. The most special one holds: of a
/// bucket, then of an account, then of all.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    limits: Vec<Limit>,
    overrides: Vec<LimitOverride>,
}

impl Rules {
    pub fn new(account: AccountId, limits: &[Limit], overrides: Vec<LimitOverride>) -> Self {
        let mut overrides: Vec<_> =
            overrides.into_iter().filter(|one| one.account.is_none_or(|of| of == account)).collect();
        overrides.sort_by_key(|one| std::cmp::Reverse((one.key.is_some(), one.account.is_some())));
        Self { limits: limits.to_vec(), overrides }
    }

    /// `None`: the CA has no such limit.
    pub fn limit(&self, bucket: &BucketKey) -> Option<Limit> {
        self.holding(bucket)
            .map(LimitOverride::told)
            .or_else(|| self.limits.iter().find(|limit| limit.name == bucket.limit).copied())
    }

    /// The override that holds for a bucket, if one does.
    pub fn holding(&self, bucket: &BucketKey) -> Option<&LimitOverride> {
        self.overrides
            .iter()
            .find(|one| one.limit == bucket.limit && one.key.as_ref().is_none_or(|key| *key == bucket.key))
    }

    pub fn bucket(&self, bucket: &BucketKey) -> Option<Bucket> {
        self.limit(bucket)?.bucket()
    }
}

/// One bucket as it is read for a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    pub bucket: Bucket,
    /// With everything that the CA is known to have counted.
    pub full_at: Timestamp,
    /// Tokens that orders in flight will take, or may have taken already.
    pub reserved: u32,
    /// The latest instant for which a token was promised to somebody who waits.
    pub promised_until: Option<Timestamp>,
    /// How far from full the CA has let it become. Beyond that one order goes at a time, so that a limit which is
    /// smaller than was told is learnt from one refusal and not from as many as are on their way. `None`: the numbers
    /// are certain.
    pub proven: Option<Duration>,
}

/// Why a bucket has nothing for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// No token before.
    Until(Timestamp),
    /// Somebody is on his way to find out whether the CA lets the bucket become that empty.
    Unproven,
}

impl Meter {
    /// An empty place in the books: a full bucket, of a limit whose numbers are certain.
    pub fn full(bucket: Bucket, now: Timestamp) -> Self {
        Self { bucket, full_at: now, reserved: 0, promised_until: None, proven: None }
    }

    /// When it is full again if all that is reserved is taken now. In whatever order and however late the CA reads
    /// what is on its way, it lets through what is let through by this: each token that is taken later has had the
    /// longer to come back.
    pub fn spoken_for(&self, now: Timestamp) -> Timestamp {
        match self.reserved {
            0 => self.full_at,
            tokens => self.full_at.max(now).after(self.bucket.refill().saturating_mul(tokens)),
        }
    }

    /// Whether `tokens` more are there, with everything that is spoken for.
    ///
    /// # Errors
    /// Not now: the instant at which they will be.
    pub fn check(&self, tokens: u32, now: Timestamp) -> Result<(), Timestamp> {
        match self.bucket.spend(self.full_at, self.reserved.saturating_add(tokens), now) {
            Decision::Granted { .. } => Ok(()),
            Decision::Denied { retry_at } => Err(retry_at),
        }
    }

    /// Whether one more order may go now.
    ///
    /// # Errors
    /// No token, or nobody knows whether there is one.
    pub fn let_one(&self, now: Timestamp) -> Result<(), Shortage> {
        self.check(1, now).map_err(Shortage::Until)?;
        let depth = now.until(self.spoken_for(now)).saturating_add(self.bucket.refill());
        let ventures = self.proven.is_some_and(|proven| depth > proven);
        if ventures && self.reserved > 0 { Err(Shortage::Unproven) } else { Ok(()) }
    }

    /// Orders that may go now, one after the other if need be.
    pub fn left(&self, now: Timestamp) -> u32 {
        let spoken_for = self.spoken_for(now);
        let tokens = self.bucket.remaining(spoken_for, now);
        let Some(proven) = self.proven else { return tokens };
        let within =
            proven.saturating_sub(now.until(spoken_for)).as_micros() / self.bucket.refill().as_micros();
        match u32::try_from(within).unwrap_or(u32::MAX) {
            0 if self.reserved > 0 => 0,
            within => tokens.min(within.max(1)),
        }
    }

    /// The CA has taken one of the tokens that are reserved, no later than `now`.
    pub fn count_one(&mut self, now: Timestamp) {
        self.reserved = self.reserved.saturating_sub(1);
        self.full_at = self.full_at.max(now).after(self.bucket.refill());
        self.proven = self.proven.map(|proven| proven.max(now.until(self.full_at)));
    }

    /// Promises the next token that nobody else was promised, so that those who wait for one bucket come back one by
    /// one, as tokens do, and not all at once for the same one.
    pub fn promise(&mut self, retry_at: Timestamp) -> Timestamp {
        let behind = self.promised_until.map(|until| until.after(self.bucket.refill()));
        let instant = behind.map_or(retry_at, |behind| behind.max(retry_at));
        self.promised_until = Some(instant);
        instant
    }
}

/// The buckets that the candidates of one decision need. A bucket that is missing is of a limit that the CA does not
/// have.
pub type Meters = HashMap<BucketKey, Meter>;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);
    const ACCOUNT: AccountId = AccountId(Uuid::from_u128(7));

    fn names(all: &[&str]) -> Identifiers {
        Identifiers::new(all.iter().map(|name| Hostname::parse(name).expect("a name"))).expect("a set")
    }

    fn limits_of(needs: &[Need]) -> Vec<(LimitName, bool, bool)> {
        needs.iter().map(|need| (need.bucket.limit, need.checked, need.reserved)).collect()
    }

    #[test]
    fn an_order_needs_what_boulder_checks_and_reserves_what_it_counts_later() {
        use LimitName::{CertificatesPerExactSet as Set, CertificatesPerRegisteredDomain as Domain};
        let failed = LimitName::FailedAuthorizationsPerHostname;
        let site = names(&["shop.com", "www.shop.com"]);
        let plain = needs(&site, ACCOUNT, None, false);
        assert_eq!(
            limits_of(&plain),
            [(Domain, true, true), (Set, true, true), (failed, true, false), (failed, true, false)]
        );
        let renewal = needs(&site, ACCOUNT, Some(Exemption::ExactSet), true);
        assert_eq!(limits_of(&renewal), [(Set, true, true), (failed, true, false), (failed, true, false)]);
        let by_window = |known| limits_of(&needs(&site, ACCOUNT, Some(Exemption::RenewalInfo), known));
        assert_eq!(by_window(true), [(Set, false, true)]);
        assert_eq!(
            by_window(false),
            [(Domain, false, true), (Set, false, true)],
            "it is counted all the same"
        );
    }

    #[test]
    fn the_most_special_override_holds() {
        let one = |account, key: Option<&str>, burst| LimitOverride {
            limit: LimitName::NewOrdersPerAccount,
            account,
            key: key.map(Box::from),
            burst,
            count: burst,
            period_seconds: 10_800,
        };
        let profile =
            [Limit { name: LimitName::NewOrdersPerAccount, burst: 300, count: 300, period_seconds: 10_800 }];
        let bucket = BucketKey::of_account(ACCOUNT);
        let burst =
            |overrides| Rules::new(ACCOUNT, &profile, overrides).limit(&bucket).map(|limit| limit.burst);
        let other = Some(AccountId(Uuid::from_u128(8)));
        assert_eq!(burst(vec![one(other, None, 900)]), Some(300));
        assert_eq!(burst(vec![one(None, None, 400)]), Some(400));
        assert_eq!(burst(vec![one(None, None, 400), one(Some(ACCOUNT), None, 500)]), Some(500));
        let of_the_bucket = one(None, Some(&bucket.key), 600);
        assert_eq!(burst(vec![one(Some(ACCOUNT), None, 500), of_the_bucket]), Some(600));
        assert_eq!(Rules::new(ACCOUNT, &[], Vec::new()).limit(&bucket), None);
    }

    #[test]
    fn what_is_reserved_is_as_good_as_taken_and_promises_queue_up() {
        let week = Duration::from_hours(168);
        let bucket = Bucket::new(2, 2, week).expect("a bucket");
        let mut meter = Meter { reserved: 1, ..Meter::full(bucket, NOW) };
        assert_eq!(meter.check(1, NOW), Ok(()));
        meter.reserved = 2;
        let first = meter.check(1, NOW).expect_err("both are spoken for");
        let half = week / 2;
        assert_eq!(first, NOW.after(half));
        assert_eq!(meter.promise(first), NOW.after(half));
        assert_eq!(meter.promise(first), NOW.after(week), "the next one is promised the next token");
        let later = NOW.after(week * 3);
        assert_eq!(meter.promise(later), later, "old promises are no debt");
    }

    /// With one order at a time beyond what is proven, and any number within it.
    #[test]
    fn beyond_what_is_proven_one_order_goes_at_a_time() {
        let bucket = Bucket::new(4, 4, Duration::from_hours(4)).expect("a bucket");
        let hour = Duration::from_hours(1);
        let mut meter = Meter { proven: Some(hour), ..Meter::full(bucket, NOW) };
        assert_eq!((meter.let_one(NOW), meter.left(NOW)), (Ok(()), 1));
        meter.reserved = 1;
        assert_eq!((meter.let_one(NOW), meter.left(NOW)), (Err(Shortage::Unproven), 0));
        meter.count_one(NOW);
        assert_eq!((meter.let_one(NOW), meter.left(NOW)), (Ok(()), 1), "nobody is on his way");
        meter.reserved = 1;
        meter.count_one(NOW);
        assert_eq!((meter.full_at, meter.proven), (NOW.after(hour * 2), Some(hour * 2)));
        let later = NOW.after(hour * 2);
        assert_eq!(meter.left(later), 2, "as far as it was before it may go with several at once");
        meter.reserved = 4;
        assert_eq!(meter.let_one(later), Err(Shortage::Until(later.after(hour))));
    }

    proptest! {
        /// However late the CA reads each request, in whatever order, and however long its answer takes: it refuses
        /// none that we let go, and once all are answered it is full no later than we say.
        #[test]
        fn the_mirror_is_never_ahead_of_the_ca(
            burst in 1_u32..6,
            refill in 1_u64..90,
            asks in prop::collection::vec((0_u64..60, 0_u64..=40, 0_u64..=40), 1..60),
        ) {
            let bucket = Bucket::new(burst, 1, Duration::from_secs(refill)).expect("a bucket");
            let (mut ours, mut now, mut arrivals) = (Meter::full(bucket, NOW), NOW, Vec::new());
            let mut answers: Vec<Timestamp> = Vec::new();
            let hear = |ours: &mut Meter, answers: &mut Vec<Timestamp>, until: Timestamp| {
                answers.sort();
                let heard = answers.partition_point(|at| *at <= until);
                answers.drain(..heard).for_each(|at| ours.count_one(at));
            };
            for (pause, delay, way_back) in asks {
                now = now.after(Duration::from_secs(pause));
                hear(&mut ours, &mut answers, now);
                if ours.let_one(now).is_ok() {
                    ours.reserved += 1;
                    let arrival = now.after(Duration::from_secs(delay));
                    arrivals.push(arrival);
                    answers.push(arrival.after(Duration::from_secs(way_back)));
                }
            }
            hear(&mut ours, &mut answers, now.after(Duration::from_hours(1)));
            arrivals.sort();
            let mut theirs = NOW;
            for arrival in arrivals {
                match bucket.spend(theirs, 1, arrival) {
                    Decision::Granted { full_at } => theirs = full_at,
                    Decision::Denied { .. } => prop_assert!(false, "the CA says no"),
                }
            }
            prop_assert!(theirs <= ours.full_at);
        }

        /// A limit that is smaller than was told refuses one order, whatever is under way. Answers take less time than
        /// a token takes to come back.
        #[test]
        fn a_smaller_limit_refuses_once(
            told in 2_u32..8,
            granted in 1_u32..8,
            asks in prop::collection::vec((0_u64..5, 0_u64..6, 0_u64..6), 1..80),
        ) {
            let refill = Duration::from_secs(30);
            let bucket = Bucket::new(told, 1, refill).expect("a bucket");
            let theirs = Bucket::new(granted.min(told), 1, refill).expect("a bucket");
            let mut ours = Meter { proven: Some(Duration::ZERO), ..Meter::full(bucket, NOW) };
            let (mut full_at, mut now, mut refusals) = (NOW, NOW, 0);
            let (mut asked, mut answered) = (Vec::new(), Vec::new());
            for (pause, way_there, way_back) in asks {
                now = now.after(Duration::from_secs(pause));
                asked.sort();
                let read = asked.partition_point(|(arrival, _)| *arrival <= now);
                for (arrival, way_back) in asked.drain(..read) {
                    let decision = theirs.spend(full_at, 1, arrival);
                    if let Decision::Granted { full_at: after } = decision {
                        full_at = after;
                    }
                    answered.push((arrival.after(way_back), decision));
                }
                answered.sort_by_key(|(at, _)| *at);
                let heard = answered.partition_point(|(at, _)| *at <= now);
                for (at, decision) in answered.drain(..heard) {
                    if let Decision::Denied { retry_at } = decision {
                        refusals += 1;
                        ours.reserved -= 1;
                        ours = Meter { bucket: theirs, full_at: theirs.emptied_until(retry_at), ..ours };
                    } else {
                        ours.count_one(at);
                    }
                }
                if ours.let_one(now).is_ok() {
                    ours.reserved += 1;
                    let arrival = now.after(Duration::from_secs(way_there));
                    asked.push((arrival, Duration::from_secs(way_back)));
                }
            }
            prop_assert!(refusals <= 1, "{refusals} refusals");
        }
    }
}
