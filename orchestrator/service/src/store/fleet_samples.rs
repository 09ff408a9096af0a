//! The fleet as it was counted last, and before: what pages show of it without counting again.

use std::collections::BTreeMap;
use std::time::Duration;

use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;

use super::census::Census;
use super::summary::count;
use super::{Store, StoreError, sql_instant};

/// One is kept for each span of this length: the last in it.
const SLOT: Duration = Duration::from_mins(5);
const KEPT: Duration = Duration::from_hours(8 * 24);
/// Days of renewals to come, today among them.
pub const CALENDAR_DAYS: i32 = 30;

/// The fleet at one instant, over all tenants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetSample {
    pub tenants: u64,
    pub hostnames: u64,
    pub hostnames_suspended: u64,
    pub hostnames_paused_at_ca: u64,
    /// Tried again and again, by failure class.
    pub hostnames_failing: BTreeMap<String, u64>,
    /// Wishes, fulfilled or not.
    pub certificates: u64,
    /// Certificates that are served, by the span in which they expire: `expired`, `1d`, `3d`, `7d`, `14d`, `30d`, `later`;
    /// none counts what an earlier one does.
    pub certificates_by_expiry: BTreeMap<String, u64>,
    /// Renewals whose window at the CA has ended, and that have not come.
    pub renewal_windows_missed: u64,
    /// Orders that do not rest, by lane and where they stand.
    pub orders: BTreeMap<String, BTreeMap<String, u64>>,
    /// How long the first in each line has been wanted, in seconds.
    pub queue_head_seconds: BTreeMap<String, u64>,
    /// Authorizations whose end the CA has not confirmed, by where they stand.
    pub authorizations: BTreeMap<String, u64>,
    /// Renewals of each of the next 30 days from the sample on; the first counts what is overdue as well.
    pub renewals_by_day: Vec<u64>,
}

impl FleetSample {
    pub fn of(census: &Census, renewals_by_day: Vec<u64>) -> Self {
        let mut orders: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for ((lane, state), amount) in &census.orders {
            orders.entry(lane.as_str().to_owned()).or_default().insert(state.clone(), *amount);
        }
        let heads = census.heads.iter().map(|(lane, waited)| (lane.as_str().to_owned(), waited.as_secs()));
        Self {
            tenants: census.tenants,
            hostnames: census.hostnames.all,
            hostnames_suspended: census.hostnames.suspended,
            hostnames_paused_at_ca: census.hostnames.paused_at_ca,
            hostnames_failing: census.hostnames.failing.clone(),
            certificates: census.certificates,
            certificates_by_expiry: census.by_expiry.clone(),
            renewal_windows_missed: census.windows_missed,
            orders,
            queue_head_seconds: heads.collect(),
            authorizations: census.authorizations.clone(),
            renewals_by_day,
        }
    }

    /// Orders in one state, over all lanes.
    pub fn in_state(&self, state: &str) -> u64 {
        self.orders.values().filter_map(|states| states.get(state)).sum()
    }

    /// Orders that go on by themselves and are not at the CA yet.
    pub fn backlog(&self) -> u64 {
        ["to_be_proven", "at_the_gate", "in_hand", "waiting"].map(|state| self.in_state(state)).iter().sum()
    }
}

/// The fleet, and when it was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetView {
    pub taken_at: Timestamp,
    pub sample: FleetSample,
}

/// The backlog at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BacklogPoint {
    pub at: Timestamp,
    /// Orders that go on by themselves and are not at the CA yet.
    pub waiting: u64,
    /// Orders that wait for somebody to mend a name.
    pub parked: u64,
    pub at_the_ca: u64,
}

/// Counts the renewals of the days to come.
pub async fn calendar(store: &Store, now: Timestamp) -> Result<Vec<u64>, StoreError> {
    let rows = sqlx::query!(
        r#"select greatest(floor(extract(epoch from renew_at - $1) / 86400), 0)::integer as "day!",
               count(*) as "renewals!"
           from renewals
           where renew_at < $1::timestamptz + make_interval(days => $2)
           group by 1"#,
        sql_instant(now),
        CALENDAR_DAYS
    )
    .fetch_all(store.pool())
    .await
    .map_err(StoreError::of("fleet_samples.calendar"))?;
    let mut days = vec![0; CALENDAR_DAYS as usize];
    for row in rows {
        if let Some(day) = usize::try_from(row.day).ok().and_then(|day| days.get_mut(day)) {
            *day = count(row.renewals);
        }
    }
    Ok(days)
}

/// Keeps a sample in place of an earlier one of the same five minutes, and forgets what is too old to be shown.
pub async fn keep(store: &Store, now: Timestamp, sample: &FleetSample) -> Result<(), StoreError> {
    let slot = |at: Timestamp| at.unix_seconds().div_euclid(SLOT.as_secs() as i64);
    sqlx::query!(
        "insert into fleet_samples (slot, taken_at, sample) values ($1, $2, $3)
         on conflict (slot) do update set taken_at = excluded.taken_at, sample = excluded.sample
         where fleet_samples.taken_at < excluded.taken_at",
        slot(now),
        sql_instant(now),
        Json(sample) as _
    )
    .execute(store.pool())
    .await
    .map_err(StoreError::of("fleet_samples.keep"))?;
    sqlx::query!("delete from fleet_samples where slot < $1", slot(now.before(KEPT)))
        .execute(store.pool())
        .await
        .map_err(StoreError::of("fleet_samples.forget"))?;
    Ok(())
}

/// `None` before anything was counted.
pub async fn latest(store: &Store) -> Result<Option<FleetView>, StoreError> {
    let row = sqlx::query!(
        r#"select taken_at, sample as "sample: Json<FleetSample>" from fleet_samples order by slot desc limit 1"#
    )
    .fetch_optional(store.pool())
    .await
    .map_err(StoreError::of("fleet_samples.latest"))?;
    Ok(row.map(|row| FleetView { taken_at: row.taken_at.into(), sample: row.sample.0 }))
}

/// The backlog since `since`, the earliest first.
pub async fn backlog(store: &Store, since: Timestamp) -> Result<Vec<BacklogPoint>, StoreError> {
    let rows = sqlx::query!(
        r#"select taken_at, sample as "sample: Json<FleetSample>" from fleet_samples where taken_at >= $1 order by slot"#,
        sql_instant(since)
    )
    .fetch_all(store.pool())
    .await
    .map_err(StoreError::of("fleet_samples.backlog"))?;
    let points = rows.into_iter().map(|row| BacklogPoint {
        at: row.taken_at.into(),
        waiting: row.sample.backlog(),
        parked: row.sample.in_state("parked"),
        at_the_ca: row.sample.in_state("at_the_ca"),
    });
    Ok(points.collect())
}
