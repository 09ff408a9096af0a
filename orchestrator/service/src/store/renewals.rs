//! When each certificate is renewed: plans, and what the CA says about them.

use issuance::ids::{AccountId, CertificateId, OrderId};
use issuance::renewal::{Plan, Validity, Window};
use issuance::time::Timestamp;
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;

use super::summary::count;
use super::{Store, StoreError, sql_instant};

/// A certificate for whose renewal nobody has made a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplanned {
    pub order: OrderId,
    pub chain_pem: String,
    pub validity: Validity,
}

/// A plan for a certificate just issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub order: OrderId,
    /// RFC 9773 §4.1; `None` where the certificate has no such name.
    pub renewal_id: Option<String>,
    pub renew_at: Timestamp,
    /// When the CA is asked for its window first; `None`: it is not asked.
    pub poll_at: Option<Timestamp>,
}

/// A certificate about which the CA is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToPoll {
    pub certificate: CertificateId,
    /// Whose certificate it is.
    pub order: OrderId,
    pub renewal_id: String,
    pub validity: Validity,
    pub plan: Plan,
    /// Polls in a row that brought nothing.
    pub failures: u32,
}

/// What became of a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polled {
    pub certificate: CertificateId,
    pub order: OrderId,
    pub plan: Plan,
    pub explanation_url: Option<String>,
    pub poll_at: Option<Timestamp>,
    pub failures: u32,
}

/// How the renewals of an account stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RenewalCounts {
    /// Their instant has come, and no order was queued yet.
    pub due: u64,
    /// An order was queued for them, and has brought no certificate yet.
    pub underway: u64,
    /// Valid, and should have been renewed for long.
    pub overdue: u64,
    /// They expire soon.
    pub expiring: u64,
    pub expired: u64,
    /// The next instant that is to come.
    pub next_at: Option<Timestamp>,
}

/// A plan out of its columns.
pub(super) fn plan(
    renew_at: OffsetDateTime,
    window: Option<(OffsetDateTime, OffsetDateTime)>,
    at_once: bool,
) -> Plan {
    let window = window.map(|(start, end)| Window { start: start.into(), end: end.into() });
    Plan { renew_at: renew_at.into(), window, at_once }
}

impl Store {
    /// The certificates of `account` without a plan, up to `limit`: those first that were issued first.
    pub async fn unplanned_renewals(
        &self,
        account: AccountId,
        limit: u16,
    ) -> Result<Vec<Unplanned>, StoreError> {
        let rows = sqlx::query!(
            "select order_id, chain_pem, not_before, not_after
             from issued_certificates
             where account_id = $1 and not renewal_planned
             order by issued_at
             limit $2",
            account.0,
            i64::from(limit)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("renewals.unplanned"))?;
        let unplanned = rows.into_iter().map(|row| Unplanned {
            order: OrderId(row.order_id),
            chain_pem: row.chain_pem,
            validity: Validity { not_before: row.not_before.into(), not_after: row.not_after.into() },
        });
        Ok(unplanned.collect())
    }

    /// Enters plans; what was planned meanwhile keeps its instant.
    pub async fn plan_renewals(&self, plans: &[Planned]) -> Result<(), StoreError> {
        let orders: Vec<Uuid> = plans.iter().map(|plan| plan.order.0).collect();
        let renewal_ids: Vec<Option<String>> = plans.iter().map(|plan| plan.renewal_id.clone()).collect();
        let renew_at: Vec<OffsetDateTime> = plans.iter().map(|plan| sql_instant(plan.renew_at)).collect();
        let poll_at: Vec<Option<OffsetDateTime>> =
            plans.iter().map(|plan| plan.poll_at.map(sql_instant)).collect();
        sqlx::query_file!(
            "queries/renewals_plan.sql",
            &orders,
            &renewal_ids as &[Option<String>],
            &renew_at,
            &poll_at as &[Option<OffsetDateTime>]
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("renewals.plan"))
    }

