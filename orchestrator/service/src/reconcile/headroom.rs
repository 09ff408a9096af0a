//! What is left of everything that the CA counts, for whoever watches.

use issuance::limit::LimitName;
use issuance::time::Timestamp;
use metrics::{describe_gauge, gauge};
use tracing::warn;

use super::instruments::measured;
use super::{Pass, ReconcileError, ReconcileParts, Reconciler};
use crate::store::headroom::{self, LimitHeadroom};
use crate::store::limit_overrides;

const RATIO: &str = "lockkeeper_limit_remaining_ratio";
const BUCKETS: &str = "lockkeeper_limit_buckets";
const RESERVED: &str = "lockkeeper_limit_reserved";
const DEMAND: &str = "lockkeeper_limit_demand";
const EXHAUSTED: &str = "lockkeeper_limit_exhausted_seconds";
const PENDING: &str = "lockkeeper_pending_budget_remaining_ratio";
const EXPIRING: &str = "lockkeeper_limit_overrides_expiring";

/// Where a limit is not exhausted within the week: longer than any alert looks ahead.
const NEVER_SECONDS: f64 = 8.0 * 86_400.0;

/// Measures headroom; repairs nothing.
#[derive(Debug)]
pub struct HeadroomWatch {
    parts: ReconcileParts,
}

impl HeadroomWatch {
    pub fn new(parts: ReconcileParts) -> Self {
        describe_gauge!(RATIO, "What the emptiest bucket of a limit has left, as a share of its burst.");
        describe_gauge!(
            BUCKETS,
            "Buckets of a limit that are not full, by how much is left: a tenth, a half, more."
        );
        describe_gauge!(RESERVED, "Tokens that orders in flight will take when the CA issues.");
        describe_gauge!(DEMAND, "Orders queued that want a token of the account's bucket, by horizon.");
        describe_gauge!(
            EXHAUSTED,
            "Seconds until demand has used the account's bucket up; 8 days: not in a week."
        );
        describe_gauge!(
            PENDING,
            "What new orders may still hold of the pending-authorization budget, as a share."
        );
        describe_gauge!(EXPIRING, "Overrides of limits that end within a week.");
        Self { parts }
    }

    fn tell(limit: &LimitHeadroom, now: Timestamp) {
        let name = limit.name.as_str();
        gauge!(RATIO, "limit" => name).set(limit.worst_ratio);
        for (band, count) in
            [("empty", limit.bands.empty), ("low", limit.bands.low), ("high", limit.bands.high)]
        {
            gauge!(BUCKETS, "limit" => name, "band" => band).set(measured(count));
        }
        gauge!(RESERVED, "limit" => name).set(measured(limit.reserved));
        if let Some(demand) = limit.demand {
            for (horizon, count) in
                [("1h", demand.within_1h), ("24h", demand.within_24h), ("7d", demand.within_7d)]
            {
                gauge!(DEMAND, "limit" => name, "horizon" => horizon).set(measured(count));
            }
            let until = limit.exhausted_at.map_or(NEVER_SECONDS, |at| now.until(at).as_secs_f64());
            gauge!(EXHAUSTED, "limit" => name).set(until);
        }
    }
}

impl Reconciler for HeadroomWatch {
    const NAME: &'static str = "headroom";
    const KINDS: &'static [&'static str] = &[];

    async fn pass(&self, now: Timestamp) -> Result<Pass, ReconcileError> {
        let ReconcileParts { store, account_id, profile, .. } = &self.parts;
        let Some(found) = headroom::read(store, now, *account_id, profile).await? else {
            return Ok(Pass::default());
        };
        for limit in found.limits.iter().filter(|limit| limit.name != LimitName::NewAccountsPerAddress) {
            Self::tell(limit, now);
        }
        let budget = &found.pending_authorizations;
        let most = budget.max.saturating_sub(budget.recovery_reserve).max(1);
        gauge!(PENDING).set(measured(budget.remaining) / measured(most));
        let ending = limit_overrides::ending(store, now, *account_id).await?;
        gauge!(EXPIRING).set(measured(ending.len() as u64));
        for one in &ending {
            warn!(
                override.id = %one.id,
                limit = one.limit.as_str(),
                expires_at = one.expires_at.map(tracing::field::display),
                "An override of {} ends within a week; the CA's ordinary number counts then",
                one.limit.as_str()
            );
        }
        Ok(Pass::default())
    }
}
