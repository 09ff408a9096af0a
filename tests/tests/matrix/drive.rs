//! Time in a cell: it runs like the machine's, and leaps where nothing happens.

use std::time::Duration;

use anyhow::bail;
use issuance::time::{Clock as _, Timestamp};
use lockkeeper_tests::flaky_transport::Weather;
use lockkeeper_tests::world::World;
use sqlx::Row as _;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

const LOOK_EVERY: Duration = Duration::from_millis(15);
/// Nothing has changed for so long: whoever holds a lease works on something slow, or is dead.
const STILL_AFTER: Duration = Duration::from_millis(500);
/// Orders at the gate are seen to knock so often before time leaps past their next knock.
const KNOCKS_MAX: u32 = 6;
const PATIENCE: Duration = Duration::from_mins(10);
/// A wait shorter than this is left to pass by itself.
const LEAP_MIN: Duration = Duration::from_millis(100);

/// What the rows say, at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Due, and in nobody's hands.
    pub(crate) due: i64,
    pub(crate) leased: i64,
    /// Orders that are neither at rest nor parked, and what lies in the inbox.
    pub(crate) moving: i64,
    next: Option<OffsetDateTime>,
    next_parked: Option<OffsetDateTime>,
    next_at_the_ca: Option<OffsetDateTime>,
    fingerprint: i64,
}

impl Sight {
    pub(crate) async fn of(world: &World) -> sqlx::Result<Self> {
        let row = sqlx::query(
            "select
                count(*) filter (where due_at <= $1 and not at_the_gate) as due,
                count(*) filter (where due_at > $1 and lease_holder is not null) as leased,
                count(*) filter (where due_at is not null and (stage <> 'parked' or lease_holder is not null))
                    + (select count(*) from orphans where resolved_at is null),
                least(min(due_at) filter (where due_at > $1 and (stage <> 'parked' or lease_holder is not null)),
                    min(gate_closed_until) filter (where at_the_gate)),
                min(due_at) filter (where due_at > $1 and stage = 'parked'),
                min(due_at) filter (where due_at > $1 and stage not in ('parked', 'accepted', 'admitted')),
                coalesce(sum(hashtext(orders::text)::bigint), 0)::bigint
             from orders
             join accounts using (account_id)
             cross join lateral (
                 select in_line and not exempt and coalesce(gate_closed_until > $1, false)) as stands (at_the_gate)",
        )
        .bind(instant(world.clock.now()))
        .fetch_one(world.store.pool())
        .await?;
        Ok(Self {
            due: row.try_get(0)?,
            leased: row.try_get(1)?,
            moving: row.try_get(2)?,
            next: row.try_get(3)?,
            next_parked: row.try_get(4)?,
            next_at_the_ca: row.try_get(5)?,
            fingerprint: row.try_get(6)?,
        })
    }

    /// Nothing that is parked comes back soon by itself.
    pub(crate) fn is_parked_for_long(&self, world: &World) -> bool {
        let soon = instant(world.clock.now()) + NEAR;
        self.next_parked.is_none_or(|next| next > soon)
    }
}

/// Whether the rests of parked orders are waited out as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rests {
    Last,
    AreWaitedOut,
    /// Only those that would be over within [`NEAR`] anyway, so that none ends while the cell is taken down.
    AreWaitedOutIfShort,
}

const NEAR: Duration = Duration::from_mins(1);

/// Runs until `reached` says so.
pub(crate) async fn until(
    world: &World,
    weather: &Weather,
    rests: Rests,
    within: Duration,
    what: &str,
    mut reached: impl AsyncFnMut(&Sight) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + within;
    let (mut last, mut since) = (None, Instant::now());
    let mut knocks = 0;
    loop {
        // Its connections may have been cut, together with those of the services.
        if let Ok(sight) = Sight::of(world).await {
            if reached(&sight).await? {
                return Ok(());
            }
            if Instant::now() > deadline {
                let orders = world.orders().await?;
                let list: String = orders.iter().map(|order| format!("\n  {order:?}")).collect();
                bail!("not within {within:?}: {what}; {sight:?}{list}");
            }
            if last.as_ref() != Some(&sight) {
                since = Instant::now();
            }
            let still = since.elapsed() >= STILL_AFTER;
            // A request that the CA is to get late comes within the quiet period: time waits for it.
            let at_work = sight.leased > 0 || weather.under_way() > 0;
            let idle = sight.due == 0 && weather.late() == 0 && (!at_work || still);
            let next = match rests {
                Rests::AreWaitedOutIfShort if !sight.is_parked_for_long(world) => sight.next_parked,
                Rests::Last | Rests::AreWaitedOutIfShort => sight.next,
                Rests::AreWaitedOut => sight.next.into_iter().chain(sight.next_parked).min(),
            };
            // Those at the gate knock every few seconds, for hours if nothing makes room.
            let knocking = next.is_some() && next == sight.next && sight.next != sight.next_at_the_ca;
            let next = if knocking && knocks > KNOCKS_MAX {
                let patient = instant(world.clock.now()) + PATIENCE;
                Some(sight.next_at_the_ca.into_iter().chain(sight.next_parked).chain([patient]).min())
                    .flatten()
            } else {
                next
            };
            if idle && let Some(next) = next {
                knocks = if knocking { knocks + 1 } else { 0 };
                let wait = Duration::try_from(next - instant(world.clock.now())).unwrap_or_default();
                if wait > LEAP_MIN {
                    world.clock.leap(wait);
                }
            }
            last = Some(sight);
        }
        sleep(LOOK_EVERY).await;
    }
}

pub(crate) fn instant(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(at.unix_micros())
}
