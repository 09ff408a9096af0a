//! What may be wished of a campaign from outside: that there is one, that it goes otherwise, that it ends.

use issuance::ids::CampaignId;
use issuance::time::Timestamp;
use serde_json::{Value, json};
use sqlx::types::Json;

use super::selection::{CampaignSelector, serial};
use super::view::{self, Campaign};
use crate::store::events::Event;
use crate::store::work::Work;
use crate::store::{StoreError, sql_instant};

/// A campaign that is wished for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCampaign {
    pub reason: String,
    pub selector: CampaignSelector,
    pub new_keys: bool,
    pub deadline: Timestamp,
    pub rate_per_hour: Option<u32>,
    /// By the forecast.
    pub foreseen_at: Option<Timestamp>,
}

/// What is to be otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CampaignChange {
    pub is_paused: Option<bool>,
    pub deadline: Option<Timestamp>,
    /// `Some(None)`: as many as the CA's limits allow.
    pub rate_per_hour: Option<Option<u32>>,
}

/// What became of a wish.
#[derive(Debug)]
pub enum Granted {
    /// As it is now. Where it was so already, nothing was done.
    Now(Box<Campaign>),
    /// It is over.
    Ended(Box<Campaign>),
    /// It does not exist, or not for this viewer.
    NotFound,
}

fn rate(per_hour: Option<u32>) -> Option<i32> {
    per_hour.map(super::column)
}

fn told(kind: &'static str, campaign: &Campaign, data: Value) -> Event {
    Event { kind, tenant: campaign.tenant, certificate: None, subject: campaign.id.to_string(), data }
}

/// What an event tells of one.
fn terms(campaign: &Campaign) -> Value {
    json!({
        "status": campaign.status,
        "reason": campaign.reason,
        "selector": campaign.selector,
        "serials_listed": campaign.serials,
        "new_keys": campaign.new_keys,
        "deadline": campaign.standing.deadline,
        "rate_per_hour": campaign.standing.per_hour,
        "foreseen": campaign.standing.foreseen_at,
    })
}

async fn seen(work: &mut Work, id: CampaignId) -> Result<Option<Campaign>, StoreError> {
    let (viewer, now) = (work.viewer(), work.at());
    view::one(work.conn(), viewer, id, now).await
}

async fn there(work: &mut Work, id: CampaignId) -> Result<Campaign, StoreError> {
    seen(work, id).await?.ok_or_else(|| StoreError::Inconsistent {
        table: "campaigns",
        what: format!("{id} has gone while it was locked"),
    })
}

/// Makes one, which finds its certificates by itself.
pub async fn create(work: &mut Work, new: &NewCampaign) -> Result<Campaign, StoreError> {
    let (viewer, now) = (work.viewer(), work.at());
    let id = CampaignId(work.mint().uuid());
    let serials: Vec<String> = new.selector.serials.iter().filter_map(|text| serial(text)).collect();
    let created_by = work.actor().who.name().to_owned();
    sqlx::query!(
        "insert into campaigns (
             campaign_id, tenant_id, reason, selector, serials, new_keys, deadline_at, rate_per_hour, created_by, created_at,
             next_at, moving_since, foreseen_at
         )
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $10, $11)",
        id.0,
        viewer.tenant_id(),
        new.reason,
        Json(new.selector.kept()) as _,
        &serials,
        new.new_keys,
        sql_instant(new.deadline),
        rate(new.rate_per_hour),
        created_by,
        sql_instant(now),
        new.foreseen_at.map(sql_instant)
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("campaigns.create"))?;
    let campaign = there(work, id).await?;
    let data = json!({ "before": null, "after": terms(&campaign) });
    work.tell(told("campaign.started", &campaign, data)).await?;
    Ok(campaign)
}

/// Holds it until the work ends.
async fn hold(work: &mut Work, id: CampaignId) -> Result<Option<Campaign>, StoreError> {
    let tenant = work.viewer().tenant_id();
    sqlx::query!(
        "select campaign_id from campaigns
         where campaign_id = $1 and ($2::uuid is null or tenant_id = $2)
         for no key update",
        id.0,
        tenant
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("campaigns.hold"))?;
    seen(work, id).await
}

/// Pauses it, lets it go on, or gives it another deadline or rate.
pub async fn change(work: &mut Work, id: CampaignId, change: CampaignChange) -> Result<Granted, StoreError> {
    let now = work.at();
    let Some(before) = hold(work, id).await? else { return Ok(Granted::NotFound) };
    if before.ended_at.is_some() {
        return Ok(Granted::Ended(Box::new(before)));
    }
    let standing = before.standing;
    let is_paused = change.is_paused.unwrap_or(standing.is_paused);
    let deadline = change.deadline.unwrap_or(standing.deadline);
    let per_hour = change.rate_per_hour.unwrap_or(standing.per_hour);
    if (is_paused, deadline, per_hour) == (standing.is_paused, standing.deadline, standing.per_hour) {
        return Ok(Granted::Now(Box::new(before)));
    }
    let resumes = standing.is_paused && !is_paused;
    sqlx::query!(
        "update campaigns
         set status = $2, deadline_at = $3, rate_per_hour = $4,
             -- What was not ordered in a pause, or under another rate, is not caught up with.
             next_at = case when $5 or rate_per_hour is distinct from $4 then greatest(next_at, $6) else next_at end,
             moving_since = case when $5 then $6 else moving_since end,
             told_late_at = case when deadline_at < $3 then null else told_late_at end
         where campaign_id = $1",
        id.0,
        if is_paused { "paused" } else { "running" },
        sql_instant(deadline),
        rate(per_hour),
        resumes,
        sql_instant(now)
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("campaigns.change"))?;
    let after = there(work, id).await?;
    let kind = match (standing.is_paused, is_paused) {
        (false, true) => "campaign.paused",
        (true, false) => "campaign.resumed",
        _ => "campaign.changed",
    };
    let data = json!({ "before": terms(&before), "after": terms(&after) });
    work.tell(told(kind, &after, data)).await?;
    Ok(Granted::Now(Box::new(after)))
}

/// Nothing more is ordered for it. What is under way goes on to its end.
pub async fn cancel(work: &mut Work, id: CampaignId) -> Result<Granted, StoreError> {
    let now = work.at();
    let Some(before) = hold(work, id).await? else { return Ok(Granted::NotFound) };
    match before.status.as_str() {
        "cancelled" => return Ok(Granted::Now(Box::new(before))),
        "done" => return Ok(Granted::Ended(Box::new(before))),
        _ => {}
    }
    sqlx::query!(
        "update campaigns set status = 'cancelled', ended_at = $2 where campaign_id = $1",
        id.0,
        sql_instant(now)
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("campaigns.cancel"))?;
    let after = there(work, id).await?;
    let data = json!({ "before": terms(&before), "after": terms(&after) });
    work.tell(told("campaign.cancelled", &after, data)).await?;
    Ok(Granted::Now(Box::new(after)))
}
