//! Campaigns: many certificates that are to be replaced by an instant, because the CA will revoke them.
//!
//! A campaign first finds its certificates ([`search`]), then has them ordered ([`queue`]), looks at what comes of that
//! ([`look`]) and tells how it stands ([`progress`]). Each step is one bounded transaction that holds the campaign's row: a
//! replica that finds it held does nothing, and one that dies leaves everything as it was before the step. What a campaign
//! counts stands in its row, so that nobody counts its members.

pub mod look;
pub mod progress;
pub mod queue;
pub mod search;
pub mod selection;
pub mod view;
pub mod wish;

use issuance::campaign::Counts;
use issuance::ids::CampaignId;
use sqlx::{Postgres, Transaction};

use super::{Store, StoreError};
use crate::mishaps::reach_write;

/// Everything a campaign can be, for those who filter by it.
pub const STATUSES: [&str; 4] = ["running", "paused", "done", "cancelled"];
/// Everything a member can be.
pub const STATES: [&str; 5] = ["waiting", "queued", "replaced", "failed", "skipped"];

/// As the columns hold it.
fn column(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn counted(column: i32) -> u32 {
    u32::try_from(column).unwrap_or(0)
}

/// Members that went from one state to another.
#[derive(Debug, Clone, Copy, Default)]
struct Moves {
    waiting: i64,
    queued: i64,
    replaced: i64,
    failed: i64,
    skipped: i64,
}

impl Moves {
    fn of(&mut self, state: &str) -> Option<&mut i64> {
        match state {
            "waiting" => Some(&mut self.waiting),
            "queued" => Some(&mut self.queued),
            "replaced" => Some(&mut self.replaced),
            "failed" => Some(&mut self.failed),
            "skipped" => Some(&mut self.skipped),
            _ => None,
        }
    }

    fn add(&mut self, from: &str, to: &str, members: i64) {
        if let Some(count) = self.of(from) {
            *count -= members;
        }
        if let Some(count) = self.of(to) {
            *count += members;
        }
    }
}

/// A campaign whose row this transaction holds.
#[derive(Debug)]
struct Held {
    tx: Transaction<'static, Postgres>,
    id: CampaignId,
    status: String,
    new_keys: bool,
    counts: Counts,
}

impl Held {
    /// `None`: somebody else has it in hand, or it is over.
    async fn take(store: &Store, id: CampaignId, name: &'static str) -> Result<Option<Self>, StoreError> {
        let mut tx = store.begin(name).await?;
        let row = sqlx::query!(
            "select status, new_keys, waiting, queued, replaced, failed, skipped
             from campaigns
             where campaign_id = $1 and ended_at is null
             for no key update skip locked",
            id.0
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(StoreError::of("campaigns.take"))?;
        Ok(row.map(|row| Self {
            tx,
            id,
            status: row.status,
            new_keys: row.new_keys,
            counts: Counts {
                waiting: counted(row.waiting),
                queued: counted(row.queued),
                replaced: counted(row.replaced),
                failed: counted(row.failed),
                skipped: counted(row.skipped),
            },
        }))
    }

    fn is_running(&self) -> bool {
        self.status == "running"
    }

    /// Enters what moved into the counts.
    async fn count(&mut self, moves: Moves) -> Result<(), StoreError> {
        sqlx::query!(
            "update campaigns
             set waiting = waiting + $2::bigint, queued = queued + $3::bigint, replaced = replaced + $4::bigint,
                 failed = failed + $5::bigint, skipped = skipped + $6::bigint
             where campaign_id = $1",
            self.id.0,
            moves.waiting,
            moves.queued,
            moves.replaced,
            moves.failed,
            moves.skipped
        )
        .execute(&mut *self.tx)
        .await
        .map(drop)
        .map_err(StoreError::of("campaigns.count"))
    }

    /// Lets it go with nothing changed. Dropped, it would be free a moment later, and the next step would find it held.
    async fn abandon(self) -> Result<(), StoreError> {
        self.tx.rollback().await.map_err(StoreError::of("campaigns.abandon"))
    }

    /// Ends it with everything kept.
    async fn keep(self) -> Result<(), StoreError> {
        reach_write!(Before, "campaign", "campaigns.commit");
        self.tx.commit().await.map_err(StoreError::of("campaigns.commit"))?;
        reach_write!(After, "campaign", "campaigns.commit");
        Ok(())
    }
}

impl Store {
    /// Those that have not ended, the oldest first.
    pub async fn moving_campaigns(&self) -> Result<Vec<CampaignId>, StoreError> {
        let ids = sqlx::query_scalar!(
            "select campaign_id from campaigns where ended_at is null order by campaign_id"
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("campaigns.moving"))?;
        Ok(ids.into_iter().map(CampaignId).collect())
    }
}
