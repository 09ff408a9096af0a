//! Who is about to come to the gate, and goes before those that are there.

use std::time::Duration;

use issuance::fairness::Lane;
use issuance::ids::AccountId;
use issuance::time::Timestamp;
use sqlx::PgConnection;
use sqlx::types::Uuid;

use super::admissions::AdmissionRequest;
use super::{StoreError, sql_instant};

/// Where so many tokens or more are left for each order at the gate, everybody gets one.
const PLENTY: u32 = 8;
/// Whoever has had an order in hand for longer than this is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The tags of those next in line, lane by lane. Empty where tokens are plenty.
#[derive(Debug, Default)]
pub(super) struct Turns(Vec<(Lane, i64)>);

impl Turns {
    pub(super) async fn read(
        conn: &mut PgConnection,
        account: AccountId,
        requests: &[AdmissionRequest],
        left: u32,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let counted = || requests.iter().filter(|one| !one.again && one.exemptions.at(now).is_none());
        let Some(lease) = counted().map(|one| one.lease.expires_at).max() else { return Ok(Self::default()) };
        if left == 0 || u64::from(left) >= u64::from(PLENTY).saturating_mul(counted().count() as u64) {
            return Ok(Self::default());
        }
        let mut lanes: Vec<i16> = counted().map(|one| one.lane.number()).collect();
        lanes.sort_unstable();
        lanes.dedup();
        let orders: Vec<Uuid> = requests.iter().map(|one| one.lease.order.0).collect();
        let rows = sqlx::query_file!(
            "queries/admission_ahead.sql",
            account.0,
            &lanes,
            i64::from(left),
            &orders,
            sql_instant(lease.before(PATIENCE))
        )
        .fetch_all(conn)
        .await
        .map_err(StoreError::of("admissions.ahead"))?;
        let tags = rows.into_iter().filter_map(|row| Some((Lane::from_number(row.lane)?, row.fair_tag)));
        Ok(Self(tags.collect()))
    }

    /// How many go before one.
    pub(super) fn ahead_of(&self, one: &AdmissionRequest) -> u32 {
        let before = self.0.iter().filter(|(lane, tag)| *lane == one.lane && *tag < one.fair_tag);
        u32::try_from(before.count()).unwrap_or(u32::MAX)
    }
}
