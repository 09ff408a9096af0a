//! A database that was taken back to an earlier instant: what the CA has counted since is not known, and counts as counted.

use std::collections::BTreeMap;

use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::AccountId;
use issuance::mirror::{BucketKey, Rules, needs};
use issuance::profile::CaProfile;
use issuance::time::Timestamp;
use sqlx::PgConnection;
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;

use super::{Store, StoreError, meters, sql_instant};

/// Certificates whose buckets are emptied in one statement.
const CHUNK: i64 = 1_000;
/// No worker can have drawn so many epochs of one lease since the backup: what one of those that were overtaken still
/// writes is refused.
const EPOCHS_SKIPPED: i64 = 1_000_000;

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marked {
    /// Buckets of which nothing is left for now.
    pub buckets: u64,
    /// When the last of them is full again.
    pub full_at: Option<Timestamp>,
    /// Orders that are due at once because nobody holds them.
    pub orders: u64,
}

impl Store {
    /// Empties every bucket of a CA that any order of ours may have taken from, as if the CA had counted as much as it
    /// allows: each refills by its own rule from `now` on. And takes all orders from whoever held them.
    ///
    /// Only with every replica stopped. May be done twice.
    pub async fn mark_restored(
        &self,
        ca: &str,
        profile: &CaProfile,
        now: Timestamp,
    ) -> Result<Marked, StoreError> {
        let mut conn = self.connection().await?;
        let mut marked = Marked { orders: release(&mut conn, now).await?, ..Marked::default() };
        let accounts = sqlx::query_scalar!("select account_id from accounts where ca = $1", ca)
            .fetch_all(&mut *conn)
            .await
            .map_err(StoreError::of("restores.accounts"))?;
        for account in accounts.into_iter().map(AccountId) {
            let rules = meters::rules(&mut conn, ca, account, profile, now).await?;
            let own = BTreeMap::from_iter(emptied(&rules, BucketKey::of_account(account), now));
            marked.add(empty(&mut conn, ca, own).await?);
            let mut after = Uuid::nil();
            loop {
                let rows = sqlx::query!(
                    "select certificate_id, names from certificates
                     where certificate_id > $1 and account_id = $2
                     order by certificate_id
                     limit $3",
                    after,
                    account.0,
                    CHUNK
                )
                .fetch_all(&mut *conn)
                .await
                .map_err(StoreError::of("restores.certificates"))?;
                let Some(last) = rows.last() else { break };
                after = last.certificate_id;
                let names = rows.iter().filter_map(|row| identifiers(&row.names));
                let needed = names.flat_map(|names| needs(&names, account, None, false));
                // Of failures not: our own backoff stays far from what the CA allows of them.
                let needed = needed.filter(|need| need.reserved);
                let buckets = needed.filter_map(|need| emptied(&rules, need.bucket, now)).collect();
                marked.add(empty(&mut conn, ca, buckets).await?);
            }
        }
        Ok(marked)
    }
}

impl Marked {
    fn add(&mut self, (buckets, full_at): (u64, Option<Timestamp>)) {
        self.buckets += buckets;
        self.full_at = self.full_at.max(full_at);
    }
}

fn identifiers(names: &[String]) -> Option<Identifiers> {
    let names: Result<Vec<_>, _> = names.iter().map(|name| Hostname::parse(name)).collect();
    Identifiers::new(names.ok()?).ok()
}

fn emptied(rules: &Rules, bucket: BucketKey, now: Timestamp) -> Option<(BucketKey, Timestamp)> {
    let full_at = now.after(rules.bucket(&bucket)?.horizon());
    Some((bucket, full_at))
}

async fn empty(
    conn: &mut PgConnection,
    ca: &str,
    buckets: BTreeMap<BucketKey, Timestamp>,
) -> Result<(u64, Option<Timestamp>), StoreError> {
    let last = buckets.values().max().copied();
    let limits: Vec<String> = buckets.keys().map(|bucket| bucket.limit.as_str().to_owned()).collect();
    let keys: Vec<String> = buckets.keys().map(|bucket| bucket.key.to_string()).collect();
    let full_at: Vec<OffsetDateTime> = buckets.values().map(|at| sql_instant(*at)).collect();
    let done = sqlx::query!(
        "insert into buckets (ca, limit_name, key, full_at)
         select $1, limit_name, key, full_at
         from unnest($2::text[], $3::text[], $4::timestamptz[]) as emptied (limit_name, key, full_at)
         order by limit_name, key
         on conflict (ca, limit_name, key) do update set full_at = greatest(buckets.full_at, excluded.full_at)",
        ca,
        &limits,
        &keys,
        &full_at
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("restores.empty"))?;
    Ok((done.rows_affected(), last))
}

/// Whoever held orders at the instant of the backup is gone; how many there were.
async fn release(conn: &mut PgConnection, now: Timestamp) -> Result<u64, StoreError> {
    sqlx::query!(
        "update orders
         set lease_epoch = lease_epoch + $2,
             due_at = case when lease_expires_at is null then due_at else $1 end,
             lease_expires_at = case when lease_expires_at is null then null else $1 end
         where due_at is not null",
        sql_instant(now),
        EPOCHS_SKIPPED
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(StoreError::of("restores.release"))
}
