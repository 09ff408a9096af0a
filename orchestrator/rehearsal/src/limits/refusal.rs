//! What a client is told whom a limit refuses, in Boulder's words.

use std::time::Duration;

use issuance::limit::{Limit, LimitName};
use issuance::time::{Fraction, Timestamp};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::key::Key;
use crate::problem::{Kind, Problem};

const LIMITS_PAGE: &str = "https://letsencrypt.org/docs/rate-limits/";
/// Boulder spreads clients that were refused together by up to this share of the wait.
const RETRY_JITTER_SHARE: f64 = 0.03;
const RETRY_AT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");

/// A bucket that has no token.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(super) limit: Limit,
    pub(super) key: Key,
    pub(super) retry_at: Timestamp,
}

impl Refusal {
    pub(crate) fn into_problem(self, now: Timestamp, jitter: Fraction) -> Problem {
        let wait = now.until(self.retry_at);
        let wait = wait + jitter.of(wait, RETRY_JITTER_SHARE);
        // The text is cut to the second and the header rounded to the nearest one, so that both may send a client back
        // a moment too early: as at Boulder.
        let retry_at = now
            .after(wait)
            .to_datetime()
            .and_then(|at| at.format(RETRY_AT).ok())
            .unwrap_or_else(|| self.retry_at.to_string());
        let header = Duration::from_secs((wait + Duration::from_millis(500)).as_secs());
        let (burst, window) = (self.limit.burst, go_duration(self.limit.period_seconds));
        let (what, anchor) = match (self.limit.name, &self.key) {
            (LimitName::NewAccountsPerAddress, _) => (
                format!("too many new registrations ({burst}) from this IP address"),
                "new-registrations-per-ip-address",
            ),
            (LimitName::NewOrdersPerAccount, _) => {
                (format!("too many new orders ({burst}) from this account"), "new-orders-per-account")
            }
            (
                LimitName::CertificatesPerRegisteredDomain,
                Key::Domain(domain) | Key::DomainOfAccount(_, domain),
            ) => (
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
        let detail =
            format!("{what} in the last {window}, retry after {retry_at}: see {LIMITS_PAGE}#{anchor}");
        if header.is_zero() {
            // Less than half a second: Boulder says nothing then.
            return Problem::new(Kind::RateLimited, detail);
        }
        Problem::rate_limited(detail, Some(header))
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
}
