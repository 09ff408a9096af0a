//! How campaigns stand: what is told of them, and when they are over.

use std::time::Duration;

use issuance::campaign::Standing;
use issuance::ids::CampaignId;
use issuance::time::Timestamp;
use serde_json::json;

use super::view::{self, Campaign};
use super::{Held, column};
use crate::store::events::{self, Actor, Event};
use crate::store::mint::Mint;
use crate::store::viewer::Viewer;
use crate::store::{Store, StoreError, sql_instant};

/// One sample is kept for each span of this length: the last in it.
pub(super) const SLOT: Duration = Duration::from_mins(5);

impl Store {
    /// Writes down how a campaign stands, tells once that it will be late, and ends it when there is nothing left to do.
    /// `None`: somebody else has it in hand, or it is over.
    pub async fn conclude_campaign(
        &self,
        id: CampaignId,
        now: Timestamp,
    ) -> Result<Option<Campaign>, StoreError> {
        let Some(mut held) = Held::take(self, id, "campaigns.conclude").await? else { return Ok(None) };
        sample(&mut held, now).await?;
        let Some(campaign) = view::one(&mut held.tx, Viewer::Operator, id, now).await? else {
            held.abandon().await?;
            return Ok(None);
        };
        let standing: Standing = campaign.standing;
        let is_over = held.is_running() && standing.is_over(now);
        let is_late = !is_over && standing.is_late(now);
        let mut told = Vec::new();
        if is_over {
            sqlx::query!(
                "update campaigns set status = 'done', ended_at = $2 where campaign_id = $1",
                id.0,
                sql_instant(now)
            )
            .execute(&mut *held.tx)
            .await
            .map_err(StoreError::of("campaigns.done"))?;
            told.push("campaign.done");
        } else if is_late && campaign.told_late_at.is_none() {
            sqlx::query!(
                "update campaigns set told_late_at = $2 where campaign_id = $1",
                id.0,
                sql_instant(now)
            )
            .execute(&mut *held.tx)
            .await
            .map_err(StoreError::of("campaigns.late"))?;
            told.push("campaign.late");
        }
        let counts = standing.counts;
        let told: Vec<Event> = told
            .into_iter()
            .map(|kind| Event {
                kind,
                tenant: campaign.tenant,
                certificate: None,
                subject: id.to_string(),
                data: json!({
                    "reason": campaign.reason,
                    "deadline": standing.deadline,
                    "eta": standing.done_at(now).filter(|_| !is_over),
                    "certificates": counts.total(),
                    "waiting": counts.waiting,
                    "queued": counts.queued,
                    "replaced": counts.replaced,
                    "failed": counts.failed,
                    "skipped": counts.skipped,
                }),
            })
            .collect();
        events::append(&mut held.tx, &Mint::at(now), now, &Actor::service("campaigns"), &told).await?;
        held.keep().await?;
        Ok(Some(campaign))
    }
}

async fn sample(held: &mut Held, now: Timestamp) -> Result<(), StoreError> {
    let slot = now.unix_seconds().div_euclid(i64::try_from(SLOT.as_secs()).unwrap_or(i64::MAX));
    sqlx::query!(
        "insert into campaign_samples (campaign_id, slot, tenant_id, taken_at, waiting, queued, replaced, failed)
         select $1, $2, tenant_id, $3, $4, $5, $6, $7 from campaigns where campaign_id = $1
         on conflict (campaign_id, slot) do update
         set taken_at = excluded.taken_at, waiting = excluded.waiting, queued = excluded.queued,
             replaced = excluded.replaced, failed = excluded.failed",
        held.id.0,
        slot,
        sql_instant(now),
        column(held.counts.waiting),
        column(held.counts.queued),
        column(held.counts.replaced),
        column(held.counts.failed)
    )
    .execute(&mut *held.tx)
    .await
    .map(drop)
    .map_err(StoreError::of("campaigns.sample"))
}
