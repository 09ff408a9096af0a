//! What there is and where it stands, for whoever watches. A scrape reads what was counted last, and never the database.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use issuance::fairness::Lane;
use issuance::fault::FailureClass;
use issuance::time::Timestamp;
use metrics::{describe_gauge, gauge};
use tokio::time::Instant;

use super::instruments::measured;
use super::{Pass, ReconcileError, ReconcileParts, Reconciler};
use crate::store::census::{self, AUTHORIZATION_PHASES, Census, EXPIRY_BANDS, ORDER_STATES};
use crate::store::fleet_samples::{self, FleetSample};

const TENANTS: &str = "lockkeeper_tenants";
const HOSTNAMES: &str = "lockkeeper_hostnames";
const FAILING: &str = "lockkeeper_hostnames_failing";
const CERTIFICATES: &str = "lockkeeper_certificates";
const BY_EXPIRY: &str = "lockkeeper_certificates_by_expiry";
const MISSED: &str = "lockkeeper_renewal_windows_missed";
const ORDERS: &str = "lockkeeper_orders";
const HEADS: &str = "lockkeeper_queue_head_seconds";
const AUTHORIZATIONS: &str = "lockkeeper_authorizations";
const TAKEN_AT: &str = "lockkeeper_census_timestamp_seconds";
const TOOK: &str = "lockkeeper_census_duration_seconds";

/// The next look follows no sooner than after so many times what the last one took: a twentieth of one connection, however
/// large the fleet is.
const REST: u32 = 20;

/// Counts the fleet; repairs nothing.
#[derive(Debug)]
pub struct CensusTaker {
    parts: ReconcileParts,
    not_before: Mutex<Option<Instant>>,
}

impl CensusTaker {
    pub fn new(parts: ReconcileParts) -> Self {
        describe_gauge!(TENANTS, "Tenants.");
        describe_gauge!(HOSTNAMES, "Hostnames, by what becomes of them: none is counted twice.");
        describe_gauge!(FAILING, "Hostnames that are failing, by the class of their last failure.");
        describe_gauge!(
            CERTIFICATES,
            "Certificates that are wished for, by what is served: none is counted twice."
        );
        describe_gauge!(
            BY_EXPIRY,
            "Latest certificates, by the span in which they expire: none is counted twice."
        );
        describe_gauge!(MISSED, "Renewals that have not come although their window at the CA has ended.");
        describe_gauge!(ORDERS, "Orders that do not rest, by lane and where they stand.");
        describe_gauge!(
            HEADS,
            "Seconds for which the first order in the line of a lane has been wanted; 0: none is."
        );
        describe_gauge!(
            AUTHORIZATIONS,
            "Authorizations whose end the CA has not confirmed, by where they stand."
        );
        describe_gauge!(TAKEN_AT, "When all of these were last counted, in seconds since 1970.");
        describe_gauge!(TOOK, "Seconds for which the database counted.");
        Self { parts, not_before: Mutex::default() }
    }

    fn rests(&self) -> bool {
        let not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        not_before.is_some_and(|instant| Instant::now() < instant)
    }

    fn rest_after(&self, took: Duration) {
        let next = Instant::now() + took * REST;
        *self.not_before.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
    }
}

impl Reconciler for CensusTaker {
    const NAME: &'static str = "census";
    const KINDS: &'static [&'static str] = &[];

    async fn pass(&self, now: Timestamp) -> Result<Pass, ReconcileError> {
        if self.rests() {
            return Ok(Pass::default());
        }
        let started = Instant::now();
        let census = census::take(&self.parts.store, now).await?;
        let calendar = fleet_samples::calendar(&self.parts.store, now).await?;
        let took = started.elapsed();
        self.rest_after(took);
        fleet_samples::keep(&self.parts.store, now, &FleetSample::of(&census, calendar)).await?;
        tell(&census);
        gauge!(TAKEN_AT).set(now.unix_seconds() as f64);
        gauge!(TOOK).set(took.as_secs_f64());
        Ok(Pass::default())
    }
}

/// Every series is set each time: what has come to an end goes back to 0.
fn tell(census: &Census) {
    gauge!(TENANTS).set(measured(census.tenants));
    let names = &census.hostnames;
    let failing: u64 = names.failing.values().sum();
    let troubled = failing + names.suspended + names.paused_at_ca;
    for (state, count) in [
        ("fine", names.all.saturating_sub(troubled)),
        ("failing", failing),
        ("suspended", names.suspended),
        ("paused_at_ca", names.paused_at_ca),
    ] {
        gauge!(HOSTNAMES, "state" => state).set(measured(count));
    }
    for class in FailureClass::ALL {
        let count = names.failing.get(class.as_str()).copied().unwrap_or_default();
        gauge!(FAILING, "class" => class.as_str()).set(measured(count));
    }
    let band = |band: &str| census.by_expiry.get(band).copied().unwrap_or_default();
    let (latest, expired) = (census.by_expiry.values().sum(), band("expired"));
    for (state, count) in [
        ("valid", u64::saturating_sub(latest, expired)),
        ("expired", expired),
        ("none", census.certificates.saturating_sub(latest)),
    ] {
        gauge!(CERTIFICATES, "state" => state).set(measured(count));
    }
    for name in EXPIRY_BANDS {
        gauge!(BY_EXPIRY, "band" => name).set(measured(band(name)));
    }
    gauge!(MISSED).set(measured(census.windows_missed));
    for lane in Lane::ALL {
        for state in ORDER_STATES {
            let count = census.orders.get(&(lane, state.to_owned())).copied().unwrap_or_default();
            gauge!(ORDERS, "lane" => lane.as_str(), "state" => state).set(measured(count));
        }
        let waited = census.heads.get(&lane).copied().unwrap_or_default();
        gauge!(HEADS, "lane" => lane.as_str()).set(waited.as_secs_f64());
    }
    for phase in AUTHORIZATION_PHASES {
        let count = census.authorizations.get(phase).copied().unwrap_or_default();
        gauge!(AUTHORIZATIONS, "phase" => phase).set(measured(count));
    }
}
