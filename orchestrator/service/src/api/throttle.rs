//! How many requests a key may make, and how often an address may be wrong about one.
//!
//! Token buckets of this process: a service with several replicas lets through as many times what is configured. They are
//! about our own database and processors; what the CA allows is counted elsewhere, once for all replicas.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::Clock as _;
use governor::middleware::{NoOpMiddleware, StateInformationMiddleware};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use issuance::ids::ApiKeyId;
use issuance::time::Clock;
use metrics::{Counter, counter, describe_counter};

use super::problem::Problem;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The names of the two policies (draft-ietf-httpapi-ratelimit-headers-10).
const REQUESTS: &str = "requests";
const FAILURES: &str = "failed-authentications";
const WINDOW: Duration = Duration::from_mins(1);
/// Buckets that are kept before the full ones are forgotten. Where that many addresses have failed within a minute, one
/// more is not counted; keys are as many as there are.
const KEPT_MAX: usize = 16_384;
/// No bucket is looked for that could be forgotten more often than this.
const SWEPT_APART: Duration = Duration::from_secs(1);

/// Per minute, each; `None`: as many as come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ThrottleSettings {
    /// Requests of one key.
    pub requests: Option<NonZeroU32>,
    /// Requests of one address with a key that opens nothing.
    pub failed_authentications: Option<NonZeroU32>,
}

/// The injected clock, as governor reads it.
#[derive(Debug, Clone)]
struct Ours(Arc<dyn Clock>);

impl governor::clock::Clock for Ours {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.now().unix_micros()).unwrap_or_default())
    }
}

type Buckets<K, M> = RateLimiter<K, HashMapStateStore<K>, Ours, M>;

/// One for each process.
#[derive(Debug, Clone)]
pub(super) struct Throttle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Ours,
    requests: Option<(NonZeroU32, Buckets<ApiKeyId, StateInformationMiddleware>)>,
    failures: Option<(NonZeroU32, Buckets<IpAddr, NoOpMiddleware<Duration>>)>,
    /// Until when an address is not listened to.
    barred: Mutex<HashMap<IpAddr, Duration>>,
    swept_at: Mutex<Duration>,
    throttled: Counter,
    shut_out: Counter,
}

/// Goes with a request to whoever finds its key, and comes back with what is left to that.
#[derive(Debug, Clone, Default)]
pub(super) struct Told(Arc<Mutex<Option<Allowance>>>);

impl Told {
    pub(super) fn put(&self, allowance: Allowance) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(allowance);
    }

    /// Into the headers of the answer.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        let allowance = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(allowance) = allowance {
            allowance.tell(headers);
        }
    }
}

/// What is left to a key, for the headers of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance {
    quota: NonZeroU32,
    remaining: u32,
}

impl Throttle {
    pub(super) fn new(settings: ThrottleSettings, clock: Arc<dyn Clock>) -> Self {
        const NAME: &str = "lockkeeper_api_throttled_requests_total";
        describe_counter!(NAME, "Requests answered 429 by our own throttle, by policy.");
        let throttled = |policy: &'static str| counter!(NAME, "policy" => policy);
        let clock = Ours(clock);
        let requests = settings.requests.map(|quota| {
            let buckets = Buckets::hashmap_with_clock(Quota::per_minute(quota), clock.clone());
            (quota, buckets.with_middleware::<StateInformationMiddleware>())
        });
        let failures = settings
            .failed_authentications
            .map(|quota| (quota, Buckets::hashmap_with_clock(Quota::per_minute(quota), clock.clone())));
        let (throttled, shut_out) = (throttled(REQUESTS), throttled(FAILURES));
        throttled.increment(0);
        shut_out.increment(0);
        Self(Arc::new(Inner {
            clock,
            requests,
            failures,
            barred: Mutex::default(),
            swept_at: Mutex::default(),
            throttled,
            shut_out,
        }))
    }

