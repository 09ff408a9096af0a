//! Time in a cell: it runs like the machine's, and leaps where nothing happens.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use issuance::time::{Clock as _, Timestamp};
use lockkeeper_tests::flaky_transport::Weather;
use lockkeeper_tests::world::World;
use sqlx::Row as _;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

const LOOK_EVERY: Duration = Duration::from_millis(15);
/// Nothing has changed for so long: whoever holds a lease is dead.
const STILL_AFTER: Duration = Duration::from_millis(500);
/// And for so many looks. They share the machine with those looked at: where it is busy with something else, neither
/// gets on.
const STILL_LOOKS: u32 = 25;
/// The same where somebody who lives holds a lease, and may work on something slow.
const PATIENT_LOOKS: u32 = 8 * STILL_LOOKS;
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
    /// Of these, in the hands of somebody who lives.
    alive: i64,
    /// Orders that are neither at rest nor parked, and what lies in the inbox.
    pub(crate) moving: i64,
    next: Option<OffsetDateTime>,
    next_parked: Option<OffsetDateTime>,
    next_at_the_ca: Option<OffsetDateTime>,
    fingerprint: i64,
}

impl Sight {
    async fn of(world: &World, dead: &[Uuid]) -> sqlx::Result<Self> {
        let row = sqlx::query(
            "select
                count(*) filter (where due_at <= $1 and not at_the_gate) as due,
                count(*) filter (where due_at > $1 and lease_holder is not null) as leased,
                count(*) filter (where due_at > $1 and lease_holder <> all ($2)) as alive,
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
        .bind(dead)
        .fetch_one(world.store.pool())
        .await?;
        Ok(Self {
            due: row.try_get(0)?,
            leased: row.try_get(1)?,
            alive: row.try_get(2)?,
            moving: row.try_get(3)?,
            next: row.try_get(4)?,
            next_parked: row.try_get(5)?,
            next_at_the_ca: row.try_get(6)?,
            fingerprint: row.try_get(7)?,
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

/// Whose time it is.
pub(crate) struct Drive<'a> {
    world: &'a World,
    weather: &'a Weather,
    /// Replicas that died or stand still.
    dead: Mutex<Vec<Uuid>>,
}

impl<'a> Drive<'a> {
    pub(crate) fn new(world: &'a World, weather: &'a Weather) -> Self {
        Self { world, weather, dead: Mutex::default() }
    }

    /// Whoever holds a lease now is dead, or stands still.
    pub(crate) async fn all_are_dead(&self) -> sqlx::Result<()> {
        let holders: Vec<Uuid> =
            sqlx::query_scalar("select distinct lease_holder from orders where lease_holder is not null")
                .fetch_all(self.world.store.pool())
                .await?;
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).extend(holders);
        Ok(())
    }

    /// Runs until `reached` says so.
    pub(crate) async fn until(
        &self,
        rests: Rests,
        within: Duration,
        what: &str,
        mut reached: impl AsyncFnMut(&Sight) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let Self { world, weather, .. } = *self;
        let dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let deadline = Instant::now() + within;
        let (mut last, mut since, mut looks) = (None, Instant::now(), 0);
        let mut knocks = 0;
        loop {
            // Its connections may have been cut, together with those of the services.
            if let Ok(sight) = Sight::of(world, &dead).await {
                if reached(&sight).await? {
                    return Ok(());
                }
                if Instant::now() > deadline {
                    let orders = world.orders().await?;
                    let list: String = orders.iter().map(|order| format!("\n  {order:?}")).collect();
                    bail!("not within {within:?}: {what}; {sight:?}{list}");
                }
                let seen = (sight, weather.begun(), weather.under_way());
                if last.as_ref() != Some(&seen) {
                    (since, looks) = (Instant::now(), 0);
                }
                looks += 1;
                let still = since.elapsed() >= STILL_AFTER
                    && looks >= if seen.0.alive > 0 { PATIENT_LOOKS } else { STILL_LOOKS };
                // A request that the CA is to get late comes within the quiet period: time waits for it.
                let sight = &seen.0;
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
                last = Some(seen);
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

pub(crate) fn instant(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(at.unix_micros())
}
