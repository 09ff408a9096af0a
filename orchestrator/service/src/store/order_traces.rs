//! What the traces of orders tell of them when they end.

use std::collections::HashMap;

use issuance::ids::{CertificateId, OrderId, TenantId};
use issuance::time::Timestamp;
use sqlx::types::Uuid;

use super::{Store, StoreError};
use crate::telemetry::traces::Traceparent;

/// An order that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedOrder {
    pub order: OrderId,
    pub tenant: TenantId,
    pub certificate: CertificateId,
    pub ca: String,
    pub names: Vec<String>,
    pub challenge: String,
    pub stage: String,
    pub fault_class: Option<String>,
    pub failures: i32,
    pub ca_order_url: Option<String>,
    pub accepted_at: Timestamp,
    pub ended_at: Timestamp,
    /// The span of the request that made it.
    pub origin: Option<Traceparent>,
    /// The attempt at the same certificate before.
    pub earlier: Option<OrderId>,
    pub authorizations: Vec<ProvenName>,
}

/// One authorization of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenName {
    /// As it was ordered.
    pub name: String,
    pub url: String,
    pub status: String,
    pub fault_class: Option<String>,
    pub opened_at: Timestamp,
    pub final_at: Option<Timestamp>,
}

impl Store {
    /// Those of `orders` that have ended.
    pub async fn ended_orders(&self, orders: &[OrderId]) -> Result<Vec<EndedOrder>, StoreError> {
        let orders: Vec<Uuid> = orders.iter().map(|order| order.0).collect();
        let rows = sqlx::query!(
            r#"select orders.order_id, orders.tenant_id, orders.certificate_id, accounts.ca, orders.names, orders.challenge,
                orders.stage, orders.fault_class, orders.failures, orders.ca_order_url, orders.accepted_at,
                orders.ended_at as "ended_at!", orders.traceparent, earlier.order_id as "earlier?"
             from orders
             join accounts using (account_id)
             left join lateral (
                 select one.order_id
                 from orders as one
                 where one.certificate_id = orders.certificate_id and one.accepted_at < orders.accepted_at
                 order by one.accepted_at desc, one.order_id desc
                 limit 1
             ) as earlier on true
             where orders.order_id = any($1) and orders.ended_at is not null"#,
            &orders
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("order_traces.orders"))?;
        let mut proven = self.proven_names(&orders).await?;
        let ended = rows.into_iter().map(|row| EndedOrder {
            order: OrderId(row.order_id),
            tenant: TenantId(row.tenant_id),
            certificate: CertificateId(row.certificate_id),
            ca: row.ca,
            names: row.names,
            challenge: row.challenge,
            stage: row.stage,
            fault_class: row.fault_class,
            failures: row.failures,
            ca_order_url: row.ca_order_url,
            accepted_at: row.accepted_at.into(),
            ended_at: row.ended_at.into(),
            origin: row.traceparent.and_then(|origin| origin.parse().ok()),
            earlier: row.earlier.map(OrderId),
            authorizations: proven.remove(&row.order_id).unwrap_or_default(),
        });
        Ok(ended.collect())
    }

    async fn proven_names(&self, orders: &[Uuid]) -> Result<HashMap<Uuid, Vec<ProvenName>>, StoreError> {
        let rows = sqlx::query!(
            r#"select order_id, identifier as "identifier!", wildcard, url, status, fault_class, opened_at, final_at
             from authorizations
             where order_id = any($1) and identifier is not null
             order by authorization_id"#,
            orders
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("order_traces.authorizations"))?;
        let mut proven: HashMap<Uuid, Vec<ProvenName>> = HashMap::new();
        for row in rows {
            let name = if row.wildcard { format!("*.{}", row.identifier) } else { row.identifier };
            proven.entry(row.order_id).or_default().push(ProvenName {
                name,
                url: row.url,
                status: row.status,
                fault_class: row.fault_class,
                opened_at: row.opened_at.into(),
                final_at: row.final_at.map(Timestamp::from),
            });
        }
        Ok(proven)
    }
}
