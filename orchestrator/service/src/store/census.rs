//! One look at the whole fleet, for the metrics: what there is, and where it stands. Names nobody.

use std::collections::BTreeMap;
use std::time::Duration;

use issuance::fairness::Lane;
use issuance::time::Timestamp;

use super::summary::count;
use super::{Store, StoreError, sql_instant};

/// The fleet at one instant, over all tenants and accounts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    pub tenants: u64,
    pub hostnames: HostnameCensus,
    /// Wishes, fulfilled or not.
    pub certificates: u64,
    /// Certificates that are served, by the span in which they expire: one of [`EXPIRY_BANDS`].
    pub by_expiry: BTreeMap<String, u64>,
    /// Renewals whose window at the CA has ended, and that have not come (RFC 9773 §4.2).
    pub windows_missed: u64,
    /// Orders that do not rest, by lane and one of [`ORDER_STATES`].
    pub orders: BTreeMap<(Lane, String), u64>,
    /// How long the first of each line has been wanted.
    pub heads: BTreeMap<Lane, Duration>,
    /// Authorizations of which the CA has not confirmed an end, by one of [`AUTHORIZATION_PHASES`].
    pub authorizations: BTreeMap<String, u64>,
}

/// Hostnames by what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostnameCensus {
    pub all: u64,
    /// Tried again and again, by failure class.
    pub failing: BTreeMap<String, u64>,
    /// Given up until somebody says otherwise.
    pub suspended: u64,
    /// The CA refuses them until a person has opened its link.
    pub paused_at_ca: u64,
}

/// Spans from now, none of which counts what an earlier one does.
pub const EXPIRY_BANDS: [&str; 7] = ["expired", "1d", "3d", "7d", "14d", "30d", "later"];

/// Waiting to be proven at home, waiting for the gate, in a worker's hands before it, waiting for an instant, waiting for
/// a name to be mended, on its way at the CA, ended with something left to settle.
pub const ORDER_STATES: [&str; 7] =
    ["to_be_proven", "at_the_gate", "in_hand", "waiting", "parked", "at_the_ca", "settling"];

/// Neither submitted nor ended; and under validation.
pub const AUTHORIZATION_PHASES: [&str; 2] = ["open", "submitted"];

/// Counts everything at `now`, in one statement. With a million hostnames it takes the database about half a second, so
/// whoever serves the numbers keeps them for a while.
pub async fn take(store: &Store, now: Timestamp) -> Result<Census, StoreError> {
    let rows = sqlx::query_file!("queries/census.sql", sql_instant(now))
        .fetch_all(store.pool())
        .await
        .map_err(StoreError::of("census.take"))?;
    let mut census = Census::default();
    for row in rows {
        let amount = count(row.amount);
        match (row.measure.as_str(), row.word.as_str()) {
            ("tenants", _) => census.tenants = amount,
            ("hostnames", "all") => census.hostnames.all = amount,
            ("hostnames", "failing") => {
                census.hostnames.failing.insert(row.other, amount);
            }
            ("hostnames", "suspended") => census.hostnames.suspended += amount,
            ("hostnames", _) => census.hostnames.paused_at_ca = amount,
            ("certificates", _) => census.certificates = amount,
            ("expiry", _) => {
                census.by_expiry.insert(row.word, amount);
            }
            ("windows", _) => census.windows_missed = amount,
            ("orders", _) => {
                *census.orders.entry((lane(&row.other)?, row.word)).or_default() += amount;
            }
            ("head", _) => {
                census.heads.insert(lane(&row.other)?, Duration::from_micros(amount));
            }
            _ => {
                census.authorizations.insert(row.word, amount);
            }
        }
    }
    Ok(census)
}

fn lane(number: &str) -> Result<Lane, StoreError> {
    let lane = number.parse().ok().and_then(Lane::from_number);
    lane.ok_or_else(|| StoreError::Inconsistent { table: "orders", what: format!("no lane {number}") })
}
