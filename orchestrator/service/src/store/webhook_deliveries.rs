//! The outbox: events on their way to webhooks. At least once, and in order for each certificate.
//!
//! ```text
//! events ── fan_out ──▶ webhook_deliveries ── claim ──▶ one attempt ── end ──▶ delivered │ pending │ given_up
//! ```
//!
//! A delivery that fails holds back what was told later of the same certificate to the same webhook, and nothing else.

use std::time::Duration;

use issuance::event::{KINDS, TEST};
use issuance::ids::{CertificateId, DeliveryId, EventId, TenantId, WebhookId};
use issuance::time::Timestamp;
use issuance::webhook::{Disabled, Fate, Outcome, Verdict};
use serde_json::{Value, json};
use sqlx::types::Uuid;

use super::events::{self, Actor, Event};
use super::leases::Replica;
use super::mint::Mint;
use super::summary::count;
use super::{Store, StoreError, sql_instant};

/// An event as it is told to a webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct ToldEvent {
    pub id: EventId,
    pub kind: Box<str>,
    pub tenant: Option<TenantId>,
    pub certificate: Option<CertificateId>,
    pub subject: Box<str>,
    pub data: Value,
    pub at: Timestamp,
}

/// The right to make one attempt. What was overtaken writes nothing.
#[must_use = "an unreturned lease holds its delivery back until it ends"]
#[derive(Debug, Clone)]
pub struct ClaimedDelivery {
    pub delivery: DeliveryId,
    pub webhook: WebhookId,
    pub epoch: i64,
    /// Attempts made before this one.
    pub attempts: u32,
    pub url: String,
    pub secret_sealed: Vec<u8>,
    /// That of before the last rotation, while it still signs.
    pub previous_secret_sealed: Option<Vec<u8>>,
    pub failing_since: Option<Timestamp>,
    pub event: ToldEvent,
}

/// One attempt, as it went.
#[derive(Debug, Clone)]
pub struct AttemptEnd {
    pub outcome: Outcome,
    pub status: Option<u16>,
    pub detail: Option<String>,
    pub took: Duration,
    pub verdict: Verdict,
}

/// What one look at the events has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FannedOut {
    pub events: u64,
    pub deliveries: u64,
}

/// What is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    pub pending: u64,
    pub oldest_at: Option<Timestamp>,
}

/// All kinds that are delivered to whoever wants them.
pub(super) fn kinds() -> Vec<String> {
    KINDS.iter().filter(|kind| **kind != TEST).map(ToString::to_string).collect()
}