    /// Takes up to `limit` certificates about which the CA is to be asked by now. Nobody else gets them before
    /// `again_at`, unless [`Store::renewals_polled`] says otherwise.
    pub async fn claim_renewal_polls(
        &self,
        account: AccountId,
        now: Timestamp,
        again_at: Timestamp,
        limit: u16,
    ) -> Result<Vec<ToPoll>, StoreError> {
        let rows = sqlx::query_file!(
            "queries/renewals_claim_polls.sql",
            account.0,
            sql_instant(now),
            sql_instant(again_at),
            i64::from(limit)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("renewals.claim_polls"))?;
        let claimed = rows.into_iter().map(|row| ToPoll {
            certificate: CertificateId(row.certificate_id),
            order: OrderId(row.order_id),
            renewal_id: row.renewal_id,
            validity: Validity { not_before: row.not_before.into(), not_after: row.not_after.into() },
            plan: plan(row.renew_at, row.window_start.zip(row.window_end), row.at_once),
            failures: u32::try_from(row.poll_failures).unwrap_or(0),
        });
        Ok(claimed.collect())
    }

    /// Writes what polls brought. A certificate that has been renewed, or is being renewed, is left alone.
    pub async fn renewals_polled(&self, polled: &[Polled], now: Timestamp) -> Result<(), StoreError> {
        let certificates: Vec<Uuid> = polled.iter().map(|one| one.certificate.0).collect();
        let orders: Vec<Uuid> = polled.iter().map(|one| one.order.0).collect();
        let renew_at: Vec<_> = polled.iter().map(|one| sql_instant(one.plan.renew_at)).collect();
        let at_once: Vec<bool> = polled.iter().map(|one| one.plan.at_once).collect();
        let edge = |edge: fn(Window) -> Timestamp| -> Vec<Option<OffsetDateTime>> {
            polled.iter().map(|one| one.plan.window.map(edge).map(sql_instant)).collect()
        };
        let (starts, ends) = (edge(|window| window.start), edge(|window| window.end));
        let explanations: Vec<Option<String>> =
            polled.iter().map(|one| one.explanation_url.clone()).collect();
        let poll_at: Vec<Option<OffsetDateTime>> =
            polled.iter().map(|one| one.poll_at.map(sql_instant)).collect();
        let failures: Vec<i32> =
            polled.iter().map(|one| i32::try_from(one.failures).unwrap_or(i32::MAX)).collect();
        sqlx::query_file!(
            "queries/renewals_polled.sql",
            sql_instant(now),
            &certificates,
            &orders,
            &renew_at,
            &at_once,
            &starts as &[Option<OffsetDateTime>],
            &ends as &[Option<OffsetDateTime>],
            &explanations as &[Option<String>],
            &poll_at as &[Option<OffsetDateTime>],
            &failures
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("renewals.polled"))
    }

    /// The next instant at which there is something to do about renewals: a plan to make, the CA to ask, an order to
    /// queue or to look after. It may lie in the past. `None`: there is no certificate.
    pub async fn next_renewal_at(&self, account: AccountId) -> Result<Option<Timestamp>, StoreError> {
        let next = sqlx::query_scalar!(
            r#"select least(
                   (select min(issued_at) from issued_certificates where account_id = $1 and not renewal_planned),
                   (select min(poll_at) from renewals where account_id = $1 and poll_at is not null),
                   (select min(look_at) from renewals where account_id = $1 and not held)) as "next?""#,
            account.0
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("renewals.next"))?;
        Ok(next.map(Timestamp::from))
    }

    /// How the renewals stand: late is what was to be renewed before `late_before`, and soon ends with `soon`.
    pub async fn count_renewals(
        &self,
        account: AccountId,
        now: Timestamp,
        late_before: Timestamp,
        soon: Timestamp,
    ) -> Result<RenewalCounts, StoreError> {
        let row = sqlx::query_file!(
            "queries/renewals_count.sql",
            account.0,
            sql_instant(now),
            sql_instant(late_before),
            sql_instant(soon)
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("renewals.count"))?;
        Ok(RenewalCounts {
            due: count(row.due),
            underway: count(row.underway),
            overdue: count(row.overdue),
            expiring: count(row.expiring),
            expired: count(row.expired),
            next_at: row.next_at.map(Timestamp::from),
        })
    }
}
