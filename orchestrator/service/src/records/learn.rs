//! What a CA's verdict teaches of the servers that had shown the record before it.

use std::time::Duration;

use issuance::authorization::{Authorization, AuthorizationStatus};
use issuance::ids::OrderId;
use issuance::propagation::speaks_of_propagation;
use tracing::warn;

use super::Records;
use crate::challenge::dns01::digest;
use crate::store::StoreError;
use crate::store::dns_records::DnsRecord;
use crate::store::settlings::{self, SettlingLesson};

impl Records {
    /// Learns from what the CA has found since an order's authorizations stood as `before`.
    ///
    /// A lesson may be lost or be taken twice where a process dies or the database is away: the next one is the same.
    pub async fn learn(&self, order: OrderId, before: &[Authorization], after: &[Authorization]) {
        let ended: Vec<&Authorization> = after
            .iter()
            .filter(|one| one.final_at.is_some() && one.submitted_at.is_some())
            .filter(|one| before.iter().any(|was| was.url == one.url && was.final_at.is_none()))
            .collect();
        if ended.is_empty() {
            return;
        }
        if let Err(error) = self.learn_from(order, &ended).await {
            warn!(
                event = "records.lesson_lost",
                error = &error as &dyn std::error::Error,
                order.id = %order,
                "Order {order}: what its validations teach of name servers was not kept"
            );
        }
    }

    async fn learn_from(&self, order: OrderId, ended: &[&Authorization]) -> Result<(), StoreError> {
        let records = self.store.records_of(order).await?;
        for authorization in ended {
            let Some(record) = of(authorization, &records) else { continue };
            let (Some(servers), Some(lesson)) = (&record.server_set, lesson(authorization, record)) else {
                continue;
            };
            let provider = &record.wanted.provider;
            let known = settlings::learn(&self.store, self.clock.now(), servers, provider, lesson).await?;
            if let SettlingLesson::Failed { green_for } = lesson {
                warn!(
                    event = "records.servers_slow",
                    provider.name = provider,
                    dns.servers = servers,
                    order.id = %order,
                    "The CA did not see a record that all servers of {servers} had shown for {} s: from now on they \
                     settle for {} s",
                    green_for.as_secs(),
                    known.delay.as_secs()
                );
            }
        }
        Ok(())
    }
}

/// The record that was seen everywhere before the challenge was submitted.
fn of<'a>(authorization: &Authorization, records: &'a [DnsRecord]) -> Option<&'a DnsRecord> {
    let value = digest(&authorization.challenge.as_ref()?.key_authorization);
    records.iter().rev().find(|record| {
        record.wanted.value == value
            && *record.wanted.authorization_url == *authorization.url
            && record.visible_at.is_some()
    })
}

fn lesson(authorization: &Authorization, record: &DnsRecord) -> Option<SettlingLesson> {
    match authorization.status {
        AuthorizationStatus::Valid => Some(SettlingLesson::Passed),
        AuthorizationStatus::Invalid => {
            let class = authorization.fault.as_ref()?.class;
            let green_for: Duration = record.visible_at?.until(authorization.submit_intended_at?);
            speaks_of_propagation(class).then_some(SettlingLesson::Failed { green_for })
        }
        _ => None,
    }
}
