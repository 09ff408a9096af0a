//! Orders that are made at somebody's request, one at a time.

use issuance::exemption::SET_REMEMBERED_FOR;
use issuance::fairness::Lane;
use issuance::ids::{AccountId, CertificateId, OrderId, TenantId};

use super::lines::{self, Entrance};
use super::work::Work;
use super::{StoreError, sql_instant};
use crate::telemetry::traces;

/// An order for the names that are wished, and nothing that it replaces.
pub(super) async fn queue(
    work: &mut Work,
    account: AccountId,
    lane: Lane,
    certificate: CertificateId,
    tenant: TenantId,
) -> Result<OrderId, StoreError> {
    let now = work.at();
    let order = OrderId(work.mint().uuid());
    let tags = tag(work, account, lane, tenant).await?;
    sqlx::query_file!(
        "queries/orders_insert_accepted.sql",
        &[order.0],
        &[certificate.0],
        lane.number(),
        sql_instant(now),
        &tags,
        SET_REMEMBERED_FOR.as_secs_f64(),
        origin() as Option<String>
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("queueing.queue"))?;
    Ok(order)
}

/// An order that renews the latest certificate issued: it names what it replaces where the CA is known to understand that,
/// and is not counted by the CA where it is in the window or the set is known.
pub(super) async fn queue_renewal(
    work: &mut Work,
    account: AccountId,
    certificate: CertificateId,
    tenant: TenantId,
) -> Result<OrderId, StoreError> {
    let (now, lane) = (work.at(), Lane::Interactive);
    let order = OrderId(work.mint().uuid());
    let tags = tag(work, account, lane, tenant).await?;
    sqlx::query_file!(
        "queries/orders_insert_renewal.sql",
        order.0,
        certificate.0,
        lane.number(),
        sql_instant(now),
        tags[0],
        SET_REMEMBERED_FOR.as_secs_f64(),
        sql_instant(now.after(issuance::renewal::LOOK_AGAIN)),
        origin() as Option<String>
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("queueing.queue_renewal"))?;
    Ok(order)
}

/// The span of the request at which it is made.
fn origin() -> Option<String> {
    traces::current().map(|origin| origin.to_string())
}

async fn tag(
    work: &mut Work,
    account: AccountId,
    lane: Lane,
    tenant: TenantId,
) -> Result<Vec<i64>, StoreError> {
    lines::join(work.conn(), Entrance { account, lane, comes_back: false }, &[tenant.0]).await
}