    /// Counts a request of a key. `None`: nobody counts.
    ///
    /// # Errors
    /// It has made too many.
    pub(super) fn admit(&self, key: ApiKeyId) -> Result<Option<Allowance>, Problem> {
        let Inner { requests: Some((quota, buckets)), clock, throttled, .. } = &*self.0 else {
            return Ok(None);
        };
        self.0.make_room(buckets);
        match buckets.check_key(&key) {
            Ok(state) => Ok(Some(Allowance { quota: *quota, remaining: state.remaining_burst_capacity() })),
            Err(not_until) => {
                throttled.increment(1);
                let wait = not_until.wait_time_from(clock.now());
                Err(Problem::throttled(REQUESTS, &policy(REQUESTS, *quota), seconds(wait)))
            }
        }
    }

    /// Before a key is looked up: whether its address is listened to.
    ///
    /// # Errors
    /// It was wrong too often.
    pub(super) fn hear(&self, address: Option<IpAddr>) -> Result<(), Problem> {
        let Inner { failures: Some((quota, _)), clock, shut_out, barred, .. } = &*self.0 else {
            return Ok(());
        };
        let Some(address) = address.map(counted) else { return Ok(()) };
        let now = clock.now();
        let barred = barred.lock().unwrap_or_else(PoisonError::into_inner);
        match barred.get(&address).filter(|until| **until > now) {
            None => Ok(()),
            Some(until) => {
                shut_out.increment(1);
                let wait = until.saturating_sub(now);
                Err(Problem::throttled(FAILURES, &policy(FAILURES, *quota), seconds(wait)))
            }
        }
    }

    /// A key that opens nothing came from there.
    pub(super) fn note_failure(&self, address: Option<IpAddr>) {
        let Inner { failures: Some((_, buckets)), clock, barred, .. } = &*self.0 else { return };
        let Some(address) = address.map(counted) else { return };
        self.0.make_room(buckets);
        if buckets.len() >= KEPT_MAX {
            return;
        }
        let Err(not_until) = buckets.check_key(&address) else { return };
        let now = clock.now();
        let mut barred = barred.lock().unwrap_or_else(PoisonError::into_inner);
        if barred.len() >= KEPT_MAX {
            barred.retain(|_, until| *until > now);
        }
        if barred.len() < KEPT_MAX {
            barred.insert(address, now + not_until.wait_time_from(now));
        }
    }
}

impl Inner {
    /// Forgets the full buckets when there are many: a full one says the same as none.
    fn make_room<K, M>(&self, buckets: &Buckets<K, M>)
    where
        K: std::hash::Hash + Eq + Clone,
        M: governor::middleware::RateLimitingMiddleware<Duration>,
    {
        if buckets.len() < KEPT_MAX {
            return;
        }
        let now = self.clock.now();
        let mut swept_at = self.swept_at.lock().unwrap_or_else(PoisonError::into_inner);
        if *swept_at + SWEPT_APART <= now {
            *swept_at = now;
            buckets.retain_recent();
        }
    }
}

impl Allowance {
    /// What is left, and how long it takes until all of it is back.
    fn tell(self, headers: &mut HeaderMap) {
        let missing = u64::from(self.quota.get().saturating_sub(self.remaining));
        let until_full = (missing * WINDOW.as_secs()).div_ceil(u64::from(self.quota.get()));
        let limit = format!("\"{REQUESTS}\";r={};t={until_full}", self.remaining);
        for (name, value) in [(POLICY, policy(REQUESTS, self.quota)), (LIMIT, limit)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
}

fn policy(name: &str, quota: NonZeroU32) -> String {
    format!("\"{name}\";q={quota};w={}", WINDOW.as_secs())
}

/// Up, so that whoever waits that long is not too early.
fn seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}

/// Whoever has one address of IPv6 has the 2^64 beside it.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (!0 << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use issuance::time::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::clock::DrivenClock;

