//! What a CA teaches with a 429: which of its limits is used up and for whom, how large that limit is, and until when.
//!
//! It stands in the problem's words alone, so it is read word by word, and never judged by its type: other CAs, and
//! other releases of the same one, say other things, and what is not understood is a limit on the whole account.

use std::time::Duration;

use time::{Date, Month, PrimitiveDateTime, Time};

use crate::fault::{LIMIT_WAIT_DEFAULT, WAIT_MAX};
use crate::identifier::{Hostname, Identifiers};
use crate::ids::AccountId;
use crate::limit::{Limit, LimitName};
use crate::mirror::{BucketKey, LimitOverride, Rules};
use crate::problem::Problem;
use crate::time::Timestamp;

/// By how much the instant in the text may exceed `Retry-After`: more is a difference of clocks.
const SKEW_MAX: Duration = Duration::from_mins(5);
const WAIT_MIN: Duration = Duration::from_secs(1);

/// One refusal for a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lesson {
    /// `None`: a limit of which it is not said, or not understood, what it counts. The whole account waits.
    pub told: Option<Told>,
    /// The CA lets nothing in that scope through before.
    pub until: Timestamp,
}

/// A limit, as the CA names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub limit: LimitName,
    /// The registered domain or the hostname, where the limit counts one.
    subject: Option<Box<str>>,
    /// Tokens, and the seconds of the window in which so many come back. `None`: not said.
    pub size: Option<(u32, u64)>,
}

impl Lesson {
    /// Reads a problem of the type `rateLimited` that is neither a pause nor a busy CA.
    pub fn of(problem: &Problem, now: Timestamp) -> Self {
        Self { told: Told::parse(&problem.detail), until: until(problem, now) }
    }
}

impl Told {
    /// Boulder's wordings (`ratelimits/limiter.go`), with numbers and, as it was until 2024, without.
    fn parse(detail: &str) -> Option<Self> {
        let (_, words) = detail.split_once("too many ")?;
        let quoted = || words.split('"').nth(1);
        let (limit, subject) = if words.starts_with("new orders") {
            (LimitName::NewOrdersPerAccount, None)
        } else if words.starts_with("new registrations") {
            (LimitName::NewAccountsPerAddress, None)
        } else if words.starts_with("certificates") && words.contains("exact set of") {
            (LimitName::CertificatesPerExactSet, None)
        } else if words.starts_with("certificates") {
            let domain = quoted()?.to_ascii_lowercase();
            (LimitName::CertificatesPerRegisteredDomain, Some(domain.into()))
        } else if words.starts_with("failed authorizations") {
            let hostname = Hostname::parse(quoted()?).ok()?;
            (LimitName::FailedAuthorizationsPerHostname, Some(hostname.as_str().into()))
        } else {
            return None;
        };
        Some(Self { limit, subject, size: size(words) })
    }

    /// Which bucket of ours it is, for an order for `names`. `None`: of a limit that is not about orders.
    pub fn bucket(&self, account: AccountId, names: &Identifiers) -> Option<BucketKey> {
        match self.limit {
            LimitName::NewOrdersPerAccount => Some(BucketKey::of_account(account)),
            LimitName::CertificatesPerExactSet => Some(BucketKey::of_set(names)),
            LimitName::CertificatesPerRegisteredDomain => {
                let domain = self.subject.as_deref()?;
                // The CA's list of public suffixes may be older or newer than ours: what it calls by a shorter name
                // is what we count by a longer one.
                let within = |own: &str| own.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
                let own = || names.iter().map(Hostname::registered_domain);
                let known = own().find(|one| *one == domain).or_else(|| own().find(|one| within(one)));
                Some(BucketKey::of_domain(known.unwrap_or(domain)))
            }
            LimitName::FailedAuthorizationsPerHostname => {
                let hostname = Hostname::parse(self.subject.as_deref()?).ok()?;
                Some(BucketKey::of_hostname(self.limit, account, &hostname))
            }
            LimitName::NewAccountsPerAddress | LimitName::ConsecutiveFailuresPerHostname => None,
        }
    }

