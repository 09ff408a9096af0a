//! Has the certificates of a campaign ordered: out of line and due now, as renewals are.

use std::collections::HashMap;

use issuance::campaign::{Rate, UNDERWAY_MAX};
use issuance::fairness::Lane;
use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::{AccountId, CampaignId};
use issuance::renewal::{Renewal, Standing, Turn, Underway, Validity};
use issuance::time::Timestamp;
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;

use super::{Held, Moves, counted};
use crate::store::mint::Mint;
use crate::store::renewal_orders::OrderColumns;
use crate::store::renewals::plan;
use crate::store::{Store, StoreError, sql_instant};

/// Members decided upon in one transaction.
const BATCH: u32 = 500;

/// Whose orders they are, and how they are made.
#[derive(Debug, Clone, Copy)]
pub struct Means {
    pub account: AccountId,
    /// The CA offers renewal information.
    pub takes_replaces: bool,
    pub lane: Lane,
}

/// What one batch has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queued {
    pub queued: u64,
    pub failed: u64,
    pub skipped: u64,
    /// There may be more that can be ordered now.
    pub more: bool,
}

/// What is done about one member.
enum Verdict {
    Order {
        renewal: Box<Renewal>,
        look_at: Timestamp,
    },
    /// An order that is under way is the campaign's.
    Join,
    Skip(&'static str),
    Fail(&'static str),
    /// Its renewal has not been planned so far.
    Later,
}

/// A member that waits, and what is done about it.
struct Decided {
    certificate: Uuid,
    current_order: Uuid,
    seen_at: Option<OffsetDateTime>,
    verdict: Verdict,
}

impl Store {
    /// Decides about the next members that wait, as many as the rate and what is under way leave room for.
    pub async fn queue_for_campaign(
        &self,
        id: CampaignId,
        means: Means,
        now: Timestamp,
    ) -> Result<Queued, StoreError> {
        let Some(mut held) = Held::take(self, id, "campaigns.queue").await? else {
            return Ok(Queued::default());
        };
        if !held.is_running() || held.counts.waiting == 0 {
            held.abandon().await?;
            return Ok(Queued::default());
        }
        let row = sqlx::query!("select rate_per_hour, next_at from campaigns where campaign_id = $1", id.0)
            .fetch_one(&mut *held.tx)
            .await
            .map_err(StoreError::of("campaigns.rate"))?;
        let rate = row
            .rate_per_hour
            .map(|per_hour| Rate { per_hour: counted(per_hour), next_at: row.next_at.into() });
        let room = UNDERWAY_MAX.saturating_sub(held.counts.queued);
        let allowed = rate.map_or(room, |rate| rate.allows(now).min(room)).min(BATCH);
        if allowed == 0 {
            held.abandon().await?;
            return Ok(Queued::default());
        }
        let decided = decide(&mut held, means, allowed, now).await?;
        let moved = write(&mut held, means, &decided, now).await?;
        let of = |state: &str| moved.get(state).copied().unwrap_or(0);
        let (queued, failed, skipped) = (of("queued"), of("failed"), of("skipped"));
        held.count(Moves {
            waiting: -(queued + failed + skipped),
            queued,
            failed,
            skipped,
            ..Moves::default()
        })
        .await?;
        if let Some(rate) = rate {
            let next_at = rate.after(u32::try_from(queued).unwrap_or(u32::MAX), now);
            sqlx::query!(
                "update campaigns set next_at = $2 where campaign_id = $1",
                id.0,
                sql_instant(next_at)
            )
            .execute(&mut *held.tx)
            .await
            .map_err(StoreError::of("campaigns.next"))?;
        }
        held.keep().await?;
        let done = queued + failed + skipped;
        let number = |count: i64| u64::try_from(count).unwrap_or(0);
        Ok(Queued {
            queued: number(queued),
            failed: number(failed),
            skipped: number(skipped),
            // Whoever was left for later comes with the next look.
            more: done > 0 && decided.len() as u64 == u64::from(allowed),
        })
    }
}

fn identifiers(names: &[String]) -> Option<Identifiers> {
    let names: Result<Vec<Hostname>, _> = names.iter().map(|name| Hostname::parse(name)).collect();
    Identifiers::new(names.ok()?).ok()
}

async fn decide(
    held: &mut Held,
    means: Means,
    most: u32,
    now: Timestamp,
) -> Result<Vec<Decided>, StoreError> {
    let rows = sqlx::query_file!(
        "queries/campaigns_due.sql",
        held.id.0,
        means.account.0,
        sql_instant(now),
        i64::from(most),
        held.new_keys
    )
    .fetch_all(&mut *held.tx)
    .await
    .map_err(StoreError::of("campaigns.due"))?;
    let decided = rows.into_iter().map(|row| {
        let standing = || {
            Some(Standing {
                validity: Validity { not_before: row.not_before.into(), not_after: row.not_after.into() },
                issued_at: row.issued_at.into(),
                issued: identifiers(&row.issued_names)?,
                wished: identifiers(&row.wished_names)?,
                plan: plan(row.renew_at?, row.window_start.zip(row.window_end), row.at_once?),
                can_replace: means.takes_replaces && row.renewal_id.is_some(),
                underway: Underway {
                    wished: row.wished_is_underway,
                    issued: row.issued_is_underway,
                    at_ca: row.at_ca,
                },
            })
        };
        let verdict = if row.is_replaced {
            Verdict::Skip("replaced_before")
        } else if row.is_removed {
            Verdict::Skip("removed")
        } else if row.is_paused {
            Verdict::Fail("paused")
        } else if row.needs_request {
            Verdict::Fail("csr_needed")
        } else if row.look_at.is_none() {
            Verdict::Later
        } else {
            match standing() {
                None => Verdict::Fail("unreadable"),
                Some(standing) => match standing.replaced_in(means.lane, now) {
                    Turn::Order(renewal) => {
                        Verdict::Order { renewal: Box::new(renewal), look_at: standing.look_again(now) }
                    }
                    Turn::Hasten | Turn::Wait => Verdict::Join,
                },
            }
        };
        Decided {
            certificate: row.certificate_id,
            current_order: row.current_order,
            seen_at: row.look_at,
            verdict,
        }
    });
    Ok(decided.collect())
}

#[derive(Default)]
struct Columns {
    certificate: Vec<Uuid>,
    state: Vec<String>,
    what: Vec<String>,
    why: Vec<Option<String>>,
    issued_by: Vec<Uuid>,
    seen_at: Vec<Option<OffsetDateTime>>,
    look_at: Vec<Option<OffsetDateTime>>,
    orders: OrderColumns,
}

impl Columns {
    fn push(&mut self, one: &Decided, lane: Lane, mint: &Mint) {
        let (state, what, why, order) = match &one.verdict {
            Verdict::Order { renewal, look_at } => ("queued", "order", None, Some((renewal, look_at))),
            Verdict::Join => ("queued", "join", None, None),
            Verdict::Skip(why) => ("skipped", "mark", Some(why), None),
            Verdict::Fail(why) => ("failed", "mark", Some(why), None),
            Verdict::Later => return,
        };
        let renewal = order.map(|(renewal, _)| renewal);
        self.certificate.push(one.certificate);
        self.state.push(state.to_owned());
        self.what.push(what.to_owned());
        self.why.push(why.map(|why| (*why).to_owned()));
        self.issued_by.push(one.current_order);
        self.seen_at.push(one.seen_at);
        self.look_at.push(order.map(|(_, look_at)| sql_instant(*look_at)));
        self.orders.push(renewal.map(Box::as_ref), lane, mint);
    }
}

/// How many went into which state.
async fn write(
    held: &mut Held,
    means: Means,
    decided: &[Decided],
    now: Timestamp,
) -> Result<HashMap<String, i64>, StoreError> {
    let (mint, mut columns) = (Mint::at(now), Columns::default());
    for one in decided {
        columns.push(one, means.lane, &mint);
    }
    let rows = sqlx::query_file!(
        "queries/campaigns_queue.sql",
        sql_instant(now),
        held.id.0,
        &columns.certificate,
        &columns.state,
        &columns.what,
        &columns.why as &[Option<String>],
        &columns.issued_by,
        &columns.seen_at as &[Option<OffsetDateTime>],
        &columns.look_at as &[Option<OffsetDateTime>],
        &columns.orders.order,
        &columns.orders.names,
        &columns.orders.replaces,
        &columns.orders.lane,
        &columns.orders.may_split,
        &columns.orders.set_exempt_until as &[Option<OffsetDateTime>],
        &columns.orders.ari_exempt_from as &[Option<OffsetDateTime>],
        &columns.orders.ari_exempt_until as &[Option<OffsetDateTime>]
    )
    .fetch_all(&mut *held.tx)
    .await
    .map_err(StoreError::of("campaigns.queue"))?;
    Ok(rows.into_iter().map(|row| (row.state, row.members)).collect())
}
