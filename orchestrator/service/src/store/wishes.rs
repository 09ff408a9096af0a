//! Makes certificates be as wished, a thousand at a time.

use std::collections::{HashMap, HashSet};

use issuance::exemption::SET_REMEMBERED_FOR;
use issuance::fairness::Lane;
use issuance::identifier::Hostname;
use issuance::ids::AccountId;
use issuance::time::Timestamp;
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Uuid;

use super::imports::Wish;
use super::lines::{self, Entrance};
use super::mint::Mint;
use super::quotas::{Allowances, Excess, Taken};
use super::{StoreError, sql_instant};
use crate::telemetry::traces::Traceparent;

/// A wish whose tenant is known and owns the names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wished<'a> {
    pub(super) tenant: Uuid,
    pub(super) wish: Wish<'a>,
}

/// What became of a chunk of wishes.
#[derive(Debug, Clone, Default)]
pub(super) struct WishCounts {
    pub(super) created: u64,
    pub(super) changed: u64,
    pub(super) unchanged: u64,
    pub(super) orders: u64,
    pub(super) hastened: u64,
    /// By place among the wishes: those that their tenant's quotas do not allow. Nothing of them was written.
    pub(super) refused: Vec<(usize, Excess)>,
}

/// On whose behalf wishes are granted, and how fast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) account: AccountId,
    pub(super) import: Uuid,
    pub(super) lane: Lane,
    /// The span of the request that wishes so.
    pub(super) origin: Option<Traceparent>,
}

