//! The orphan inbox: what a worker has learnt of the CA and can no longer write under its lease.
//!
//! Kept without a fence, since knowledge is never wrong for being late: an object that the CA has made exists, whoever
//! holds the order now. Until an orphan is resolved it counts in the account's budget.

use std::collections::HashSet;

use issuance::ids::{AccountId, OrderId};
use issuance::order::CaOrder;
use issuance::time::Timestamp;
use sqlx::PgConnection;

use super::mint::Mint;
use super::{Store, StoreError, sql_instant, strays};

/// What an orphan is at the CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrphanKind {
    Order,
    Authorization,
    Certificate,
}

impl OrphanKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Authorization => "authorization",
            Self::Certificate => "certificate",
        }
    }
}

/// Something learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Find {
    pub kind: OrphanKind,
    pub url: Box<str>,
    /// What it counts in the pending-authorization budget.
    pub units: u32,
}

/// An orphan that waits, with how its order stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    pub kind: OrphanKind,
    pub url: Box<str>,
    /// Whose worker learnt of it.
    pub order: OrderId,
    pub learnt_at: Timestamp,
    /// The operator wants it settled now.
    pub settle_requested_at: Option<Timestamp>,
    /// new-order may have been executed for that order, and what it made is not known.
    pub in_doubt: bool,
    /// Somebody works on that order.
    pub is_held: bool,
    pub names: Vec<String>,
}

/// How an orphan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Its order has taken it over.
    Adopted,
    /// It is in the ledger now, and is settled.
    Entered,
    /// There is nothing in it to settle.
    Ended,
    /// The CA does not have it any more.
    Gone,
}

impl Resolution {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adopted => "adopted",
            Self::Entered => "entered",
            Self::Ended => "ended",
            Self::Gone => "gone",
        }
    }
}

/// What an orphan leads to: authorizations, and the CA order they belong to.
#[derive(Debug, Clone)]
pub struct Recovered<'a> {
    /// `None` where it is not known any more.
    pub ca: Option<&'a CaOrder>,
    pub authorizations: &'a [String],
    /// Whether one of them may be pending.
    pub are_open: bool,
    /// When they expire at the latest.
    pub expires_at: Timestamp,
    /// By when they are to be settled.
    pub settle_at: Timestamp,
}

impl Store {
    /// Writes down what the ledger does not know. Returns how many there were.
    pub async fn keep_orphans(
        &self,
        account: AccountId,
        order: OrderId,
        finds: &[Find],
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let urls: Vec<String> = finds.iter().map(|find| find.url.to_string()).collect();
        let kinds: Vec<String> = finds.iter().map(|find| find.kind.as_str().to_owned()).collect();
        let units: Vec<i32> =
            finds.iter().map(|find| i32::try_from(find.units).unwrap_or(i32::MAX)).collect();
        let kept = sqlx::query_file_scalar!(
            "queries/orphans_keep.sql",
            account.0,
            order.0,
            &urls,
            &kinds,
            &units,
            sql_instant(now)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("orphans.keep"))?;
        Ok(kept.len())
    }

    /// Resolves those that have come into the ledger meanwhile. Returns how many there were.
    pub async fn resolve_known_orphans(&self, account: AccountId, now: Timestamp) -> Result<u64, StoreError> {
        sqlx::query_file!("queries/orphans_resolve_known.sql", account.0, sql_instant(now))
            .execute(self.pool())
            .await
            .map(|done| done.rows_affected())
            .map_err(StoreError::of("orphans.resolve_known"))
    }