impl Store {
    /// Hands the next events to the webhooks that want them, up to `limit`. One replica at a time does; the others find
    /// nothing to do.
    pub async fn fan_out_events(&self, now: Timestamp, limit: u16) -> Result<FannedOut, StoreError> {
        let what = "webhook_deliveries.fan_out";
        let waiting = sqlx::query!(
            r#"select
                   exists (
                       select from events
                       where events.xid < pg_snapshot_xmin(pg_current_snapshot())
                           and (events.xid, events.seq) > (place.xid, place.seq)
                           and events.seq > place.restored_at_seq
                   ) as "waiting!",
                   place.xid >= pg_snapshot_xmax(pg_current_snapshot()) as "elsewhere!"
               from webhook_fan_out as place"#
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of(what))?;
        if !waiting.waiting && !waiting.elsewhere {
            return Ok(FannedOut::default());
        }
        let mut tx = self.begin(what).await?;
        if waiting.elsewhere {
            begin_anew(&mut tx).await?;
        }
        let place = sqlx::query!(
            r#"select xid::text as "xid!", seq, restored_at_seq from webhook_fan_out for update skip locked"#
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(StoreError::of(what))?;
        let Some(place) = place else { return Ok(FannedOut::default()) };
        let handed = sqlx::query_file!(
            "queries/webhook_deliveries_fan_out.sql",
            place.xid,
            place.seq,
            i64::from(limit),
            sql_instant(now),
            &kinds(),
            place.restored_at_seq
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(StoreError::of(what))?;
        let mut fanned = FannedOut::default();
        if let Some(handed) = handed {
            sqlx::query!("update webhook_fan_out set xid = $1::text::xid8, seq = $2", handed.xid, handed.seq)
                .execute(&mut *tx)
                .await
                .map_err(StoreError::of(what))?;
            fanned = FannedOut { events: count(handed.events), deliveries: count(handed.handed) };
        }
        tx.commit().await.map_err(StoreError::of("webhook_deliveries.fan_out.commit"))?;
        Ok(fanned)
    }

    /// Claims what may be sent now: up to `limit`, of one webhook up to `each`, until `lease_until`.
    pub async fn claim_deliveries(
        &self,
        replica: Replica,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u16,
        each: u16,
    ) -> Result<Vec<ClaimedDelivery>, StoreError> {
        let rows = sqlx::query_file!(
            "queries/webhook_deliveries_claim.sql",
            sql_instant(now),
            i64::from(limit),
            i32::from(each),
            sql_instant(lease_until),
            replica.0
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("webhook_deliveries.claim"))?;
        let claimed = rows.into_iter().map(|row| ClaimedDelivery {
            delivery: DeliveryId(row.delivery_id),
            webhook: WebhookId(row.webhook_id),
            epoch: row.lease_epoch,
            attempts: u32::try_from(row.attempts).unwrap_or(0),
            url: row.url,
            secret_sealed: row.secret_sealed,
            previous_secret_sealed: row
                .previous_secret_sealed
                .filter(|_| row.previous_secret_until.is_some_and(|until| now < Timestamp::from(until))),
            failing_since: row.failing_since.map(Timestamp::from),
            event: ToldEvent {
                id: EventId(row.event_id),
                kind: row.kind.into(),
                tenant: row.tenant_id.map(TenantId),
                certificate: row.certificate_id.map(CertificateId),
                subject: row.subject.into(),
                data: row.data,
                at: row.happened_at.into(),
            },
        });
        Ok(claimed.collect())
    }

    /// Makes what this replica held due when its process last ended. Only for whoever knows that no other process goes by
    /// this replica's name.
    pub async fn take_up_own_deliveries(&self, replica: Replica, now: Timestamp) -> Result<u64, StoreError> {
        sqlx::query!(
            "update webhook_deliveries set due_at = $2, lease_holder = null
             where lease_holder = $1 and state = 'pending'",
            replica.0,
            sql_instant(now)
        )
        .execute(self.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::of("webhook_deliveries.take_up_own"))
    }

    /// Writes what an attempt has brought. False: the lease was lost, and nothing was written.
    pub async fn end_delivery(
        &self,
        claim: &ClaimedDelivery,
        end: &AttemptEnd,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let what = "webhook_deliveries.end";
        let (state, due_at) = match end.verdict.fate {
            Fate::Delivered => ("delivered", None),
            Fate::Again(at) => ("pending", Some(at)),
            Fate::GivenUp => ("given_up", None),
        };
        let mut tx = self.begin(what).await?;
        let written = sqlx::query_file_scalar!(
            "queries/webhook_deliveries_end.sql",
            claim.delivery.0,
            claim.epoch,
            sql_instant(now),
            state,
            due_at.map(sql_instant),
            Mint::at(now).uuid(),
            end.outcome.as_str(),
            end.status.map(i32::from),
            end.detail.as_deref(),
            i32::try_from(end.took.as_millis()).unwrap_or(i32::MAX)
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(StoreError::of(what))?;
        if written.is_none() {
            return Ok(false);
        }
        if let Some(reason) = end.verdict.disable {
            disable(&mut tx, claim.webhook, reason, now).await?;
        }
        tx.commit().await.map_err(StoreError::of("webhook_deliveries.end.commit"))?;
        Ok(true)
    }

    /// The next instant at which something may be sent; it may lie in the past. `None`: nothing is on its way.
    pub async fn next_delivery_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let next = sqlx::query_scalar!(
            r#"select min(next.at) as "next?"
               from webhooks
               cross join lateral (
                   select min(due_at) as at from webhook_deliveries
                   where webhook_deliveries.webhook_id = webhooks.webhook_id and state = 'pending'
               ) as next
               where webhooks.enabled and webhooks.disabled_at is null"#
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("webhook_deliveries.next"))?;
        Ok(next.map(Timestamp::from))
    }

    /// What is on its way to webhooks that are not switched off.
    pub async fn count_deliveries(&self) -> Result<Backlog, StoreError> {
        let row = sqlx::query!(
            r#"select count(*) as "pending!", min(webhook_deliveries.created_at) as "oldest?"
               from webhook_deliveries join webhooks using (webhook_id)
               where state = 'pending' and webhooks.enabled and webhooks.disabled_at is null"#
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("webhook_deliveries.count"))?;
        Ok(Backlog { pending: count(row.pending), oldest_at: row.oldest.map(Timestamp::from) })
    }

    /// Forgets up to `limit` deliveries that ended before `before`, with their attempts. Returns how many.
    pub async fn forget_deliveries(&self, before: Timestamp, limit: u16) -> Result<u64, StoreError> {
        sqlx::query!(
            "delete from webhook_deliveries
             where delivery_id in (
                 select delivery_id from webhook_deliveries where ended_at < $1 order by ended_at limit $2
                 for update skip locked
             )",
            sql_instant(before),
            i64::from(limit)
        )
        .execute(self.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::of("webhook_deliveries.forget"))
    }
}

/// The place lies in the future of this cluster: the database was restored into it. Its transactions count from elsewhere,
/// so what was there is left behind by number, and what is told from now on is found from the beginning.
async fn begin_anew(connection: &mut sqlx::PgConnection) -> Result<(), StoreError> {
    sqlx::query!(
        "update webhook_fan_out
         set xid = '0', seq = 0, restored_at_seq = (
             select coalesce(max(seq), 0) from events where xid >= pg_snapshot_xmax(pg_current_snapshot()))
         where xid >= pg_snapshot_xmax(pg_current_snapshot())"
    )
    .execute(connection)
    .await
    .map(drop)
    .map_err(StoreError::of("webhook_deliveries.begin_anew"))
}

/// Switches a webhook off, and tells; once, however many attempts come to the same.
async fn disable(
    connection: &mut sqlx::PgConnection,
    webhook: WebhookId,
    reason: Disabled,
    now: Timestamp,
) -> Result<(), StoreError> {
    let off = sqlx::query!(
        "update webhooks
         set disabled_at = $2, disabled_reason = $3, version = version + 1, updated_at = $2
         where webhook_id = $1 and disabled_at is null
         returning tenant_id, url",
        webhook.0,
        sql_instant(now),
        reason.as_str()
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(StoreError::of("webhooks.disable"))?;
    let Some(off) = off else { return Ok(()) };
    let event = Event {
        kind: "webhook.disabled",
        tenant: off.tenant_id.map(TenantId),
        certificate: None,
        subject: webhook.to_string(),
        data: json!({ "url": off.url, "reason": reason.as_str(), "detail": reason.explained() }),
    };
    events::append(connection, &Mint::at(now), now, &Actor::service("webhooks"), &[event]).await
}

/// The lowest id of an event told at `instant` or later.
pub(super) fn first_event_at(instant: Timestamp) -> Uuid {
    Mint::floor(instant)
}
