//! Lines: where the orders of each tenant wait for their turn.
//!
//! An order gets its tag when it lines up (see [`issuance::fairness`]) and keeps it while it is in line. Whoever waits
//! for an instant is out of line, and lines up again when it has come: among its tenant's returners, so neither behind
//! the whole backlog of its tenant nor before everybody else's.

use std::collections::BTreeMap;

use issuance::fairness::{Lane, Line};
use issuance::ids::AccountId;
use issuance::time::Timestamp;
use sqlx::PgConnection;
use sqlx::types::Uuid;

use super::{Store, StoreError, sql_instant};

/// Whose line, and which of the two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entrance {
    pub(super) account: AccountId,
    pub(super) lane: Lane,
    /// After a wait, not for the first time.
    pub(super) comes_back: bool,
}

/// The tags of orders that line up now, in the order of their `tenants`. The lines stay locked until the transaction
/// ends, so that no two orders of a tenant get the same place.
pub(super) async fn join(
    conn: &mut PgConnection,
    entrance: Entrance,
    tenants: &[Uuid],
) -> Result<Vec<i64>, StoreError> {
    let lane = entrance.lane.number();
    let mut each: Vec<Uuid> = tenants.to_vec();
    each.sort_unstable();
    each.dedup();
    sqlx::query!(
        "insert into lines (account_id, lane, tenant_id, comes_back, next_tag)
         select $1, $2, tenant_id, $3, 0 from unnest($4::uuid[]) as tenant (tenant_id)
         on conflict do nothing",
        entrance.account.0,
        lane,
        entrance.comes_back,
        &each
    )
    .execute(&mut *conn)
    .await
    .map_err(StoreError::of("lines.open"))?;
    let rows = sqlx::query!(
        r#"select lines.tenant_id, lines.next_tag, tenants.weight, accounts.fair_clock[$2::smallint + 1] as "clock!"
           from lines
           join tenants using (tenant_id)
           join accounts using (account_id)
           where lines.account_id = $1 and lines.lane = $2::smallint and lines.comes_back = $3 and lines.tenant_id = any($4)
           order by lines.tenant_id
           for no key update of lines"#,
        entrance.account.0,
        lane,
        entrance.comes_back,
        &each
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(StoreError::of("lines.lock"))?;
    let mut lines: BTreeMap<Uuid, (Line, i64)> = rows
        .into_iter()
        .map(|row| {
            let weight = u32::try_from(row.weight).unwrap_or(1);
            (row.tenant_id, (Line { next_tag: row.next_tag, weight }, row.clock))
        })
        .collect();
    let tags = tenants
        .iter()
        .map(|tenant| lines.get_mut(tenant).map_or(0, |(line, clock)| line.join(*clock)))
        .collect();
    let next: Vec<i64> = lines.values().map(|(line, _)| line.next_tag).collect();
    let each: Vec<Uuid> = lines.into_keys().collect();
    sqlx::query!(
        "update lines set next_tag = line.next_tag
         from unnest($4::uuid[], $5::bigint[]) as line (tenant_id, next_tag)
         where lines.account_id = $1 and lines.lane = $2 and lines.comes_back = $3
             and lines.tenant_id = line.tenant_id",
        entrance.account.0,
        lane,
        entrance.comes_back,
        &each,
        &next
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("lines.move"))?;
    Ok(tags)
}

impl Store {
    /// Lines up as many as `limit` orders whose instant has come. Returns how many.
    pub async fn line_up(&self, now: Timestamp, limit: u16) -> Result<u16, StoreError> {
        let mut tx = self.begin("lines.line_up").await?;
        let due = sqlx::query!(
            "select order_id, account_id, tenant_id, lane
             from orders
             where queue < 2 and not in_line and not paused and due_at <= $1
             order by due_at
             limit $2
             for update skip locked",
            sql_instant(now),
            i64::from(limit)
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(StoreError::of("lines.due"))?;
        // In one order for everybody, since each takes locks on lines.
        let mut groups: BTreeMap<(Uuid, i16), (Vec<Uuid>, Vec<Uuid>)> = BTreeMap::new();
        for row in &due {
            let (orders, tenants) = groups.entry((row.account_id, row.lane)).or_default();
            orders.push(row.order_id);
            tenants.push(row.tenant_id);
        }
        for ((account, lane), (orders, tenants)) in groups {
            let entrance = Entrance {
                account: AccountId(account),
                lane: Lane::from_number(lane).unwrap_or(Lane::Bulk),
                comes_back: true,
            };
            let tags = join(&mut tx, entrance, &tenants).await?;
            sqlx::query!(
                "update orders set in_line = true, fair_tag = turn.fair_tag
                 from unnest($1::uuid[], $2::bigint[]) as turn (order_id, fair_tag)
                 where orders.order_id = turn.order_id",
                &orders,
                &tags
            )
            .execute(&mut *tx)
            .await
            .map_err(StoreError::of("lines.let_in"))?;
        }
        tx.commit().await.map_err(StoreError::of("lines.commit"))?;
        Ok(u16::try_from(due.len()).unwrap_or(limit))
    }

    // In order, though only counted: the line is looked at from its head, and not as a whole.

    /// How many orders that the CA would count are to be proven and stand before all that are proven: whoever lined up
    /// after those, with a place before theirs. `most` at the most.
    pub async fn unproven_ahead(&self, most: u16) -> Result<u16, StoreError> {
        sqlx::query_scalar!(
            r#"with head as (
                   select lane, fair_tag from orders
                   where in_line and queue = 1 and not exempt
                   order by lane, fair_tag
                   limit 1
               )
               select count(*) as "ahead!" from (
                   select 1
                   from orders
                   where in_line and queue = 0 and not exempt
                       and (lane, fair_tag) < ((select lane from head), (select fair_tag from head))
                   order by lane, fair_tag
                   limit $1
               ) as ahead"#,
            i64::from(most)
        )
        .fetch_one(self.pool())
        .await
        .map(|ahead| u16::try_from(ahead).unwrap_or(most))
        .map_err(StoreError::of("lines.ahead"))
    }

    /// How many orders stand proven before the gate and would be counted by the CA; `most` at the most.
    pub async fn proven_and_counted(&self, most: u16) -> Result<u16, StoreError> {
        sqlx::query_scalar!(
            r#"select count(*) as "standing!" from (
                   select 1 from orders
                   where in_line and queue = 1 and not exempt
                   order by lane, fair_tag
                   limit $1
               ) as standing"#,
            i64::from(most)
        )
        .fetch_one(self.pool())
        .await
        .map(|standing| u16::try_from(standing).unwrap_or(most))
        .map_err(StoreError::of("lines.standing"))
    }
}