    /// Orphans to resolve, those looked at longest ago first.
    pub async fn unresolved_orphans(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<Orphan>, StoreError> {
        let rows = sqlx::query_file!(
            "queries/orphans_unresolved.sql",
            account.0,
            sql_instant(now),
            i64::from(limit)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("orphans.unresolved"))?;
        let orphans = rows.into_iter().map(|row| Orphan {
            kind: if row.kind == "order" { OrphanKind::Order } else { OrphanKind::Authorization },
            url: row.url.into(),
            order: OrderId(row.order_id),
            learnt_at: row.learnt_at.into(),
            settle_requested_at: row.settle_requested_at.map(Timestamp::from),
            in_doubt: row.stage == "admitted",
            is_held: row.is_held,
            names: row.names,
        });
        Ok(orphans.collect())
    }

    /// What could not be resolved now: others go first the next time.
    pub async fn put_orphan_off(&self, url: &str, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query!("update orphans set looked_at = $2 where url = $1", url, sql_instant(now))
            .execute(self.pool())
            .await
            .map(drop)
            .map_err(StoreError::of("orphans.put_off"))
    }

    /// Ends those about which nothing is left to do. Returns how many nobody else had ended.
    pub async fn resolve_orphans(
        &self,
        urls: &[String],
        resolution: Resolution,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut connection =
            self.pool().acquire().await.map_err(StoreError::of("orphans.resolve: connect"))?;
        resolve(&mut connection, urls, resolution, now).await
    }

    /// Enters those of an orphan's authorizations into the ledger that are not there, to be settled, and dissolves what
    /// was held for them. `None` where that has been done, or has to wait because somebody works on the order it
    /// strayed from.
    pub async fn enter_orphan(
        &self,
        orphan: &Orphan,
        recovered: &Recovered<'_>,
        now: Timestamp,
    ) -> Result<Option<Resolution>, StoreError> {
        let mut tx = self.begin("orphans.enter").await?;
        let waits = sqlx::query_scalar!(
            "select url from orphans where url = $1 and resolved_at is null for update",
            &*orphan.url
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(StoreError::of("orphans.lock"))?;
        let is_free = sqlx::query_scalar!(
            r#"select coalesce(lease_expires_at <= $2, true) as "is_free!"
               from orders where order_id = $1 for update"#,
            orphan.order.0,
            sql_instant(now)
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(StoreError::of("orphans.lock_order"))?;
        if waits.is_none() || !is_free {
            return Ok(None);
        }
        let entered = recovered.are_open && enter(&mut tx, orphan, recovered, now).await?;
        if recovered.ca.is_some() {
            dissolve_one_ask(&mut tx, orphan.order).await?;
        }
        let mut resolved = recovered.authorizations.to_vec();
        resolved.push(orphan.url.to_string());
        let resolution = if entered { Resolution::Entered } else { Resolution::Ended };
        resolve(&mut tx, &resolved, resolution, now).await?;
        tx.commit().await.map_err(StoreError::of("orphans.enter"))?;
        Ok(Some(resolution))
    }
}

/// True if the ledger did not know one of them.
async fn enter(
    connection: &mut PgConnection,
    orphan: &Orphan,
    recovered: &Recovered<'_>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let known = sqlx::query_scalar!(
        "select distinct url from authorizations where url = any($1)",
        recovered.authorizations
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(StoreError::of("orphans.known"))?;
    let known: HashSet<String> = known.into_iter().collect();
    let strays: Vec<String> =
        recovered.authorizations.iter().filter(|url| !known.contains(*url)).cloned().collect();
    if strays.is_empty() {
        return Ok(false);
    }
    let order = strays::insert(connection, orphan.order, recovered.ca, now).await?;
    let mint = Mint::at(now);
    let ids: Vec<_> = strays.iter().map(|_| mint.uuid()).collect();
    sqlx::query!(
        "insert into authorizations
            (authorization_id, tenant_id, account_id, order_id, url, status, origin, opened_at, expires_at, settle_at)
         select stray.id, orders.tenant_id, orders.account_id, orders.order_id, stray.url, 'pending', 'recovered', $4,
             $5, $6
         from unnest($1::uuid[], $2::text[]) as stray (id, url)
         cross join orders
         where orders.order_id = $3",
        &ids,
        &strays,
        order.0,
        sql_instant(orphan.learnt_at),
        sql_instant(recovered.expires_at),
        sql_instant(recovered.settle_at)
    )
    .execute(connection)
    .await
    .map_err(StoreError::of("orphans.enter_ledger"))?;
    Ok(true)
}

/// What one new-order of that order may have made is known now. An order in doubt keeps what it holds: what it made is
/// known when it is placed.
async fn dissolve_one_ask(connection: &mut PgConnection, order: OrderId) -> Result<(), StoreError> {
    sqlx::query!(
        "update orders
         set reserved_authorizations = greatest(reserved_authorizations - cardinality(names), 0)
         where order_id = $1 and stage <> 'admitted' and reserved_authorizations > 0",
        order.0
    )
    .execute(connection)
    .await
    .map(drop)
    .map_err(StoreError::of("orphans.dissolve"))
}

async fn resolve(
    connection: &mut PgConnection,
    urls: &[String],
    resolution: Resolution,
    now: Timestamp,
) -> Result<u64, StoreError> {
    sqlx::query!(
        "update orphans set resolved_at = $2, resolution = $3 where url = any($1) and resolved_at is null",
        urls,
        sql_instant(now),
        resolution.as_str()
    )
    .execute(connection)
    .await
    .map(|done| done.rows_affected())
    .map_err(StoreError::of("orphans.resolve"))
}
