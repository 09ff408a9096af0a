//! Where everything stands, in a few numbers: what a progress display asks every second.

use std::collections::BTreeMap;

use issuance::order::Stage;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::orders_view::LANES;
use super::viewer::Viewer;
use super::{Store, StoreError};

/// Counts over what one viewer may see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    pub certificates: u64,
    /// Certificates that the CA has signed, renewals included.
    pub certificates_issued: u64,
    pub orders: u64,
    /// Neither at rest nor parked: still to come without anybody doing anything.
    pub orders_moving: u64,
    /// Every stage, those without an order too.
    pub orders_by_stage: BTreeMap<String, u64>,
    /// Orders with something left to do, by lane; every lane, those without an order too.
    #[serde(default)]
    pub orders_by_lane: BTreeMap<String, u64>,
    pub parked_by_fault: BTreeMap<String, u64>,
    pub failed_by_fault: BTreeMap<String, u64>,
    pub open_authorizations: u64,
}

pub async fn read(store: &Store, viewer: Viewer) -> Result<Summary, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    let stages = sqlx::query!(
        r#"select stage, lane, fault_class, count(*) as "orders!", count(due_at) as "due!" from orders
           where $1::uuid is null or tenant_id = $1
           group by stage, lane, fault_class"#,
        viewer.tenant_id(),
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(StoreError::of("summary.orders"))?;
    let totals = sqlx::query!(
        r#"select
               (select count(*) from certificates
                   where deleted_at is null and ($1::uuid is null or tenant_id = $1)) as "certificates!",
               (select count(*) from issued_certificates where $1::uuid is null or tenant_id = $1) as "issued!",
               (select count(*) from authorizations
                   where settled_at is null and ($1::uuid is null or tenant_id = $1)) as "open!""#,
        viewer.tenant_id(),
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(StoreError::of("summary.totals"))?;

    let mut summary = Summary {
        certificates: count(totals.certificates),
        certificates_issued: count(totals.issued),
        orders: 0,
        orders_moving: 0,
        orders_by_stage: Stage::NAMES.iter().map(|&stage| (stage.to_owned(), 0)).collect(),
        orders_by_lane: LANES.iter().map(|&lane| (lane.to_owned(), 0)).collect(),
        parked_by_fault: BTreeMap::new(),
        failed_by_fault: BTreeMap::new(),
        open_authorizations: count(totals.open),
    };
    for row in stages {
        let orders = count(row.orders);
        summary.orders += orders;
        if let Some(lane) = usize::try_from(row.lane).ok().and_then(|lane| LANES.get(lane)) {
            *summary.orders_by_lane.entry((*lane).to_owned()).or_default() += count(row.due);
        }
        match (row.stage.as_str(), row.fault_class) {
            ("parked", Some(class)) => *summary.parked_by_fault.entry(class).or_default() += orders,
            ("failed", Some(class)) => *summary.failed_by_fault.entry(class).or_default() += orders,
            ("issued" | "cancelled" | "parked" | "failed", _) => {}
            _ => summary.orders_moving += orders,
        }
        *summary.orders_by_stage.entry(row.stage).or_default() += orders;
    }
    Ok(summary)
}

/// A count is never negative.
pub(super) fn count(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or_default()
}
