//! The numbers of Let's Encrypt, and of its staging environment.

use std::time::Duration;

use issuance::gcra::Decision;
use issuance::limit::{Limit, LimitName};
use rehearsal::ca::CaRules;
use rehearsal::limits::{LimitOverride, Owner};

use super::{fail, limit, limited};
use crate::client::Client;
use crate::limits::START;

const HOUR: u64 = 3_600;
const WEEK: u64 = 7 * 24 * HOUR;

/// Burst, tokens, and the seconds in which they come back.
fn numbers(rules: &CaRules) -> Vec<(LimitName, u32, u32, u64)> {
    let numbers = |limit: &Limit| (limit.name, limit.burst, limit.count, limit.period_seconds);
    rules.limits.iter().map(numbers).collect()
}

#[test]
pub(crate) fn the_limits_are_those_of_production() {
    for name in ["boulder", "letsencrypt"] {
        let rules = CaRules::preset(name).expect("a preset");
        assert_eq!(
            numbers(&rules),
            [
                (LimitName::NewAccountsPerAddress, 10, 10, 3 * HOUR),
                (LimitName::NewOrdersPerAccount, 300, 300, 3 * HOUR),
                (LimitName::CertificatesPerRegisteredDomain, 50, 50, WEEK),
                (LimitName::CertificatesPerExactSet, 5, 5, WEEK),
                (LimitName::FailedAuthorizationsPerHostname, 5, 5, HOUR),
                (LimitName::ConsecutiveFailuresPerHostname, 1_152, 1, 24 * HOUR),
            ]
        );
        assert_eq!(rules.pending_authorizations_max, None);
        assert_eq!(rules.default_profile.names_max, 100);
        let names_max = |profile: &str| rules.profiles.get(profile).map(|profile| profile.names_max);
        assert_eq!(["classic", "tlsserver", "shortlived"].map(names_max), [Some(100), Some(25), Some(25)]);
    }
}

/// As the documentation words it: one comes back every so many seconds.
#[test]
pub(crate) fn tokens_come_back_at_the_documented_pace() {
    let rules = CaRules::preset("letsencrypt").expect("a preset");
    let refill = |name| rules.limit(name).and_then(|limit| limit.bucket()).expect("a bucket").refill();
    let minutes = Duration::from_mins;
    assert_eq!(refill(LimitName::NewAccountsPerAddress), minutes(18));
    assert_eq!(refill(LimitName::NewOrdersPerAccount), Duration::from_secs(36));
    assert_eq!(
        refill(LimitName::CertificatesPerRegisteredDomain).as_secs() / 60,
        201,
        "202 minutes, rounded"
    );
    assert_eq!(refill(LimitName::CertificatesPerExactSet), minutes(33 * 60 + 36));
    assert_eq!(refill(LimitName::FailedAuthorizationsPerHostname), minutes(12));
    assert_eq!(refill(LimitName::ConsecutiveFailuresPerHostname), minutes(24 * 60));
}

#[test]
pub(crate) fn the_limits_of_staging_are_other_ones() {
    let rules = CaRules::preset("letsencrypt-staging").expect("a preset");
    assert_eq!(
        numbers(&rules),
        [
            (LimitName::NewAccountsPerAddress, 50, 50, 3 * HOUR),
            (LimitName::NewOrdersPerAccount, 1_500, 1_500, 3 * HOUR),
            (LimitName::CertificatesPerRegisteredDomain, 30_000, 30_000, 1),
            (LimitName::CertificatesPerExactSet, 30_000, 30_000, WEEK),
            (LimitName::FailedAuthorizationsPerHostname, 200, 200, HOUR),
            (LimitName::ConsecutiveFailuresPerHostname, 3_600, 1, 6 * HOUR),
        ]
    );
    assert!(rules.async_finalize.is_some());
}

/// How long a name that fails so often a day takes to be paused, in days.
#[test]
pub(crate) fn a_name_is_paused_after_days_or_years_or_never() {
    let rules = CaRules::preset("letsencrypt").expect("a preset");
    let bucket = rules.limit(LimitName::ConsecutiveFailuresPerHostname).and_then(|limit| limit.bucket());
    let bucket = bucket.expect("a bucket");
    let days_until_paused = |failures_a_day: u32| {
        let every = Duration::from_hours(24) / failures_a_day;
        let (mut now, mut full_at) = (START, START);
        for failures in 0..10_000_u32 {
            match bucket.spend(full_at, 1, now) {
                Decision::Granted { full_at: after } => full_at = after,
                Decision::Denied { .. } => return Some(failures / failures_a_day),
            }
            now = now.after(every);
        }
        None
    };
    assert_eq!(days_until_paused(1), None, "never");
    for (failures_a_day, days) in [(2, 1_151), (5, 288), (10, 128), (20, 61), (40, 30), (120, 10)] {
        let found = days_until_paused(failures_a_day).expect("some day");
        assert!(found.abs_diff(days) <= 1, "{failures_a_day} a day: {found} days, not {days}");
    }
}

#[tokio::test]
pub(crate) async fn an_account_can_have_failures_of_its_own() {
    let failed = limit(LimitName::FailedAuthorizationsPerHostname, 1, HOUR);
    let (ca, _, client) = limited(vec![failed]).await;
    ca.set_overrides(vec![LimitOverride::scaled(failed, 3.0).of(Owner::Account(1))]).expect("a good one");
    for _ in 0..3 {
        fail(&client, "a.com").await;
    }
    let refused = client.order(&["a.com"]).await;
    assert!(refused.field("detail").starts_with("too many failed authorizations (3) for \"a.com\""));
    let other = Client::registered(&ca).await;
    fail(&other, "a.com").await;
    assert_eq!(other.order(&["a.com"]).await.status, 429);
}