/// Makes the certificates be as wished, and an accepted order for each set of names that is new. What waits in a lane
/// behind the wished one changes over. The tenants are held by this transaction, and what they wish is taken from their
/// `allowances`; of its names, those in `fresh` were nobody's before, and each is taken from it with the first wish that has
/// it.
pub(super) async fn grant(
    conn: &mut PgConnection,
    now: Timestamp,
    mint: &Mint,
    terms: Terms,
    wishes: &[Wished<'_>],
    fresh: &mut HashSet<String>,
    allowances: &mut Allowances,
) -> Result<WishCounts, StoreError> {
    let stored = look_up(conn, wishes).await?;
    let (mut create, mut change) = (Rows::default(), Rows::default());
    let mut to_order = Vec::new();
    let mut ordered = Vec::new();
    let mut counts = WishCounts::default();
    for (nr, wished) in wishes.iter().enumerate() {
        let labels = serde_json::json!(wished.wish.labels);
        let stored = stored.get(&nr);
        let same_names = stored.is_some_and(|stored| {
            let names = wished.wish.names.iter().map(Hostname::as_str);
            !stored.given_up && stored.names.iter().map(String::as_str).eq(names)
        });
        let new_names: HashSet<&str> = wished
            .wish
            .names
            .iter()
            .map(Hostname::validation_target)
            .filter(|name| fresh.contains(*name))
            .collect();
        let taken = Taken { hostnames: new_names.len() as u64, certificates: u64::from(!same_names) };
        if let Err(excess) = allowances.take(wished.tenant, taken) {
            counts.refused.push((nr, excess));
            continue;
        }
        for name in new_names {
            fresh.remove(name);
        }
        let Some(stored) = stored else {
            let id = mint.uuid();
            to_order.push((id, wished.tenant));
            create.push(id, wished, labels);
            continue;
        };
        if same_names {
            ordered.push(stored.id);
        }
        if same_names && stored.challenge == wished.wish.challenge && stored.labels == labels {
            counts.unchanged += 1;
            continue;
        }
        if !same_names {
            to_order.push((stored.id, wished.tenant));
        }
        change.push(stored.id, wished, labels);
    }
    counts.created = create.ids.len() as u64;
    counts.changed = change.ids.len() as u64;
    counts.orders = to_order.len() as u64;
    insert(conn, now, terms, &create).await?;
    update(conn, now, &change).await?;
    order(conn, now, mint, terms, &to_order).await?;
    counts.hastened = hasten(conn, terms.lane, &ordered).await?;
    Ok(counts)
}

#[derive(Debug)]
struct Stored {
    id: Uuid,
    names: Vec<String>,
    challenge: String,
    labels: Value,
    /// Its last name had gone to another tenant.
    given_up: bool,
}

/// By place in `wishes`.
async fn look_up(
    conn: &mut PgConnection,
    wishes: &[Wished<'_>],
) -> Result<HashMap<usize, Stored>, StoreError> {
    let tenants: Vec<Uuid> = wishes.iter().map(|wished| wished.tenant).collect();
    let external: Vec<String> = wishes.iter().map(|wished| wished.wish.external_id.to_owned()).collect();
    let found = sqlx::query_file!("queries/certificates_look_up.sql", &tenants, &external)
        .fetch_all(conn)
        .await
        .map_err(StoreError::of("certificates.look_up"))?;
    let stored = found.into_iter().filter_map(|row| {
        let place = usize::try_from(row.nr - 1).ok()?;
        let stored = Stored {
            id: row.certificate_id,
            names: row.names,
            challenge: row.challenge,
            labels: row.labels,
            given_up: row.given_up,
        };
        Some((place, stored))
    });
    Ok(stored.collect())
}

/// Certificates column by column, as `unnest` takes them.
#[derive(Debug, Default)]
struct Rows {
    ids: Vec<Uuid>,
    tenants: Vec<Uuid>,
    external_ids: Vec<String>,
    /// Comma-joined: an array of arrays would be flattened.
    names: Vec<String>,
    challenges: Vec<String>,
    labels: Vec<Value>,
}

impl Rows {
    fn push(&mut self, id: Uuid, wished: &Wished<'_>, labels: Value) {
        self.ids.push(id);
        self.tenants.push(wished.tenant);
        self.external_ids.push(wished.wish.external_id.to_owned());
        self.names.push(wished.wish.names.canonical());
        self.challenges.push(wished.wish.challenge.to_owned());
        self.labels.push(labels);
    }
}

async fn insert(
    conn: &mut PgConnection,
    now: Timestamp,
    Terms { account, import, .. }: Terms,
    rows: &Rows,
) -> Result<(), StoreError> {
    if rows.ids.is_empty() {
        return Ok(());
    }
    sqlx::query_file!(
        "queries/certificates_insert.sql",
        &rows.ids,
        &rows.tenants,
        &rows.external_ids,
        &rows.names,
        &rows.challenges,
        &rows.labels,
        account.0,
        import,
        sql_instant(now),
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("certificates.insert"))?;
    Ok(())
}

async fn update(conn: &mut PgConnection, now: Timestamp, rows: &Rows) -> Result<(), StoreError> {
    if rows.ids.is_empty() {
        return Ok(());
    }
    sqlx::query_file!(
        "queries/certificates_change.sql",
        &rows.ids,
        &rows.names,
        &rows.challenges,
        &rows.labels,
        sql_instant(now)
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("certificates.change"))?;
    Ok(())
}

pub(super) async fn order(
    conn: &mut PgConnection,
    now: Timestamp,
    mint: &Mint,
    Terms { account, lane, origin, .. }: Terms,
    certificates: &[(Uuid, Uuid)],
) -> Result<(), StoreError> {
    if certificates.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = certificates.iter().map(|_| mint.uuid()).collect();
    let (certificates, tenants): (Vec<Uuid>, Vec<Uuid>) = certificates.iter().copied().unzip();
    let tags = lines::join(conn, Entrance { account, lane, comes_back: false }, &tenants).await?;
    sqlx::query_file!(
        "queries/orders_insert_accepted.sql",
        &ids,
        &certificates,
        lane.number(),
        sql_instant(now),
        &tags,
        SET_REMEMBERED_FOR.as_secs_f64(),
        origin.map(|origin| origin.to_string()) as Option<String>
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("orders.insert"))?;
    Ok(())
}

/// Those of the orders that have not been to the CA, and wait in a lane behind this one, wait in this one: they line up
/// anew. What rests after a failure goes on to rest. Returns how many.
pub(super) async fn hasten(
    conn: &mut PgConnection,
    lane: Lane,
    certificates: &[Uuid],
) -> Result<u64, StoreError> {
    if lane == Lane::Bulk || certificates.is_empty() {
        return Ok(0);
    }
    let hastened = sqlx::query!(
        "update orders
         set lane = $1, in_line = false
         where certificate_id = any($2) and ended_at is null and queue < 2 and lane > $1 and lease_expires_at is null",
        lane.number(),
        certificates
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("orders.hasten"))?;
    Ok(hastened.rows_affected())
}
