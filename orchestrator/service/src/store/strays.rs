//! Stray orders: ended before they began, for authorizations that no order can settle that goes on or rests for good.
//!
//! An order looks at all of its authorizations: those of another CA order among them would be taken for proof of its
//! own names. So they get an order of their own, whose life is its end: the ordinary settling.

use issuance::ids::OrderId;
use issuance::order::CaOrder;
use issuance::time::Timestamp;
use sqlx::PgConnection;

use super::mint::Mint;
use super::{StoreError, sql_instant};

/// What the API shows of one.
const DETAIL: &str =
    "what an answer that came too late had shown is settled here; other orders of the certificate go on";

/// Makes one beside `parent`, due at once.
pub(super) async fn insert(
    connection: &mut PgConnection,
    parent: OrderId,
    ca: Option<&CaOrder>,
    now: Timestamp,
) -> Result<OrderId, StoreError> {
    let stray = OrderId(Mint::at(now).uuid());
    sqlx::query_file!(
        "queries/strays_insert.sql",
        stray.0,
        parent.0,
        sql_instant(now),
        ca.map(|ca| &*ca.url),
        ca.map(|ca| &*ca.finalize_url),
        ca.map(|ca| sql_instant(ca.expires_at)),
        DETAIL
    )
    .execute(connection)
    .await
    .map_err(StoreError::of("strays.insert"))?;
    Ok(stray)
}

/// Hands what has not ended from the parent to its stray.
pub(super) async fn move_unsettled(
    connection: &mut PgConnection,
    parent: OrderId,
    stray: OrderId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update authorizations set order_id = $2, origin = 'recovered' where order_id = $1 and final_at is null",
        parent.0,
        stray.0
    )
    .execute(connection)
    .await
    .map(drop)
    .map_err(StoreError::of("strays.move_unsettled"))
}
