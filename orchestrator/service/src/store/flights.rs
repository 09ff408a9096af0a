//! Flights: one order at a time under validation for each target, whoever owns it.

use std::collections::{HashMap, HashSet};

use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::OrderId;
use sqlx::types::Uuid;
use sqlx::{Postgres, Transaction};

use super::StoreError;

/// Another account's admitter may have started a flight since it was looked: whoever inserts first flies.
pub(super) async fn take_off(
    tx: &mut Transaction<'static, Postgres>,
    flying: &[(OrderId, &Identifiers)],
) -> Result<HashSet<OrderId>, StoreError> {
    let (mut targets, mut orders): (Vec<String>, Vec<Uuid>) = (Vec::new(), Vec::new());
    for (order, names) in flying {
        let mut own: Vec<&str> = names.iter().map(Hostname::validation_target).collect();
        own.sort_unstable();
        own.dedup();
        targets.extend(own.iter().map(|&target| target.to_owned()));
        orders.extend(own.iter().map(|_| order.0));
    }
    let taken = sqlx::query_scalar!(
        "insert into flights (validation_target, order_id)
         select * from unnest($1::text[], $2::uuid[])
         on conflict (validation_target) do nothing
         returning order_id",
        &targets,
        &orders
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(StoreError::of("admissions.take_off"))?;
    let mut wanted: HashMap<Uuid, usize> = HashMap::new();
    for order in orders {
        *wanted.entry(order).or_default() += 1;
    }
    for order in taken {
        if let Some(missing) = wanted.get_mut(&order) {
            *missing -= 1;
        }
    }
    let grounded: Vec<Uuid> =
        wanted.iter().filter(|(_, missing)| **missing > 0).map(|(order, _)| *order).collect();
    ground(tx, &grounded).await?;
    Ok(grounded.into_iter().map(OrderId).collect())
}

/// Takes back what was taken off in this transaction.
pub(super) async fn ground(
    tx: &mut Transaction<'static, Postgres>,
    orders: &[Uuid],
) -> Result<(), StoreError> {
    if !orders.is_empty() {
        sqlx::query!("delete from flights where order_id = any($1)", orders)
            .execute(&mut **tx)
            .await
            .map_err(StoreError::of("admissions.ground"))?;
    }
    Ok(())
}
