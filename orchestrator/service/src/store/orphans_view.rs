//! The orphan inbox as the operator sees it, and what may be asked of it.

use std::time::Duration;

use issuance::ids::{OrderId, OrphanId};
use issuance::profile::CaProfile;
use issuance::settle;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Uuid;
use utoipa::ToSchema;

use super::page::{Listing, Page};
use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// Something at the CA that is in no row of the ledger yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrphanView {
    pub id: OrphanId,
    /// `order`, `authorization` or `certificate`: what it is at the CA.
    pub kind: String,
    pub url: String,
    /// The order whose worker learnt of it.
    pub order_id: OrderId,
    /// That order's tenant, by its slug.
    pub tenant: String,
    pub names: Vec<String>,
    /// What it counts in the account's budget of pending authorizations until it is resolved.
    pub units: i32,
    pub learnt_at: Timestamp,
    /// When somebody last tried to resolve it.
    pub looked_at: Option<Timestamp>,
    /// A worker has its order in hands until then; before, nothing is done about it.
    pub held_until: Option<Timestamp>,
    pub settle_requested_at: Option<Timestamp>,
    /// By when what is open in it is to be settled.
    #[serde(default)]
    pub settle_at: Option<Timestamp>,
    /// What will be done, in plain words.
    #[serde(default)]
    pub detail: String,
}

impl OrphanView {
    /// With what will be done about it at a CA like this.
    #[must_use]
    pub fn foretold(mut self, profile: &CaProfile) -> Self {
        let lives = Duration::from_secs(profile.pending_authorization_seconds);
        let deadline = settle::deadline(self.learnt_at, self.learnt_at.after(lives), profile);
        let what = match self.kind.as_str() {
            "order" => {
                "the CA is asked what became of it: our order takes it over if it still waits for it; otherwise its \
                 authorizations enter the ledger and are settled"
            }
            "authorization" => {
                "it enters the ledger and is settled: submitted where its response is served, deactivated otherwise"
            }
            _ => "it is noted once its order is known: there is nothing to settle",
        };
        let when = if self.held_until.is_some() {
            "as soon as no worker has its order in hands"
        } else {
            "with the next pass of the reconciler"
        };
        self.settle_at = (self.kind != "certificate")
            .then(|| self.settle_requested_at.map_or(deadline, |asked| asked.min(deadline)));
        self.detail = format!("{what}; {when}");
        self
    }
}

/// Those that are not resolved.
pub async fn list(store: &Store, now: Timestamp, page: &Page) -> Result<Listing<OrphanView>, StoreError> {
    let mut conn = store.connection().await?;
    let found = select(&mut conn, None, now, page.after(), page.rows_to_read()).await?;
    Ok(page.listing(found, |orphan| orphan.id.0))
}

/// What may be wished of an orphan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrphanWish {
    /// That it is the next one that is looked at.
    Look,
    /// That it is settled as soon as it is in the ledger, too.
    Settle,
}

/// The orphan before and after; `None` where there is none that is not resolved.
pub async fn wish(
    work: &mut Work,
    id: OrphanId,
    wish: OrphanWish,
) -> Result<Option<(OrphanView, OrphanView)>, StoreError> {
    let now = work.at();
    let held = sqlx::query_scalar!(
        "select url from orphans where orphan_id = $1 and resolved_at is null for update",
        id.0
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("orphans.hold"))?;
    if held.is_none() {
        return Ok(None);
    }
    let before = select(work.conn(), Some(id.0), now, None, 1).await?;
    sqlx::query!(
        "update orphans
         set looked_at = null,
             settle_requested_at = case when $2 then coalesce(settle_requested_at, $3) else settle_requested_at end
         where orphan_id = $1",
        id.0,
        wish == OrphanWish::Settle,
        sql_instant(now)
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("orphans.wish"))?;
    let after = select(work.conn(), Some(id.0), now, None, 1).await?;
    Ok(before.into_iter().next().zip(after.into_iter().next()))
}

async fn select(
    conn: &mut PgConnection,
    id: Option<Uuid>,
    now: Timestamp,
    after: Option<Uuid>,
    rows: i64,
) -> Result<Vec<OrphanView>, StoreError> {
    let found = sqlx::query!(
        r#"select orphan_id, kind, url, orphans.order_id, tenants.slug as tenant, orders.names, units, learnt_at, looked_at,
               case when orders.lease_expires_at > $4 then orders.lease_expires_at end as "held_until?",
               orphans.settle_requested_at
           from orphans
           join orders using (order_id)
           join tenants using (tenant_id)
           where resolved_at is null
               and ($1::uuid is null or orphan_id = $1)
               and ($2::uuid is null or orphan_id > $2)
           order by orphan_id
           limit $3"#,
        id,
        after,
        rows,
        sql_instant(now)
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("orphans.list"))?;
    let views = found.into_iter().map(|row| OrphanView {
        id: OrphanId(row.orphan_id),
        kind: row.kind,
        url: row.url,
        order_id: OrderId(row.order_id),
        tenant: row.tenant,
        names: row.names,
        units: row.units,
        learnt_at: row.learnt_at.into(),
        looked_at: row.looked_at.map(Timestamp::from),
        held_until: row.held_until.map(Timestamp::from),
        settle_requested_at: row.settle_requested_at.map(Timestamp::from),
        settle_at: None,
        detail: String::new(),
    });
    Ok(views.collect())
}