    /// The numbers that hold from now on, where the CA has said others than `rules`, and for whom: an account's limit
    /// for the account. Of a limit that counts over all accounts fewer tokens are taken for everybody's, and more for
    /// a favour to the one bucket. But what was said of fewer before is corrected where it was said.
    pub fn correction(&self, rules: &Rules, bucket: &BucketKey, account: AccountId) -> Option<LimitOverride> {
        let (burst, period_seconds) = self.size?;
        let stated = Limit { name: self.limit, burst, count: burst, period_seconds };
        let stated_bucket = stated.bucket()?;
        let known = rules.limit(bucket);
        if known.is_some_and(|known| (known.burst, known.period_seconds) == (burst, period_seconds)) {
            return None;
        }
        let more = known.and_then(|known| known.bucket()).is_some_and(|known| {
            stated_bucket.burst() >= known.burst() && stated_bucket.refill() <= known.refill()
        });
        let everybodys = matches!(
            self.limit,
            LimitName::CertificatesPerRegisteredDomain | LimitName::CertificatesPerExactSet
        );
        let (mut of, mut key) = match (everybodys, more) {
            (false, _) => (Some(account), None),
            (true, false) => (None, None),
            (true, true) => (None, Some(bucket.key.clone())),
        };
        // What is more special would go on to hold.
        if let Some(holding) = rules.holding(bucket) {
            key = key.or_else(|| holding.key.clone());
            of = of.or(holding.account);
        }
        Some(LimitOverride { limit: self.limit, account: of, key, burst, count: burst, period_seconds })
    }
}

/// Those of `names` that the CA says it has paused: `… temporarily prevented from requesting certificates for A, B and
/// possibly others. Please visit: …`. All of them where it names none.
pub fn paused_names(detail: &str, names: &Identifiers) -> Vec<Hostname> {
    let told = detail.split_once("requesting certificates for ").map_or("", |(_, told)| told);
    let told = told.split(" and possibly").next().unwrap_or_default();
    let told = told.split(". Please").next().unwrap_or_default();
    let told = told.split(", ").filter_map(|name| Hostname::parse(name.trim()).ok());
    let named: Vec<Hostname> = told.filter(|name| names.contains(name)).collect();
    if named.is_empty() { names.iter().cloned().collect() } else { named }
}

/// `(300) … in the last 3h0m0s`.
fn size(words: &str) -> Option<(u32, u64)> {
    let (_, rest) = words.split_once('(')?;
    let (burst, rest) = rest.split_once(')')?;
    let (_, rest) = rest.split_once(" in the last ")?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let (burst, seconds) = (burst.parse().ok()?, go_duration(&rest[..end])?);
    (burst > 0 && seconds > 0).then_some((burst, seconds))
}

/// A duration of whole seconds as Go prints it: `168h0m0s`, `10m0s`, `30s`.
fn go_duration(text: &str) -> Option<u64> {
    let mut seconds = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let (unit, behind) = rest[digits..].split_at_checked(1)?;
        let factor = match unit {
            "h" => 3_600,
            "m" => 60,
            "s" => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(factor)?)?;
        rest = behind;
    }
    Some(seconds)
}

/// The later one of `Retry-After` and what the text says, within reason.
fn until(problem: &Problem, now: Timestamp) -> Timestamp {
    let waited = problem.retry_after.map(|wait| now.after(wait));
    let written = written_instant(&problem.detail);
    let until = match (waited, written) {
        (Some(waited), Some(written)) => waited.max(written.min(waited.after(SKEW_MAX))),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => now.after(LIMIT_WAIT_DEFAULT),
    };
    until.clamp(now.after(WAIT_MIN), now.after(WAIT_MAX))
}

