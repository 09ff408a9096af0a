//! Looks at what has become of the certificates that were ordered.

use issuance::ids::CampaignId;
use issuance::time::Timestamp;

use super::{Held, Moves};
use crate::store::{Store, StoreError, sql_instant};

/// Members looked at in one transaction.
const BATCH: i64 = 1_000;

/// What one look has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Looked {
    pub replaced: u64,
    pub failed: u64,
    /// The end has not been reached.
    pub more: bool,
}

impl Store {
    /// Looks at the next members that are under way or have failed, from where the last look has come to; whether its end was
    /// reached, the answer tells.
    pub async fn look_at_campaign(&self, id: CampaignId, now: Timestamp) -> Result<Looked, StoreError> {
        let Some(mut held) = Held::take(self, id, "campaigns.look").await? else {
            return Ok(Looked::default());
        };
        if held.counts.queued + held.counts.failed == 0 {
            held.abandon().await?;
            return Ok(Looked::default());
        }
        let after = sqlx::query_scalar!("select looked_to from campaigns where campaign_id = $1", id.0)
            .fetch_one(&mut *held.tx)
            .await
            .map_err(StoreError::of("campaigns.looked_to"))?;
        let rows = sqlx::query_file!(
            "queries/campaigns_look.sql",
            id.0,
            sql_instant(now),
            after,
            BATCH,
            held.new_keys
        )
        .fetch_all(&mut *held.tx)
        .await
        .map_err(StoreError::of("campaigns.look"))?;
        let (mut moves, mut looked) = (Moves::default(), Looked::default());
        let mut looked_to = None;
        for row in rows {
            let members = u64::try_from(row.members).unwrap_or(0);
            match row.next.as_str() {
                // The last row is of all.
                "" => looked_to = row.last.filter(|_| row.members == BATCH),
                // What is wrong may have changed, and nothing else.
                next if next == row.state => {}
                next => {
                    looked.replaced += if next == "replaced" { members } else { 0 };
                    looked.failed += if next == "failed" { members } else { 0 };
                    moves.add(&row.state, next, row.members);
                }
            }
        }
        looked.more = looked_to.is_some();
        held.count(moves).await?;
        sqlx::query!("update campaigns set looked_to = $2 where campaign_id = $1", id.0, looked_to)
            .execute(&mut *held.tx)
            .await
            .map_err(StoreError::of("campaigns.looked"))?;
        held.keep().await?;
        Ok(looked)
    }
}