    fn throttle(requests: u32, failures: u32) -> (Throttle, Arc<DrivenClock>) {
        let clock = Arc::new(DrivenClock::starting_at(Timestamp::from_unix_seconds(1_795_255_445)));
        let settings = ThrottleSettings {
            requests: NonZeroU32::new(requests),
            failed_authentications: NonZeroU32::new(failures),
        };
        (Throttle::new(settings, clock.clone()), clock)
    }

    fn headers(allowance: Allowance) -> (String, String) {
        let mut headers = HeaderMap::new();
        allowance.tell(&mut headers);
        let text = |name: HeaderName| headers[name].to_str().expect("ASCII").to_owned();
        (text(POLICY), text(LIMIT))
    }

    #[test]
    fn a_key_has_what_it_has_and_gets_it_back() {
        let (throttle, clock) = throttle(60, 5);
        let (key, other) = (ApiKeyId(Uuid::nil()), ApiKeyId(Uuid::max()));
        let first = throttle.admit(key).expect("admitted").expect("counted");
        let told = headers(first);
        assert_eq!(told, ("\"requests\";q=60;w=60".to_owned(), "\"requests\";r=59;t=1".to_owned()));
        for _ in 1..60 {
            throttle.admit(key).expect("admitted");
        }
        assert!(throttle.admit(key).is_err(), "the sixty-first of a moment");
        assert!(throttle.admit(other).is_ok(), "another key has its own");
        clock.advance(Duration::from_secs(1));
        assert!(throttle.admit(key).is_ok(), "one a second comes back");
        assert!(throttle.admit(key).is_err());
    }

    #[test]
    fn an_address_that_guesses_is_not_heard_for_a_while() {
        let (throttle, clock) = throttle(60, 5);
        let address = |text: &str| Some(text.parse::<IpAddr>().expect("an address"));
        let guesser = address("2001:db8::1");
        for _ in 0..5 {
            throttle.note_failure(guesser);
            assert!(throttle.hear(guesser).is_ok());
        }
        throttle.note_failure(guesser);
        assert!(throttle.hear(guesser).is_err());
        assert!(throttle.hear(address("2001:db8::ffff")).is_err(), "its neighbour is itself");
        assert!(
            throttle.hear(address("2001:db8:0:1::1")).is_ok() && throttle.hear(address("192.0.2.1")).is_ok()
        );
        clock.advance(Duration::from_secs(12));
        assert!(throttle.hear(guesser).is_ok(), "one try comes back each twelve seconds");
        throttle.note_failure(guesser);
        throttle.note_failure(guesser);
        assert!(throttle.hear(guesser).is_err());
    }

    #[test]
    fn what_is_kept_is_bounded_and_makes_room() {
        let (throttle, clock) = throttle(60, 1);
        for number in 0..u32::try_from(KEPT_MAX).expect("fits") + 10 {
            throttle.note_failure(Some(IpAddr::V4(number.into())));
        }
        let Inner { failures: Some((_, buckets)), .. } = &*throttle.0 else { panic!("counted") };
        assert_eq!(buckets.len(), KEPT_MAX);
        // It is full after one window, and certain to be after the next.
        clock.advance(WINDOW * 2);
        let late = Some(IpAddr::V4(u32::MAX.into()));
        throttle.note_failure(late);
        assert_eq!(buckets.len(), 1, "the others are full again");
        throttle.note_failure(late);
        assert!(throttle.hear(late).is_err());
    }

    #[test]
    fn nobody_is_counted_where_nothing_is_configured() {
        let (throttle, _clock) = throttle(0, 0);
        for _ in 0..10_000 {
            assert_eq!(throttle.admit(ApiKeyId(Uuid::nil())).expect("admitted"), None);
            throttle.note_failure(Some(IpAddr::V4(1.into())));
        }
        assert!(throttle.hear(Some(IpAddr::V4(1.into()))).is_ok());
    }
}
