//! The operator's wish to have an open authorization settled now. The engine carries it out: nobody here talks to
//! the CA.

use issuance::ids::AuthorizationId;
use issuance::outlook::SettleRefusal;

use super::authorizations_view::{self, AuthorizationView};
use super::viewer::Viewer;
use super::work::Work;
use super::{StoreError, sql_instant};

/// What came of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettleAnswer {
    /// Written, or would be; the authorization as it was when asked.
    Granted(Box<AuthorizationView>),
    /// It is not open any more.
    Settled(Box<AuthorizationView>),
    Refused(SettleRefusal),
    /// There is no such authorization.
    Unknown,
}

/// Whether a wish is written, or only told what would come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Write,
    DryRun,
}

/// Writes the wish, and makes the order due. Asked twice, it is written once.
pub async fn wish(work: &mut Work, id: AuthorizationId, mode: Mode) -> Result<SettleAnswer, StoreError> {
    let now = work.at();
    // No worker can claim the order before this has ended; one that has it is told by the lease.
    let order = sqlx::query_scalar!(
        "select orders.order_id
         from orders join authorizations using (order_id)
         where authorization_id = $1
         for update of orders",
        id.0
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("settle_wishes.lock"))?;
    let found = authorizations_view::read(work.conn(), Viewer::Operator, id).await?;
    let (Some(order), Some(view)) = (order, found) else { return Ok(SettleAnswer::Unknown) };
    let Some(facts) = view.open_facts() else { return Ok(SettleAnswer::Settled(Box::new(view))) };
    if let Err(refusal) = facts.may_settle() {
        return Ok(SettleAnswer::Refused(refusal));
    }
    if mode == Mode::Write {
        sqlx::query!(
            "with due as (
                 update orders set due_at = least(due_at, $2) where order_id = $3
             )
             update authorizations
             set settle_requested_at = coalesce(settle_requested_at, $2)
             where authorization_id = $1",
            id.0,
            sql_instant(now),
            order
        )
        .execute(work.conn())
        .await
        .map_err(StoreError::of("settle_wishes.write"))?;
    }
    Ok(SettleAnswer::Granted(Box::new(view)))
}
