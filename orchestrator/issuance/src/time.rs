//! Instants, and the one door through which everybody else reads a clock.
//!
//! The core never asks what time it is: every function that needs `now` takes it. [`Clock`] is only the
//! shape of the thing that is asked, so that the service, the rehearsal CA and SQL can share one.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An instant in microseconds since the Unix epoch: what a Postgres `timestamptz` holds, exactly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    pub const fn from_unix_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    pub const fn unix_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds, rounded down.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The instant `wait` later; saturates at the end of time.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(micros(wait)))
    }

    /// The instant `wait` earlier; saturates at the beginning of time.
    #[must_use]
    pub fn before(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub(micros(wait)))
    }

    /// How long from here to `later`; zero if `later` is not later.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_micros(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// How long from `earlier` to here; zero if `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        earlier.until(self)
    }

    /// `None` outside the years the calendar type covers (±9999).
    pub fn to_datetime(self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000).ok()
    }
}

fn micros(wait: Duration) -> i64 {
    i64::try_from(wait.as_micros()).unwrap_or(i64::MAX)
}

impl From<OffsetDateTime> for Timestamp {
    fn from(instant: OffsetDateTime) -> Self {
        Self(i64::try_from(instant.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX))
    }
}

/// RFC 3339 in UTC, as the API and the logs write it.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_datetime().and_then(|at| at.format(&Rfc3339).ok()) {
            Some(text) => f.write_str(&text),
            None => write!(f, "@{}us", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// RFC 3339, in UTC.
impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::DateTime)))
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339)
            .map(Self::from)
            .map_err(|error| serde::de::Error::custom(format_args!("not an RFC 3339 instant: {error}")))
    }
}

/// What tells the time. The only implementations that read a real clock live outside this crate.
pub trait Clock: fmt::Debug + Send + Sync {
    fn now(&self) -> Timestamp;
}

/// A random draw in `[0, 1)`, taken by the caller so that the core stays repeatable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fraction(f64);

impl Fraction {
    /// The lowest draw: what a test uses when it wants no jitter.
    pub const ZERO: Self = Self(0.0);

    /// Clamps into `[0, 1)`; a NaN becomes 0.
    pub fn new(draw: f64) -> Self {
        Self(if draw.is_nan() { 0.0 } else { draw.clamp(0.0, 1.0 - f64::EPSILON) })
    }

    /// `share` of `base` times the draw: the jitter to add to a wait.
    pub fn of(self, base: Duration, share: f64) -> Duration {
        base.mul_f64((self.0 * share).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_exact_to_the_microsecond_and_saturates() {
        let start = Timestamp::from_unix_seconds(1_795_255_445);
        let later = start.after(Duration::from_micros(36_000_001));
        assert_eq!(start.until(later), Duration::from_micros(36_000_001));
        assert_eq!(later.until(start), Duration::ZERO);
        assert_eq!(later.since(start), Duration::from_micros(36_000_001));
        assert_eq!(later.before(Duration::from_micros(36_000_001)), start);
        assert_eq!(start.after(Duration::MAX).unix_micros(), i64::MAX);
    }

    #[test]
    fn text_form_is_rfc_3339_and_comes_back() {
        let instant = Timestamp::from_unix_micros(1_795_255_445_250_000);
        let json = serde_json::to_string(&instant).expect("a timestamp serializes");
        assert_eq!(json, "\"2026-11-21T10:04:05.25Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).expect("and parses"), instant);
    }

    #[test]
    fn a_draw_stays_inside_its_range() {
        assert_eq!(Fraction::new(f64::NAN), Fraction::ZERO);
        assert!(Fraction::new(7.0).of(Duration::from_secs(100), 0.1) <= Duration::from_secs(10));
        assert_eq!(Fraction::new(-1.0).of(Duration::from_secs(100), 0.1), Duration::ZERO);
    }
}
