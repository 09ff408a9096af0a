//! Where an order stands in line, and when its turn is likely to come. Costs what is looked at, which is bounded: not what
//! waits.

use std::collections::BTreeSet;

use issuance::ids::{AccountId, OrderId};
use issuance::mirror::BucketKey;
use issuance::profile::CaProfile;
use issuance::time::Timestamp;

use super::certificates::QueueView;
use super::{Store, StoreError, meters};

/// Orders in front that are counted.
const COUNTED_MAX: i64 = 10_000;

/// `None` where the order is not before the gate, or the gate does not count it.
pub async fn of_order(
    store: &Store,
    account: AccountId,
    profile: &CaProfile,
    order: OrderId,
    now: Timestamp,
) -> Result<Option<QueueView>, StoreError> {
    let mut conn = store.connection().await?;
    let row = sqlx::query!(
        r#"select
               accounts.ca, greatest(accounts.held_until, accounts.gate_closed_until) as "closed_until?",
               -- One statement for each of the two stands before the gate: each walks its own index from the head.
               (select count(*) from (
                   select 1 from orders as other
                   where other.in_line and other.queue = 0 and not other.exempt
                       and (other.lane, other.fair_tag) < (orders.lane, orders.fair_tag)
                   limit $2) as unproven) as "unproven!",
               (select count(*) from (
                   select 1 from orders as other
                   where other.in_line and other.queue = 1 and not other.exempt
                       and (other.lane, other.fair_tag) < (orders.lane, orders.fair_tag)
                   limit $2) as proven) as "proven!"
           from orders
           join accounts using (account_id)
           where order_id = $1 and orders.stage = 'accepted' and orders.in_line and not orders.exempt"#,
        order.0,
        COUNTED_MAX
    )
    .fetch_optional(&mut *conn)
    .await
    .map_err(StoreError::of("positions.of_order"))?;
    let Some(row) = row else { return Ok(None) };
    let ahead = row.unproven + row.proven;
    let at_least = row.unproven >= COUNTED_MAX || row.proven >= COUNTED_MAX;
    let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
    let rules = meters::rules(&mut conn, &row.ca, account, profile, now).await?;
    let key = BucketKey::of_account(account);
    let wanted = BTreeSet::from([&key]);
    let meters = meters::read(&mut conn, &row.ca, &rules, wanted, profile.limits_certain, now).await?;
    let turn = meters.get(&key).map(|meter| {
        let (full_at, bucket) = (meter.spoken_for(now).max(now), meter.bucket);
        // The bucket holds as many tokens as there are refills between now and the instant at which it is full; this
        // order's is the one after those of all in front.
        full_at.after(bucket.refill().saturating_mul(ahead.saturating_add(1))).before(bucket.horizon())
    });
    let closed_until = row.closed_until.map_or(now, Timestamp::from);
    let expected_at = turn.map(|turn| turn.max(closed_until).max(now)).filter(|_| !at_least);
    Ok(Some(QueueView { ahead, ahead_at_least: at_least, expected_at }))
}
