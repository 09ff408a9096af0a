//! Hostnames that tenants ask for and others have: the name moves when its name servers show who has DNS of it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use issuance::time::Timestamp;
use tracing::info;

use super::{Pass, ReconcileError, ReconcileParts, Reconciler};
use crate::challenge::propagation::Verdict;
use crate::records::Records;
use crate::store::events::Actor;
use crate::store::transfers::{self, DueTransfer, Looked};
use crate::store::viewer::Viewer;
use crate::store::work::Work;

const LOOKED: &str = "looked";
const MOVED: &str = "moved";
/// Who dies with looks in hand leaves them to others after this.
const CLAIMED_FOR: Duration = Duration::from_mins(2);
const LOOKS_MAX: u16 = 64;
const LOOKS_AT_ONCE: usize = 8;
/// A record that was just published is seen soon, and one that never is costs little: a share of the time gone by.
const WAIT_SHARE: u32 = 16;
const WAIT_MIN: Duration = Duration::from_mins(1);
const WAIT_MAX: Duration = Duration::from_hours(1);

#[derive(Debug)]
pub struct Transfers {
    parts: ReconcileParts,
    records: Arc<Records>,
}

impl Transfers {
    pub fn new(parts: ReconcileParts, records: Arc<Records>) -> Self {
        Self { parts, records }
    }

    async fn look(&self, due: &DueTransfer) -> Looked {
        let report = self.records.look_for(&due.record_name, &due.value).await;
        let detail = match report.verdict {
            Verdict::Visible => return Looked::Shown,
            Verdict::NotYet { detail, .. } | Verdict::Unknown { detail } => detail,
        };
        let now = self.parts.clock.now();
        Looked::Missing { detail, next_at: next_look(due.created_at, now).min(due.expires_at.max(now)) }
    }
}

fn next_look(created_at: Timestamp, now: Timestamp) -> Timestamp {
    now.after((created_at.until(now) / WAIT_SHARE).clamp(WAIT_MIN, WAIT_MAX))
}

impl Reconciler for Transfers {
    const NAME: &'static str = "transfers";
    const KINDS: &'static [&'static str] = &[LOOKED, MOVED];

    async fn pass(&self, now: Timestamp) -> Result<Pass, ReconcileError> {
        let ReconcileParts { store, clock, .. } = &self.parts;
        let due = store.claim_transfers(now, now.after(CLAIMED_FOR), LOOKS_MAX).await?;
        let mut pass = Pass::default();
        pass.add(LOOKED, due.len() as u64);
        let look = |due: DueTransfer| async move {
            let looked = self.look(&due).await;
            (due, looked)
        };
        let mut looks = stream::iter(due).map(look).buffer_unordered(LOOKS_AT_ONCE);
        while let Some((due, looked)) = looks.next().await {
            let actor = Actor::service(Self::NAME);
            let mut work = Work::begin(store, Viewer::Operator, actor, clock.now()).await?;
            let moved = transfers::follow(&mut work, &due, &looked).await?;
            work.commit().await?;
            if let Some(moved) = moved {
                info!(event = "hostname.transferred", tenant.id = %moved.to, "The hostname {} belongs to tenant {} now", due.hostname, moved.to);
                pass.add(MOVED, 1);
            }
        }
        Ok(pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_a_share_of_the_time_gone_by() {
        let asked = Timestamp::from_unix_seconds(1_795_255_445);
        let wait = |gone: Duration| asked.after(gone).until(next_look(asked, asked.after(gone)));
        assert_eq!(wait(Duration::ZERO), WAIT_MIN);
        assert_eq!(wait(Duration::from_mins(160)), Duration::from_mins(10));
        assert_eq!(wait(Duration::from_hours(7 * 24)), WAIT_MAX);
    }
}
