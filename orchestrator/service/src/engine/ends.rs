//! An order that ends because somebody wants it to.

use issuance::answer::Wake;
use issuance::time::Timestamp;

use crate::store::aftermath::Aftermath;

use super::announcements::told;
use super::committer::CommitError;
use super::executor::{Executor, InHand, tell_end};

impl Executor {
    /// At somebody's wish. While the CA may have what we do not know of, and once finalize may have left, it goes on.
    pub(super) async fn end_if_possible(&self, hand: &mut InHand, now: Timestamp) -> Result<(), CommitError> {
        let before = hand.claim.order.stage.clone();
        let Ok(ended) = hand.claim.order.clone().cancel(now) else { return Ok(()) };
        let told = told(&self.store, hand.claim.owner, &before, &ended.order, None, now);
        hand.uncommitted.events.extend(told);
        hand.claim.order = ended.order;
        self.commit(hand, Wake::Now, Aftermath::default()).await?;
        tell_end(&before, &hand.claim);
        Ok(())
    }
}
