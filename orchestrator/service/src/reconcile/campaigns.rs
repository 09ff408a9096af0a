//! Campaigns: finds their certificates, has them ordered, looks at what comes of it, and tells how they stand.
//!
//! Each step is a transaction of its own that holds the campaign's row, so that replicas take turns, and one that dies has
//! either done a step or not.

use issuance::campaign::Counts;
use issuance::fairness::Lane;
use issuance::ids::CampaignId;
use issuance::time::Timestamp;
use metrics::{describe_gauge, gauge};
use tracing::{info, warn};

use super::instruments::measured;
use super::{Pass, ReconcileError, ReconcileParts, Reconciler};
use crate::store::campaigns::queue::Means;
use crate::store::campaigns::view::{self, Campaign};

const CERTIFICATES: &str = "lockkeeper_campaign_certificates";
const CAMPAIGNS: &str = "lockkeeper_campaigns";
const LATE: &str = "lockkeeper_campaigns_late";

/// Statements of one kind for one campaign in one pass: what is left over comes with the next.
const STEPS_MAX: usize = 200;

const FOUND: &str = "found";
const QUEUED: &str = "queued";
const SKIPPED: &str = "skipped";
const FAILED: &str = "failed";
const REPLACED: &str = "replaced";

#[derive(Debug)]
pub struct Campaigns {
    parts: ReconcileParts,
}

impl Campaigns {
    pub fn new(parts: ReconcileParts) -> Self {
        describe_gauge!(
            CERTIFICATES,
            "Certificates of campaigns that have not ended, by what has become of them."
        );
        describe_gauge!(CAMPAIGNS, "Campaigns that have not ended, by whether they are running or paused.");
        describe_gauge!(LATE, "Campaigns that will miss their deadline as things are, or have.");
        let campaigns = Self { parts };
        tell(&[], Timestamp::EPOCH);
        campaigns
    }

    async fn find(&self, id: CampaignId, now: Timestamp, pass: &mut Pass) -> Result<(), ReconcileError> {
        for _ in 0..STEPS_MAX {
            let searched = self.parts.store.search_for_campaign(id, now).await?;
            pass.add(FOUND, searched.found);
            if !searched.more {
                break;
            }
        }
        Ok(())
    }

    async fn look(&self, id: CampaignId, now: Timestamp, pass: &mut Pass) -> Result<(), ReconcileError> {
        for _ in 0..STEPS_MAX {
            let looked = self.parts.store.look_at_campaign(id, now).await?;
            pass.add(REPLACED, looked.replaced);
            pass.add(FAILED, looked.failed);
            if !looked.more {
                break;
            }
        }
        Ok(())
    }

    async fn queue(&self, id: CampaignId, now: Timestamp, pass: &mut Pass) -> Result<(), ReconcileError> {
        let ReconcileParts { store, account, account_id, .. } = &self.parts;
        let Some(campaign) = view::find(store, crate::store::viewer::Viewer::Operator, id, now).await? else {
            return Ok(());
        };
        let standing = campaign.standing;
        // A tenant cannot put itself before everybody else.
        let fast = if campaign.tenant.is_some() { Lane::Interactive } else { Lane::Urgent };
        let lane = standing.lane(fast, now);
        let means = Means { account: *account_id, takes_replaces: account.has_renewal_info(), lane };
        let mut ordered = 0;
        for _ in 0..STEPS_MAX {
            let queued = store.queue_for_campaign(id, means, now).await?;
            ordered += queued.queued;
            pass.add(QUEUED, queued.queued);
            pass.add(FAILED, queued.failed);
            pass.add(SKIPPED, queued.skipped);
            if !queued.more {
                break;
            }
        }
        if ordered > 0 {
            info!(
                event = "campaign.queued",
                campaign.id = %id,
                orders = ordered,
                lane = lane.as_str(),
                "Campaign {id} has {ordered} certificates ordered"
            );
        }
        Ok(())
    }

    async fn conclude(&self, id: CampaignId, now: Timestamp) -> Result<(), ReconcileError> {
        let Some(before) = self.parts.store.conclude_campaign(id, now).await? else { return Ok(()) };
        let Counts { replaced, failed, skipped, .. } = before.standing.counts;
        if !before.standing.is_paused && before.standing.is_over(now) {
            info!(
                event = "campaign.done",
                campaign.id = %id,
                replaced,
                failed,
                skipped,
                "Campaign {id} is done: {replaced} certificates were replaced, {failed} were not"
            );
        } else if before.told_late_at.is_none() && before.standing.is_late(now) {
            warn!(
                event = "campaign.late",
                campaign.id = %id,
                deadline = %before.standing.deadline,
                "Campaign {id} will miss its deadline, {}",
                before.standing.deadline
            );
        }
        Ok(())
    }
}

/// Every series is set each time: what has come to an end goes back to 0.
fn tell(moving: &[Campaign], now: Timestamp) {
    let sum = |count: fn(&Counts) -> u32| -> u64 {
        moving.iter().map(|one| u64::from(count(&one.standing.counts))).sum()
    };
    for (state, count) in [
        ("waiting", sum(|counts| counts.waiting)),
        ("queued", sum(|counts| counts.queued)),
        ("replaced", sum(|counts| counts.replaced)),
        ("failed", sum(|counts| counts.failed)),
        ("skipped", sum(|counts| counts.skipped)),
    ] {
        gauge!(CERTIFICATES, "state" => state).set(measured(count));
    }
    let paused = moving.iter().filter(|one| one.standing.is_paused).count() as u64;
    gauge!(CAMPAIGNS, "status" => "running").set(measured(moving.len() as u64 - paused));
    gauge!(CAMPAIGNS, "status" => "paused").set(measured(paused));
    let late = moving.iter().filter(|one| one.standing.is_late(now)).count() as u64;
    gauge!(LATE).set(measured(late));
}

impl Reconciler for Campaigns {
    const NAME: &'static str = "campaigns";
    const KINDS: &'static [&'static str] = &[FOUND, QUEUED, SKIPPED, FAILED, REPLACED];

    async fn pass(&self, now: Timestamp) -> Result<Pass, ReconcileError> {
        let store = &self.parts.store;
        let mut pass = Pass::default();
        for id in store.moving_campaigns().await? {
            self.find(id, now, &mut pass).await?;
            self.look(id, now, &mut pass).await?;
            self.queue(id, now, &mut pass).await?;
            self.conclude(id, now).await?;
        }
        tell(&view::moving(store, now).await?, now);
        Ok(pass)
    }
}
