//! What whoever drives the clock asks: whether anything is due, and what comes next.

use issuance::identifier::Identifiers;
use issuance::time::Timestamp;

use super::{Store, StoreError, sql_instant};

/// Failures after which an order is taken for one that only its site's owner can help.
const HOPELESS_FAILURES: i32 = 3;

/// The queue, at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dues {
    /// Something is due at that instant, or stands in line. Whether anybody may take it, a door may decide.
    pub is_due: bool,
    /// The next instant at which something is due by itself.
    pub next_at: Option<Timestamp>,
}

/// A certificate that was wished for, and when it was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuance {
    pub tenant: String,
    pub external_id: String,
    pub wished_at: Timestamp,
    pub issued_at: Timestamp,
}

impl Store {
    pub async fn dues(&self, now: Timestamp) -> Result<Dues, StoreError> {
        let row = sqlx::query_file!("queries/rehearsals_dues.sql", sql_instant(now))
            .fetch_one(self.pool())
            .await
            .map_err(StoreError::of("rehearsals.dues"))?;
        let first_at = row.first_at.map(Timestamp::from);
        let is_due = row.in_line || first_at.is_some_and(|first_at| first_at <= now);
        Ok(Dues { is_due, next_at: row.next_at.map(Timestamp::from) })
    }

    /// Whether anything will still come about by itself. What is parked, or has failed so often that nobody but the
    /// site's owner can help, does not.
    pub async fn is_moving(&self) -> Result<bool, StoreError> {
        sqlx::query_scalar!(
            r#"select exists (
                   select from orders
                   where due_at is not null and stage <> 'parked' and not (stage = 'accepted' and failures >= $1)
               ) as "moving!""#,
            HOPELESS_FAILURES
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("rehearsals.is_moving"))
    }

    /// Every certificate that there is, in the order in which they came.
    pub async fn issuances(&self) -> Result<Vec<Issuance>, StoreError> {
        let rows = sqlx::query_file!("queries/rehearsals_issuances.sql")
            .fetch_all(self.pool())
            .await
            .map_err(StoreError::of("rehearsals.issuances"))?;
        let issuance = rows.into_iter().map(|row| Issuance {
            tenant: row.tenant,
            external_id: row.external_id,
            wished_at: row.wished_at.into(),
            issued_at: row.issued_at.into(),
        });
        Ok(issuance.collect())
    }

    /// Has the CA of that name have issued these sets then.
    pub async fn remember_sets(
        &self,
        ca: &str,
        sets: &[&Identifiers],
        issued_at: Timestamp,
    ) -> Result<(), StoreError> {
        let keys: Vec<String> = sets.iter().map(|names| names.digest()).collect();
        sqlx::query!(
            "insert into issued_sets (ca, set_key, issued_at)
             select $1, key, $3 from unnest($2::text[]) as key
             on conflict (ca, set_key) do update
                 set issued_at = greatest(issued_sets.issued_at, excluded.issued_at)",
            ca,
            &keys,
            sql_instant(issued_at)
        )
        .execute(self.pool())
        .await
        .map_err(StoreError::of("rehearsals.remember_sets"))?;
        Ok(())
    }
}
