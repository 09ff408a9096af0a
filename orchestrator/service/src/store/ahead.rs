//! Who is about to come to the gate, and goes before those that are there.

use std::time::Duration;

use issuance::fairness::{Lane, Turns};
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

/// Those next in line, each by the place of its lane and its tag. Empty where tokens are plenty.
#[derive(Debug, Default)]
pub(super) struct Ahead(Vec<(usize, i64)>);

impl Ahead {
    pub(super) async fn read(
        conn: &mut PgConnection,
        account: AccountId,
        requests: &[AdmissionRequest],
        turns: &Turns,
        left: u32,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let counted = || requests.iter().filter(|one| !one.again && one.exemptions.at(now).is_none());
        let Some(lease) = counted().map(|one| one.lease.expires_at).max() else { return Ok(Self::default()) };
        if left == 0 || u64::from(left) >= u64::from(PLENTY).saturating_mul(counted().count() as u64) {
            return Ok(Self::default());
        }
        // A lane goes before those after it, whoever has an order of theirs in hand.
        let last = counted().map(|one| turns.place(one.lane)).max().unwrap_or(0);
        let lanes: Vec<i16> = turns.lanes().iter().take(last + 1).map(|lane| lane.number()).collect();
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
        let places = rows
            .into_iter()
            .filter_map(|row| Some((turns.place(Lane::from_number(row.lane)?), row.fair_tag)));
        Ok(Self(places.collect()))
    }

    /// How many go before one.
    pub(super) fn of(&self, one: &AdmissionRequest, turns: &Turns) -> u32 {
        let place = (turns.place(one.lane), one.fair_tag);
        let before = self.0.iter().filter(|other| **other < place);
        u32::try_from(before.count()).unwrap_or(u32::MAX)
    }
}
