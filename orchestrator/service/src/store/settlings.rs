//! How long zones settle: what failed validations have taught of their servers.

use std::time::Duration;

use issuance::settling::Settling;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Store, StoreError, sql_instant};

/// Tries to write a lesson while others write theirs.
const TRIES: usize = 8;
/// Sets of servers that are listed; whoever has more has other cares.
const LISTED_MAX: i64 = 1_000;

/// What a validation says of the servers that showed its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettlingLesson {
    Passed,
    /// It failed for want of the record, which every server had shown for so long
    /// ([`issuance::propagation::speaks_of_propagation`]).
    Failed {
        green_for: Duration,
    },
}

/// What is known of one set of servers; nothing, where nobody has taught anything.
pub async fn read(store: &Store, server_set: &str) -> Result<Settling, StoreError> {
    let row = sqlx::query!(
        "select delay_ms, failures, successes from dns_settlings where server_set = $1",
        server_set
    )
    .fetch_optional(store.pool())
    .await
    .map_err(StoreError::of("settlings.read"))?;
    Ok(row.map_or_else(Settling::default, |row| Settling {
        delay: Duration::from_millis(u64::try_from(row.delay_ms).unwrap_or(0)),
        failures: u32::try_from(row.failures).unwrap_or(0),
        successes: u32::try_from(row.successes).unwrap_or(0),
    }))
}

/// What is known of one set of servers, as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettlingView {
    /// The domains that their names are in.
    pub servers: String,
    /// Through which the record was written that taught last.
    pub provider: Option<String>,
    /// How long a record must have been seen everywhere before the CA is asked to look.
    pub delay_seconds: u64,
    /// Validations that failed although every server had shown the record.
    pub failures: u32,
    /// Validations in a row that passed, since the last failure or cut of the delay.
    pub successes: u32,
    pub learnt_at: Timestamp,
}

/// All that is known, what is waited for the longest in front.
pub async fn list(store: &Store) -> Result<Vec<SettlingView>, StoreError> {
    let rows = sqlx::query!(
        "select server_set, provider, delay_ms, failures, successes, learnt_at
         from dns_settlings order by delay_ms desc, server_set limit $1",
        LISTED_MAX
    )
    .fetch_all(store.pool())
    .await
    .map_err(StoreError::of("settlings.list"))?;
    Ok(rows
        .into_iter()
        .map(|row| SettlingView {
            servers: row.server_set,
            provider: row.provider,
            delay_seconds: u64::try_from(row.delay_ms).unwrap_or(0) / 1_000,
            failures: u32::try_from(row.failures).unwrap_or(0),
            successes: u32::try_from(row.successes).unwrap_or(0),
            learnt_at: row.learnt_at.into(),
        })
        .collect())
}

/// The longest delay of each provider's sets of servers.
pub async fn longest(store: &Store) -> Result<Vec<(String, Duration)>, StoreError> {
    let rows = sqlx::query!(
        r#"select provider as "provider!", max(delay_ms) as "delay_ms!"
           from dns_settlings where provider is not null group by provider"#
    )
    .fetch_all(store.pool())
    .await
    .map_err(StoreError::of("settlings.longest"))?;
    let delay = |millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    Ok(rows.into_iter().map(|row| (row.provider, delay(row.delay_ms))).collect())
}

/// Takes a lesson of a record that `provider` has written, and returns what is known with it.
///
/// Replicas learn at once: each writes over exactly what it has read, or reads again. A success that finds no peace
/// is dropped, as is one where there is nothing to fade.
pub async fn learn(
    store: &Store,
    now: Timestamp,
    server_set: &str,
    provider: &str,
    lesson: SettlingLesson,
) -> Result<Settling, StoreError> {
    for _ in 0..TRIES {
        let before = read(store, server_set).await?;
        let after = match lesson {
            SettlingLesson::Passed if before.delay.is_zero() => return Ok(before),
            SettlingLesson::Passed => before.after_success(),
            SettlingLesson::Failed { green_for } => before.after_failure(green_for),
        };
        let written = sqlx::query!(
            "insert into dns_settlings as known (server_set, delay_ms, failures, successes, learnt_at, provider)
             values ($1, $2, $3, $4, $5, $9)
             on conflict (server_set) do update
             set delay_ms = excluded.delay_ms, failures = excluded.failures, successes = excluded.successes,
                 learnt_at = excluded.learnt_at, provider = excluded.provider
             where known.delay_ms = $6 and known.failures = $7 and known.successes = $8",
            server_set,
            millis(after.delay),
            number(after.failures),
            number(after.successes),
            sql_instant(now),
            millis(before.delay),
            number(before.failures),
            number(before.successes),
            provider,
        )
        .execute(store.pool())
        .await
        .map_err(StoreError::of("settlings.learn"))?;
        if written.rows_affected() > 0 {
            return Ok(after);
        }
    }
    read(store, server_set).await
}

fn millis(wait: Duration) -> i64 {
    i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)
}

fn number(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
