//! Rate limits as Boulder keeps and words them: GCRA buckets, checked together, the longest wait reported.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use issuance::gcra::{Bucket, Decision};
use issuance::identifier::Hostname;
use issuance::limit::{Limit, LimitName};
use issuance::time::{Fraction, Timestamp};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::account::Account;
use crate::problem::Problem;
use crate::state::Number;

const LIMITS_PAGE: &str = "https://letsencrypt.org/docs/rate-limits/";
/// Boulder spreads clients that were refused together by up to this share of the wait.
const RETRY_JITTER_SHARE: f64 = 0.03;
const RETRY_AT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");

/// Whom a bucket counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Address(IpAddr),
    Account(Number<Account>),
    Domain(Box<str>),
    Set(Arc<str>),
    Name(Number<Account>, Hostname),
}

#[derive(Debug)]
pub(crate) struct Limits {
    rules: HashMap<LimitName, (Limit, Bucket)>,
    full_at: HashMap<(LimitName, Key), Timestamp>,
}

/// A bucket that has no token.
#[derive(Debug)]
pub(crate) struct Refusal {
    limit: Limit,
    key: Key,
    retry_at: Timestamp,
}

impl Limits {
    pub(crate) fn new(limits: &[Limit]) -> Self {
        let rules = limits.iter().filter_map(|limit| Some((limit.name, (*limit, limit.bucket()?)))).collect();
        Self { rules, full_at: HashMap::new() }
    }

    /// Whether one token is there; nothing is taken.
    pub(crate) fn check(&self, name: LimitName, key: Key, now: Timestamp) -> Result<(), Refusal> {
        let Some((limit, bucket)) = self.rules.get(&name) else { return Ok(()) };
        let place = (name, key);
        let full_at = self.full_at.get(&place).copied().unwrap_or(now);
        match bucket.spend(full_at, 1, now) {
            Decision::Granted { .. } => Ok(()),
            Decision::Denied { retry_at } => Err(Refusal { limit: *limit, key: place.1, retry_at }),
        }
    }

    /// Checks several buckets and reports the one with the longest wait.
    pub(crate) fn check_all(
        &self,
        wanted: impl IntoIterator<Item = (LimitName, Key)>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let refusals = wanted.into_iter().filter_map(|(name, key)| self.check(name, key, now).err());
        refusals.max_by_key(|refusal| refusal.retry_at).map_or(Ok(()), Err)
    }

    /// Takes a token if there is one. An empty bucket is left as it is: what was admitted is never refused
    /// later.
    pub(crate) fn spend(&mut self, name: LimitName, key: Key, now: Timestamp) -> bool {
        let Some((_, bucket)) = self.rules.get(&name) else { return true };
        let full_at = self.full_at.entry((name, key)).or_insert(now);
        match bucket.spend(*full_at, 1, now) {
            Decision::Granted { full_at: after } => {
                *full_at = after;
                true
            }
            Decision::Denied { .. } => false,
        }
    }

    /// Fills a bucket.
    pub(crate) fn reset(&mut self, name: LimitName, key: Key) {
        self.full_at.remove(&(name, key));
    }
}

impl Refusal {
    pub(crate) fn into_problem(self, now: Timestamp, jitter: Fraction) -> Problem {
        let wait = now.until(self.retry_at);
        let wait = wait + jitter.of(wait, RETRY_JITTER_SHARE);
        // Up to the next whole second: the header must not send a client back too early.
        let wait = Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        let retry_at = now
            .after(wait)
            .to_datetime()
            .and_then(|at| at.format(RETRY_AT).ok())
            .unwrap_or_else(|| self.retry_at.to_string());
        let (burst, window) = (self.limit.burst, go_duration(self.limit.period_seconds));
        let (what, anchor) = match (self.limit.name, &self.key) {
            (LimitName::NewAccountsPerAddress, _) => (
                format!("too many new registrations ({burst}) from this IP address"),
                "new-registrations-per-ip-address",
            ),
            (LimitName::NewOrdersPerAccount, _) => {
                (format!("too many new orders ({burst}) from this account"), "new-orders-per-account")
            }
            (LimitName::CertificatesPerRegisteredDomain, Key::Domain(domain)) => (
                format!("too many certificates ({burst}) already issued for \"{domain}\""),
                "new-certificates-per-registered-domain",
            ),
            (LimitName::FailedAuthorizationsPerHostname, Key::Name(_, name)) => (
                format!("too many failed authorizations ({burst}) for \"{name}\""),
                "authorization-failures-per-identifier-per-account",
            ),
            _ => (
                format!("too many certificates ({burst}) already issued for this exact set of identifiers"),
                "new-certificates-per-exact-set-of-identifiers",
            ),
        };
        Problem::rate_limited(
            format!("{what} in the last {window}, retry after {retry_at}: see {LIMITS_PAGE}#{anchor}"),
            Some(wait),
        )
    }
}

/// The cap that Boulder had until 2024: it knows no wait.
pub(crate) fn too_many_pending() -> Problem {
    Problem::rate_limited(
        format!("Error creating new order :: too many currently pending authorizations: see {LIMITS_PAGE}"),
        None,
    )
}

/// A duration as Go prints it: `3h0m0s`, `10m0s`, `30s`.
fn go_duration(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        let printed = [30, 600, 3_600, 10_800, 604_800].map(go_duration);
        assert_eq!(printed, ["30s", "10m0s", "1h0m0s", "3h0m0s", "168h0m0s"]);
    }

    #[test]
    fn the_longest_wait_is_reported_and_nothing_is_taken_by_a_check() {
        let now = Timestamp::from_unix_seconds(1_795_255_445);
        let limit = |name, period_seconds| Limit { name, burst: 1, count: 1, period_seconds };
        let mut limits = Limits::new(&[
            limit(LimitName::NewOrdersPerAccount, 60),
            limit(LimitName::CertificatesPerRegisteredDomain, 1_216),
        ]);
        let wanted = [
            (LimitName::NewOrdersPerAccount, Key::Set("x".into())),
            (LimitName::CertificatesPerRegisteredDomain, Key::Domain("a.com".into())),
            (LimitName::CertificatesPerExactSet, Key::Set("a.com".into())),
        ];
        for _ in 0..3 {
            limits.check_all(wanted.clone(), now).expect("full buckets");
        }
        for (name, key) in wanted.clone() {
            assert!(limits.spend(name, key, now));
        }
        let refusal = limits.check_all(wanted, now).expect_err("both empty");
        assert_eq!(refusal.limit.name, LimitName::CertificatesPerRegisteredDomain);
        assert_eq!(refusal.retry_at, now.after(Duration::from_secs(1_216)));
    }
}
