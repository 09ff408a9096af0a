//! Finds the certificates of a campaign, a batch at a time; and tells beforehand which they would be.

use issuance::ids::CampaignId;
use issuance::time::Timestamp;
use sqlx::types::{Json, Uuid};

use super::selection::{self, CampaignSelector, Cursor, Fate, Found};
use super::{Held, Moves};
use crate::store::viewer::Viewer;
use crate::store::{Store, StoreError, sql_instant};

/// What one batch has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Searched {
    pub found: u64,
    /// There may be more.
    pub more: bool,
}

/// The next of what `selector` is about at `now`, after `cursor`; nothing is written.
pub async fn foresee(
    store: &Store,
    viewer: Viewer,
    selector: &CampaignSelector,
    cursor: Cursor,
    now: Timestamp,
) -> Result<selection::Batch, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    selection::next(&mut conn, viewer, selector, cursor, now, now).await
}

impl Store {
    /// Takes the next certificates into a campaign: the latest versions of which were issued when it was made, or before.
    pub async fn search_for_campaign(&self, id: CampaignId, now: Timestamp) -> Result<Searched, StoreError> {
        const NOTHING: Searched = Searched { found: 0, more: false };
        let Some(mut held) = Held::take(self, id, "campaigns.search").await? else { return Ok(NOTHING) };
        if !held.is_running() {
            held.abandon().await?;
            return Ok(NOTHING);
        }
        let row = sqlx::query!(
            r#"select tenant_id, selector as "selector: Json<CampaignSelector>", serials, created_at, found_at, found_order,
                   found_serials
               from campaigns
               where campaign_id = $1 and found_all_at is null"#,
            id.0
        )
        .fetch_optional(&mut *held.tx)
        .await
        .map_err(StoreError::of("campaigns.search"))?;
        let Some(row) = row else {
            held.abandon().await?;
            return Ok(NOTHING);
        };
        let viewer =
            row.tenant_id.map_or(Viewer::Operator, |tenant| Viewer::Tenant(issuance::ids::TenantId(tenant)));
        let selector = CampaignSelector { serials: row.serials, ..row.selector.0 };
        let mut cursor = Cursor::start(&selector);
        if let Some((at, order)) = row.found_at.zip(row.found_order) {
            cursor.after = (at.into(), issuance::ids::OrderId(order));
        }
        cursor.serials = usize::try_from(row.found_serials).unwrap_or(0);
        let batch =
            selection::next(&mut held.tx, viewer, &selector, cursor, row.created_at.into(), now).await?;
        let added = add(&mut held, &batch.found).await?;
        held.count(Moves { waiting: added, ..Moves::default() }).await?;
        let end = batch.next.unwrap_or(cursor);
        sqlx::query!(
            "update campaigns
             set found_at = $2, found_order = $3, found_serials = $4, found_all_at = case when $5 then $6::timestamptz end
             where campaign_id = $1",
            id.0,
            sql_instant(end.after.0),
            end.after.1.0,
            i32::try_from(end.serials).unwrap_or(i32::MAX),
            batch.next.is_none(),
            sql_instant(now)
        )
        .execute(&mut *held.tx)
        .await
        .map_err(StoreError::of("campaigns.found"))?;
        held.keep().await?;
        Ok(Searched { found: u64::try_from(added).unwrap_or(0), more: batch.next.is_some() })
    }
}

/// Those that are to be replaced, each once.
async fn add(held: &mut Held, found: &[Found]) -> Result<i64, StoreError> {
    let selected: Vec<&Found> = found.iter().filter(|one| one.fate == Fate::Selected).collect();
    let of = |id: fn(&Found) -> Uuid| -> Vec<Uuid> { selected.iter().map(|one| id(one)).collect() };
    let serials: Vec<String> = selected.iter().map(|one| one.serial.clone()).collect();
    let keys: Vec<Vec<u8>> = selected.iter().map(|one| one.spki_sha256.clone()).collect();
    let added = sqlx::query!(
        "insert into campaign_members (campaign_id, certificate_id, tenant_id, account_id, order_id, serial, spki_sha256)
         select $1, member.*
         from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::bytea[]) as member
         on conflict do nothing",
        held.id.0,
        &of(|one| one.certificate.0),
        &of(|one| one.tenant.0),
        &of(|one| one.account.0),
        &of(|one| one.order.0),
        &serials,
        &keys
    )
    .execute(&mut *held.tx)
    .await
    .map_err(StoreError::of("campaigns.add"))?;
    Ok(i64::try_from(added.rows_affected()).unwrap_or(i64::MAX))
}
