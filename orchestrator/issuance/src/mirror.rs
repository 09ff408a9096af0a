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

/// The CA counts a new-order when it reads it: at most so long after the gate let it go. Longer than a request may wait
/// for its turn and then take.
pub const ARRIVAL_MARGIN: Duration = Duration::from_secs(40);

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
    pub full_at: Timestamp,
    /// Orders in flight that will take a token each.
    pub reserved: u32,
    /// The latest instant for which a token was promised to somebody who waits.
    pub promised_until: Option<Timestamp>,
}

impl Meter {
    /// An empty place in the books: a full bucket.
    pub fn full(bucket: Bucket, now: Timestamp) -> Self {
        Self { bucket, full_at: now, reserved: 0, promised_until: None }
    }

    /// When one more order may have a token, with everything that is spoken for.
    ///
    /// # Errors
    /// Not now: the instant at which the token will be there.
    pub fn check(&self, now: Timestamp) -> Result<(), Timestamp> {
        match self.bucket.spend(self.full_at, self.reserved.saturating_add(1), now) {
            Decision::Granted { .. } => Ok(()),
            Decision::Denied { retry_at } => Err(retry_at),
        }
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

/// Takes a new-order token, which the CA takes up to [`ARRIVAL_MARGIN`] later.
pub fn take_new_order(bucket: Bucket, full_at: Timestamp, now: Timestamp) -> Decision {
    match bucket.spend(full_at, 1, now) {
        Decision::Granted { .. } => {
            Decision::Granted { full_at: full_at.max(now.after(ARRIVAL_MARGIN)).after(bucket.refill()) }
        }
        denied @ Decision::Denied { .. } => denied,
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
        assert_eq!(meter.check(NOW), Ok(()));
        meter.reserved = 2;
        let first = meter.check(NOW).expect_err("both are spoken for");
        let half = week / 2;
        assert_eq!(first, NOW.after(half));
        assert_eq!(meter.promise(first), NOW.after(half));
        assert_eq!(meter.promise(first), NOW.after(week), "the next one is promised the next token");
        let later = NOW.after(week * 3);
        assert_eq!(meter.promise(later), later, "old promises are no debt");
    }

    proptest! {
        /// However late within the margin the CA reads each request, and in whatever order: it refuses none that we
        /// let go, and is full no later than we say.
        #[test]
        fn the_mirror_is_never_ahead_of_the_ca(
            burst in 1_u32..6,
            refill in 1_u64..90,
            asks in prop::collection::vec((0_u64..60, 0_u64..=40), 1..60),
        ) {
            let bucket = Bucket::new(burst, 1, Duration::from_secs(refill)).expect("a bucket");
            let (mut ours, mut now, mut arrivals) = (NOW, NOW, Vec::new());
            for (pause, delay) in asks {
                now = now.after(Duration::from_secs(pause));
                if let Decision::Granted { full_at } = take_new_order(bucket, ours, now) {
                    ours = full_at;
                    arrivals.push(now.after(Duration::from_secs(delay)));
                }
            }
            arrivals.sort();
            let mut theirs = NOW;
            for arrival in arrivals {
                match bucket.spend(theirs, 1, arrival) {
                    Decision::Granted { full_at } => theirs = full_at,
                    Decision::Denied { .. } => prop_assert!(false, "the CA says no"),
                }
            }
            prop_assert!(theirs <= ours);
        }
    }
}