/// `retry after 2026-11-21 08:04:29 UTC`.
fn written_instant(detail: &str) -> Option<Timestamp> {
    let (_, rest) = detail.split_once("retry after ")?;
    let (text, _) = rest.split_once(" UTC")?;
    let (date, time) = text.split_once(' ')?;
    let mut parts = date.splitn(3, '-');
    let year = parts.next()?.parse().ok()?;
    let month = Month::try_from(parts.next()?.parse::<u8>().ok()?).ok()?;
    let date = Date::from_calendar_date(year, month, parts.next()?.parse().ok()?).ok()?;
    let mut parts = time.splitn(3, ':').map(|part| part.parse::<u8>().ok());
    let time = Time::from_hms(parts.next()??, parts.next()??, parts.next()??).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::problem::ProblemKind;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_248_235); // 2026-11-21 08:03:55 UTC
    const ACCOUNT: AccountId = AccountId(Uuid::from_u128(7));

    fn names(all: &[&str]) -> Identifiers {
        Identifiers::new(all.iter().map(|name| Hostname::parse(name).expect("a name"))).expect("a set")
    }

    fn lesson(detail: &str, retry_after: Option<u64>) -> Lesson {
        let retry_after = retry_after.map(Duration::from_secs);
        Lesson::of(&Problem { retry_after, ..Problem::new(ProblemKind::RateLimited, 429, detail) }, NOW)
    }

    fn in_seconds(seconds: u64) -> Timestamp {
        NOW.after(Duration::from_secs(seconds))
    }

    /// As they stand on the wire of a Boulder of 2026-08, and the older ones without numbers.
    #[test]
    fn every_wording_names_its_limit_its_bucket_and_its_size() {
        let order = names(&["bad.tf0b1b8.com", "zone93fa90.com"]);
        let hour = 3_600;
        let failed = LimitName::FailedAuthorizationsPerHostname;
        let bad = Hostname::parse("bad.tf0b1b8.com").expect("a name");
        let cases = [
            (
                "too many new orders (300) from this account in the last 3h0m0s, retry after 2026-11-21 08:04:29 UTC: see https://letsencrypt.org/docs/rate-limits/#new-orders-per-account",
                34,
                Some(BucketKey::of_account(ACCOUNT)),
                Some((300, 3 * hour)),
            ),
            (
                "too many certificates (50) already issued for \"zone93fa90.com\" in the last 168h0m0s, retry after 2026-11-21 11:30:27 UTC: see https://letsencrypt.org/docs/rate-limits/#new-certificates-per-registered-domain",
                12_392,
                Some(BucketKey::of_domain("zone93fa90.com")),
                Some((50, 168 * hour)),
            ),
            (
                "too many certificates (2) already issued for this exact set of identifiers in the last 1h0m0s, retry after 2026-11-21 08:18:50 UTC: see https://letsencrypt.org/docs/rate-limits/#new-certificates-per-exact-set-of-identifiers",
                895,
                Some(BucketKey::of_set(&order)),
                Some((2, hour)),
            ),
            (
                "too many failed authorizations (3) for \"bad.tf0b1b8.com\" in the last 10m0s, retry after 2026-11-21 08:07:15 UTC: see https://letsencrypt.org/docs/rate-limits/#authorization-failures-per-identifier-per-account",
                200,
                Some(BucketKey::of_hostname(failed, ACCOUNT, &bad)),
                Some((3, 600)),
            ),
            (
                "Error creating new order :: too many certificates already issued for \"zone93fa90.com\". Retry after 2026-11-21T09:00:00Z",
                9,
                Some(BucketKey::of_domain("zone93fa90.com")),
                None,
            ),
            (
                "too many certificates (5) already issued for this exact set of domains in the last 168 hours: a.com",
                7,
                Some(BucketKey::of_set(&order)),
                None,
            ),
        ];
        for (detail, wait, bucket, size) in cases {
            let Lesson { told, until } = lesson(detail, Some(wait));
            let told = told.unwrap_or_else(|| panic!("{detail}"));
            assert_eq!((told.bucket(ACCOUNT, &order), told.size), (bucket, size), "{detail}");
            assert_eq!(until, in_seconds(wait), "{detail}");
        }
    }

    #[test]
    fn what_is_about_no_order_or_not_understood_is_attributed_to_no_bucket() {
        let registrations = "too many new registrations (50) from this IP address in the last 3h0m0s, retry after 2026-11-21 08:07:33 UTC: see x";
        let told = lesson(registrations, Some(218)).told.expect("a limit");
        assert_eq!((told.limit, told.size), (LimitName::NewAccountsPerAddress, Some((50, 10_800))));
        assert_eq!(told.bucket(ACCOUNT, &names(&["a.com"])), None);
        for detail in [
            "Error creating new order :: too many currently pending authorizations: see https://letsencrypt.org/docs/rate-limits/",
            "too many requests",
            "too many failed authorizations recently: see x",
            "too many failed authorizations (5) for \"not a name\" in the last 1h0m0s",
            "quota exceeded",
            "",
        ] {
            assert_eq!(lesson(detail, Some(34)), Lesson { told: None, until: in_seconds(34) }, "{detail}");
            assert_eq!(lesson(detail, None).until, NOW.after(LIMIT_WAIT_DEFAULT), "{detail}");
        }
    }

    #[test]
    fn the_later_instant_holds_within_reason() {
        let until = |text: &str, wait| lesson(&format!("retry after {text} UTC: see"), wait).until;
        assert_eq!(until("2026-11-21 08:04:29", None), in_seconds(34));
        assert_eq!(until("2026-11-21 08:04:29", Some(20)), in_seconds(34));
        assert_eq!(until("2026-11-21 08:04:29", Some(50)), in_seconds(50));
        assert_eq!(until("2027-11-21 08:04:29", Some(20)), in_seconds(320), "clocks differ");
        assert_eq!(until("2099-11-21 08:04:29", None), NOW.after(WAIT_MAX));
        assert_eq!(until("2026-11-20 08:04:29", None), in_seconds(1), "past");
        assert_eq!(until("2026-13-45 99:99:99", Some(5)), in_seconds(5));
        assert_eq!(until("2026-11-21", Some(0)), in_seconds(1));
    }

    #[test]
    fn a_domain_that_the_ca_names_by_another_suffix_is_the_orders_own() {
        let told = lesson("too many certificates (50) already issued for \"com\" in the last 1h0m0s", None);
        let bucket = told.told.expect("a limit").bucket(ACCOUNT, &names(&["www.shop.com"]));
        assert_eq!(bucket, Some(BucketKey::of_domain("shop.com")));
    }

    #[test]
    fn a_pause_names_its_names() {
        let order = names(&["a.com", "b.com", "c.com"]);
        let of = |told: &str| -> Vec<String> {
            let detail =
                format!("Your account is temporarily prevented from requesting certificates for {told}");
            paused_names(&detail, &order).iter().map(ToString::to_string).collect()
        };
        assert_eq!(of("b.com and possibly others. Please visit: https://ca.test/sfe?jwt=a.b"), ["b.com"]);
        assert_eq!(of("c.com, a.com and possibly others. Please visit: x"), ["c.com", "a.com"]);
        assert_eq!(of("b.com. Please visit: x"), ["b.com"]);
        assert_eq!(of("other.com and possibly others"), ["a.com", "b.com", "c.com"]);
        assert_eq!(of(""), ["a.com", "b.com", "c.com"]);
    }

    fn told(limit: LimitName, burst: u32, period_seconds: u64) -> Told {
        Told { limit, subject: None, size: Some((burst, period_seconds)) }
    }

    #[test]
    fn other_numbers_hold_for_those_whom_they_were_said_of() {
        use LimitName::{CertificatesPerExactSet as Set, NewOrdersPerAccount as Orders};
        let limits = [
            Limit { name: Orders, burst: 300, count: 300, period_seconds: 10_800 },
            Limit { name: Set, burst: 5, count: 5, period_seconds: 604_800 },
        ];
        let rules = Rules::new(ACCOUNT, &limits, Vec::new());
        let account = BucketKey::of_account(ACCOUNT);
        let set = BucketKey { limit: Set, key: "abc".into() };
        let whose = |told: &Told, rules: &Rules, bucket: &BucketKey| {
            let correction = told.correction(rules, bucket, ACCOUNT)?;
            assert_eq!((correction.burst, correction.count), (told.size?.0, told.size?.0));
            Some((correction.account, correction.key))
        };
        assert_eq!(whose(&told(Orders, 300, 10_800), &rules, &account), None, "as it was known");
        assert_eq!(whose(&told(Orders, 150, 10_800), &rules, &account), Some((Some(ACCOUNT), None)));
        assert_eq!(whose(&told(Orders, 600, 10_800), &rules, &account), Some((Some(ACCOUNT), None)));
        assert_eq!(whose(&told(Set, 2, 604_800), &rules, &set), Some((None, None)), "fewer for everybody");
        assert_eq!(whose(&told(Set, 5, 1_000_000), &rules, &set), Some((None, None)), "slower for everybody");
        assert_eq!(whose(&told(Set, 9, 604_800), &rules, &set), Some((None, Some("abc".into()))));
        let domain = BucketKey::of_domain("a.com");
        let unknown = told(LimitName::CertificatesPerRegisteredDomain, 50, 604_800);
        assert_eq!(whose(&unknown, &rules, &domain), Some((None, None)), "a limit that nobody knew of");
        let granted = LimitOverride {
            limit: Set,
            account: None,
            key: Some("abc".into()),
            burst: 50,
            count: 50,
            period_seconds: 604_800,
        };
        let rules = Rules::new(ACCOUNT, &limits, vec![granted]);
        let place = Some((None, Some("abc".into())));
        assert_eq!(whose(&told(Set, 5, 604_800), &rules, &set), place, "what was granted is over");
    }

    proptest! {
        /// Whatever a CA writes: no panic, and no wait beyond reason.
        #[test]
        fn no_words_are_too_odd(
            before in "\\PC{0,20}", limit in "(new orders|certificates|failed authorizations|new registrations)?",
            size in "(\\([0-9]{0,12}\\))?", middle in "\\PC{0,30}", window in "([0-9]{0,25}[hms]?){0,4}", behind in "\\PC{0,60}",
            wait in prop::option::of(any::<u64>()),
        ) {
            let detail = format!("{before}too many {limit} {size}{middle} in the last {window}, retry after {behind} UTC");
            for detail in [detail.as_str(), &before, &middle, &behind] {
                let Lesson { told, until } = lesson(detail, wait);
                prop_assert!(!paused_names(detail, &names(&["www.shop.com"])).is_empty());
                prop_assert!(NOW.after(WAIT_MIN) <= until && until <= NOW.after(WAIT_MAX));
                if let Some(told) = told {
                    let order = names(&["www.shop.com"]);
                    if let Some(bucket) = told.bucket(ACCOUNT, &order) {
                        let correction = told.correction(&Rules::default(), &bucket, ACCOUNT);
                        prop_assert_eq!(correction.is_some(), told.size.and_then(|(burst, seconds)| {
                            Limit { name: told.limit, burst, count: burst, period_seconds: seconds }.bucket()
                        }).is_some());
                    }
                }
            }
        }

        /// What Go prints of whole seconds is read back.
        #[test]
        fn windows_come_back(seconds in 1_u64..10_000_000) {
            let printed = match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
                (0, 0, s) => format!("{s}s"),
                (0, m, s) => format!("{m}m{s}s"),
                (h, m, s) => format!("{h}h{m}m{s}s"),
            };
            prop_assert_eq!(go_duration(&printed), Some(seconds));
        }
    }
}
