//! What can be done about a certificate besides changing the wish: ordered now, tried again, paused, removed.

use issuance::fairness::Lane;
use issuance::ids::OrderId;
use issuance::time::Timestamp;

use super::aftermath::PAUSED_FOR;
use super::certificate_wishes::Locked;
use super::work::Work;
use super::{StoreError, key_erasures, order_ends, queueing, sql_instant};

/// What became of the wish to have it ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordered {
    New(OrderId),
    /// One was on its way, and goes on as if somebody waited for it.
    Underway(OrderId),
    /// Nothing is ordered while it is paused.
    Paused,
    /// Its names are another tenant's.
    GivenUp,
    /// It is valid and nothing failed: there is nothing to try again.
    NothingToRetry,
}

/// Has it renewed, or ordered for the first time, whenever that was to be.
pub async fn renew(work: &mut Work, locked: &Locked) -> Result<Ordered, StoreError> {
    if locked.is_given_up {
        return Ok(Ordered::GivenUp);
    }
    if locked.paused_at.is_some() {
        return Ok(Ordered::Paused);
    }
    if let Some(order) = underway(work, locked).await? {
        hasten(work, locked).await?;
        return Ok(Ordered::Underway(order));
    }
    let order = queueing::queue_renewal(work, locked.account, locked.id, locked.tenant).await?;
    Ok(Ordered::New(order))
}

/// Has what rests after a failure tried now. Where the CA has refused a name, it goes on to rest: trying earlier costs
/// what is scarce there, and our checks had passed before.
pub async fn retry(work: &mut Work, locked: &Locked) -> Result<Ordered, StoreError> {
    if locked.is_given_up {
        return Ok(Ordered::GivenUp);
    }
    if locked.paused_at.is_some() {
        return Ok(Ordered::Paused);
    }
    let now = work.at();
    // Names that failed at home, and those that were given up, are looked at anew.
    sqlx::query!(
        "update hostname_backoffs
         set blocked_until = least(blocked_until, $3), look_at = least(look_at, $3),
             broken_since = case when suspended_at is null then broken_since else $3 end, suspended_at = null
         where account_id = $1 and hostname = any(select ltrim(name, '*.') from unnest($2::text[]) as name)
             and (not at_ca or suspended_at is not null)",
        locked.account.0,
        &locked.names,
        sql_instant(now)
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("certificates.retry_names"))?;
    if let Some(order) = underway(work, locked).await? {
        hasten(work, locked).await?;
        sqlx::query!(
            "update orders set due_at = least(due_at, $2)
             where certificate_id = $1 and ended_at is null and lease_expires_at is null",
            locked.id.0,
            sql_instant(now)
        )
        .execute(work.conn())
        .await
        .map_err(StoreError::of("certificates.retry"))?;
        return Ok(Ordered::Underway(order));
    }
    let latest = sqlx::query_scalar!(
        "select stage from orders where certificate_id = $1 order by accepted_at desc, order_id desc limit 1",
        locked.id.0
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("certificates.latest"))?;
    if latest.as_deref() == Some("issued") {
        return Ok(Ordered::NothingToRetry);
    }
    let order = queueing::queue(work, locked.account, Lane::Interactive, locked.id, locked.tenant).await?;
    Ok(Ordered::New(order))
}

async fn underway(work: &mut Work, locked: &Locked) -> Result<Option<OrderId>, StoreError> {
    let found = sqlx::query_scalar!(
        "select order_id from orders
         where certificate_id = $1 and ended_at is null
         order by names = $2 desc, accepted_at desc, order_id desc
         limit 1",
        locked.id.0,
        &locked.names
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("certificates.underway"))?;
    Ok(found.map(OrderId))
}

/// What waits before the gate in a lane behind changes over, and lines up anew.
async fn hasten(work: &mut Work, locked: &Locked) -> Result<(), StoreError> {
    sqlx::query!(
        "update orders set lane = $2, in_line = false
         where certificate_id = $1 and ended_at is null and queue < 2 and lane > $2 and lease_expires_at is null",
        locked.id.0,
        Lane::Interactive.number()
    )
    .execute(work.conn())
    .await
    .map(drop)
    .map_err(StoreError::of("certificates.hasten"))
}

/// Nothing is ordered for it from now on. What is at the CA goes on to its end. Whether it was not paused before.
pub async fn pause(work: &mut Work, locked: &Locked) -> Result<bool, StoreError> {
    if locked.paused_at.is_some() {
        return Ok(false);
    }
    let now = work.at();
    sqlx::query!(
        "with paused as (
             update certificates set paused_at = $2, updated_at = $2 where certificate_id = $1
         ),
         held as (
             update renewals set held = true where certificate_id = $1
         )
         update orders
         set paused = true, in_line = false, due_at = $3,
             lease_epoch = lease_epoch + 1, lease_expires_at = null, lease_holder = null
         where certificate_id = $1 and ended_at is null and queue < 2",
        locked.id.0,
        sql_instant(now),
        sql_instant(now.after(PAUSED_FOR))
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("certificates.pause"))?;
    Ok(true)
}

/// It is looked after again. Whether it was paused before.
pub async fn resume(work: &mut Work, locked: &Locked) -> Result<bool, StoreError> {
    if locked.paused_at.is_none() {
        return Ok(false);
    }
    let now = work.at();
    sqlx::query!(
        "with resumed as (
             update certificates set paused_at = null, updated_at = $2 where certificate_id = $1
             returning certificate_id, auto_renew
         ),
         held as (
             update renewals set held = not resumed.auto_renew
             from resumed where renewals.certificate_id = resumed.certificate_id
         )
         update orders set paused = false, due_at = $2
         where certificate_id = $1 and ended_at is null and paused",
        locked.id.0,
        sql_instant(now)
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("certificates.resume"))?;
    Ok(true)
}

/// Removes it: nobody sees it any more, it is not renewed, and its orders end. Those at the CA are settled first; the row
/// stays for them. Its names stay with their tenant. Private keys are erased, except those of orders that are under way
/// ([`super::key_erasures`]). Returns the orders that are over at once.
pub async fn remove(work: &mut Work, locked: &Locked) -> Result<Vec<OrderId>, StoreError> {
    let now: Timestamp = work.at();
    sqlx::query!(
        "with removed as (
             update certificates set deleted_at = $2, updated_at = $2 where certificate_id = $1
         ),
         unlinked as (
             update hostnames set certificate_id = null, auto_certificate = false, updated_at = $2 where certificate_id = $1
         )
         update renewals set held = true, poll_at = null where certificate_id = $1",
        locked.id.0,
        sql_instant(now)
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("certificates.remove"))?;
    let over = order_ends::end_all_but(work, locked.id, None, now).await?;
    key_erasures::erase(work, locked.id).await?;
    Ok(over)
}
