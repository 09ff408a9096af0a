//! The points around the commit of steps, and steps written without their fence: what a test sees happen where
//! [`Protection::EpochInWrite`](crate::mishaps::Protection::EpochInWrite) is taken away.

use super::steps::StepEnd;
use super::{Store, StoreError};
use crate::mishaps::{lacks, reach_write};

impl Store {
    /// `ends` as they are; or, without the fence, each under whatever epoch its row has now.
    pub(super) async fn reached_commit(&self, ends: &[StepEnd]) -> Result<Vec<StepEnd>, StoreError> {
        for end in ends {
            reach_write!(Before, end.order.stage.as_str(), "steps.commit");
        }
        let mut ends = ends.to_vec();
        if lacks!(EpochInWrite) {
            for end in &mut ends {
                // Not checked at build time: what only a test asks is no part of what is shipped.
                end.lease.epoch = sqlx::query_scalar("select lease_epoch from orders where order_id = $1")
                    .bind(end.lease.order.0)
                    .fetch_one(self.pool())
                    .await
                    .map_err(StoreError::of("steps.unfenced"))?;
            }
        }
        Ok(ends)
    }

    pub(super) async fn passed_commit(ends: &[StepEnd]) -> Result<(), StoreError> {
        for end in ends {
            reach_write!(After, end.order.stage.as_str(), "steps.commit");
        }
        Ok(())
    }
}
