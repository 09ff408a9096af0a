//! Ending orders at their owner's wish. The engine carries out what takes the CA: nobody here talks to it.

use issuance::ids::{CertificateId, OrderId};
use issuance::time::Timestamp;
use sqlx::PgConnection;
use sqlx::types::Uuid;

use super::work::Work;
use super::{StoreError, sql_instant};

/// What became of the wish to end an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelAnswer {
    /// It had not been to the CA, and is over.
    Ended {
        certificate: CertificateId,
    },
    /// Its authorizations are settled first: each is submitted or deactivated.
    Requested {
        certificate: CertificateId,
    },
    /// finalize may have left: the certificate can no longer be stopped.
    Finalizing,
    AlreadyEnded,
    /// There is no such order for this viewer.
    Unknown,
}

/// Ends one order. Asked twice, it is written once.
pub async fn cancel(work: &mut Work, order: OrderId) -> Result<CancelAnswer, StoreError> {
    let (viewer, now) = (work.viewer(), work.at());
    let row = sqlx::query!(
        "select certificate_id, stage, ended_at, queue
         from orders
         where order_id = $1 and ($2::uuid is null or tenant_id = $2)
         for no key update",
        order.0,
        viewer.tenant_id()
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("order_ends.lock"))?;
    let Some(row) = row else { return Ok(CancelAnswer::Unknown) };
    let certificate = CertificateId(row.certificate_id);
    if row.ended_at.is_some() {
        return Ok(CancelAnswer::AlreadyEnded);
    }
    if row.stage == "finalizing" {
        return Ok(CancelAnswer::Finalizing);
    }
    if row.queue < 2 {
        end_waiting(work, &[order.0], now).await?;
        return Ok(CancelAnswer::Ended { certificate });
    }
    request(work.conn(), &[order.0], now).await?;
    Ok(CancelAnswer::Requested { certificate })
}

/// Ends all orders of a certificate but those for exactly the names that are to be kept. Returns those that are over at
/// once; the others are when they are settled, or when finalize had left.
pub(super) async fn end_all_but(
    work: &mut Work,
    certificate: CertificateId,
    names: Option<&[String]>,
    now: Timestamp,
) -> Result<Vec<OrderId>, StoreError> {
    let orders = sqlx::query!(
        r#"select order_id, queue < 2 as "waits!"
           from orders
           where certificate_id = $1 and ended_at is null and ($2::text[] is null or names <> $2)
           order by order_id
           for no key update"#,
        certificate.0,
        names as Option<&[String]>
    )
    .fetch_all(work.conn())
    .await
    .map_err(StoreError::of("order_ends.lock_all"))?;
    let those = |waits: bool| -> Vec<Uuid> {
        orders.iter().filter(|one| one.waits == waits).map(|one| one.order_id).collect()
    };
    let waiting = those(true);
    end_waiting(work, &waiting, now).await?;
    request(work.conn(), &those(false), now).await?;
    Ok(waiting.into_iter().map(OrderId).collect())
}

/// Nothing of these is at the CA, nor can be: whoever works on one meanwhile finds its lease lost at the gate.
async fn end_waiting(work: &mut Work, orders: &[Uuid], now: Timestamp) -> Result<(), StoreError> {
    if orders.is_empty() {
        return Ok(());
    }
    work.note_ends(orders.iter().copied().map(OrderId));
    sqlx::query!(
        "with ended as (
             update orders
             set stage = 'cancelled', ended_at = $2, cancel_requested_at = $2, due_at = null, in_line = false, proven_at = null,
                 fault_class = null, fault_detail = null, fault_hostname = null,
                 lease_epoch = lease_epoch + 1, lease_expires_at = null, lease_holder = null
             where order_id = any($1) and stage in ('accepted', 'parked')
             returning order_id
         ),
         landed as (delete from flights using ended where flights.order_id = ended.order_id)
         delete from limit_reservations using ended where limit_reservations.order_id = ended.order_id",
        orders,
        sql_instant(now)
    )
    .execute(work.conn())
    .await
    .map(drop)
    .map_err(StoreError::of("order_ends.end_waiting"))
}

/// While a lease is held, `due_at` is its end: whoever claims the order next sees the wish.
async fn request(conn: &mut PgConnection, orders: &[Uuid], now: Timestamp) -> Result<(), StoreError> {
    if orders.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update orders
         set cancel_requested_at = coalesce(cancel_requested_at, $2),
             due_at = case when lease_expires_at is null then least(due_at, $2) else due_at end
         where order_id = any($1) and ended_at is null",
        orders,
        sql_instant(now)
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(StoreError::of("order_ends.request"))
}
