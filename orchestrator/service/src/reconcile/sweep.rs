//! TXT records that nobody needs any more.

use std::sync::Arc;

use issuance::time::Timestamp;

use super::{Pass, ROWS_MAX, ReconcileError, Reconciler};
use crate::records::Records;

const UNWANTED: &str = "unwanted";
const REMOVED: &str = "removed";
const FAILED: &str = "failed";

#[derive(Debug)]
pub struct Sweep {
    records: Arc<Records>,
}

impl Sweep {
    pub fn new(records: Arc<Records>) -> Self {
        Self { records }
    }
}

impl Reconciler for Sweep {
    const NAME: &'static str = "sweep";
    const KINDS: &'static [&'static str] = &[UNWANTED, REMOVED, FAILED];

    async fn pass(&self, now: Timestamp) -> Result<Pass, ReconcileError> {
        let swept = self.records.sweep(now, ROWS_MAX).await?;
        let mut pass = Pass::default();
        pass.add(UNWANTED, swept.unwanted);
        pass.add(REMOVED, swept.removed);
        pass.add(FAILED, swept.failed);
        Ok(pass)
    }
}
