//! What is left of everything that the CA counts, for whoever watches.

use issuance::limit::LimitName;
use issuance::time::Timestamp;
use metrics::{describe_gauge, gauge};
use serde_json::json;
use tracing::warn;

use super::instruments::measured;
use super::{Pass, ReconcileError, ReconcileParts, Reconciler};
use crate::store::announcements::LimitLeft;
use crate::store::headroom::{self, LimitHeadroom};
use crate::store::limit_overrides;

const REMAINING: &str = "lockkeeper_limit_remaining";
const BURST: &str = "lockkeeper_limit_burst";
const REFILL: &str = "lockkeeper_limit_refill_interval_seconds";
const FULL_AT: &str = "lockkeeper_limit_full_timestamp_seconds";
const STOPPED: &str = "lockkeeper_account_stopped";
const HELD: &str = "lockkeeper_account_held_seconds";
const RATIO: &str = "lockkeeper_limit_remaining_ratio";
const BUCKETS: &str = "lockkeeper_limit_buckets";
const RESERVED: &str = "lockkeeper_limit_reserved";
const DEMAND: &str = "lockkeeper_limit_demand";
const EXHAUSTED: &str = "lockkeeper_limit_exhausted_seconds";
const PENDING: &str = "lockkeeper_pending_budget_remaining_ratio";
const TOLD: &str = "told";
const EXPIRING: &str = "lockkeeper_limit_overrides_expiring";

/// Where a limit is not exhausted within the week: longer than any alert looks ahead.
const NEVER_SECONDS: f64 = 8.0 * 86_400.0;

/// Measures headroom, and tells where it runs low; repairs nothing.
#[derive(Debug)]
pub struct HeadroomWatch {
    parts: ReconcileParts,
}

impl HeadroomWatch {
    pub fn new(parts: ReconcileParts) -> Self {
        describe_gauge!(
            REMAINING,
            "Tokens left in the account's bucket of a limit, what is reserved taken off."
        );
        describe_gauge!(BURST, "Tokens that a full bucket of a limit holds, overrides included.");
        describe_gauge!(REFILL, "Seconds until one token of a limit is back.");
        describe_gauge!(
            FULL_AT,
            "When the account's bucket is full again without demand, in seconds since 1970."
        );
        describe_gauge!(STOPPED, "1 where the CA refuses the account: nothing new is ordered.");
        describe_gauge!(HELD, "Seconds for which the CA has put the account off; 0: it has not.");
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
        gauge!(BURST, "limit" => name).set(limit.burst);
        let refill = limit.refill_period_seconds as f64 / f64::from(limit.refill_count.max(1));
        gauge!(REFILL, "limit" => name).set(refill);
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
            let bucket = limit.buckets.first();
            let remaining = bucket.map_or(limit.burst, |bucket| bucket.remaining);
            gauge!(REMAINING, "limit" => name).set(remaining);
            let full_at = bucket.map_or(now, |bucket| bucket.full_at).unix_seconds();
            gauge!(FULL_AT, "limit" => name).set(full_at as f64);
        }
    }
}

impl Reconciler for HeadroomWatch {
    const NAME: &'static str = "headroom";
    const KINDS: &'static [&'static str] = &[TOLD];

    async fn pass(&self, now: Timestamp) -> Result<Pass, ReconcileError> {
        let ReconcileParts { store, account_id, profile, .. } = &self.parts;
        let Some(found) = headroom::read(store, now, *account_id, profile).await? else {
            return Ok(Pass::default());
        };
        for limit in found.limits.iter().filter(|limit| limit.name != LimitName::NewAccountsPerAddress) {
            Self::tell(limit, now);
        }
        gauge!(STOPPED).set(f64::from(u8::from(found.stopped_reason.is_some())));
        gauge!(HELD).set(found.held_until.map_or(0.0, |until| now.until(until).as_secs_f64()));
        let budget = &found.pending_authorizations;
        let most = budget.max.saturating_sub(budget.recovery_reserve).max(1);
        let pending_left = measured(budget.remaining) / measured(most);
        gauge!(PENDING).set(pending_left);
        let ending = limit_overrides::ending(store, now, *account_id).await?;
        gauge!(EXPIRING).set(measured(ending.len() as u64));
        for one in &ending {
            warn!(
                event = "override.ends",
                override.id = %one.id,
                limit = one.limit.as_str(),
                expires_at = one.expires_at.map(tracing::field::display),
                "An override of {} ends within a week; the CA's ordinary number counts then",
                one.limit.as_str()
            );
        }
        let mut lefts: Vec<LimitLeft> = found.limits.iter().filter_map(left_of).collect();
        let data = json!({ "limit": "pending_authorizations", "remaining": budget.remaining, "of": most });
        lefts.push(LimitLeft { name: "pending_authorizations", left: pending_left, data });
        let mut pass = Pass::default();
        pass.add(TOLD, store.tell_headroom(*account_id, &lefts, now).await?);
        Ok(pass)
    }
}

/// What is told of a limit: of its emptiest bucket. Those that count a name's own failures, or its own renewals, are empty for
/// some name at any time, and its owner is told of the name.
fn left_of(limit: &LimitHeadroom) -> Option<LimitLeft> {
    if !matches!(limit.name, LimitName::NewOrdersPerAccount | LimitName::CertificatesPerRegisteredDomain) {
        return None;
    }
    let emptiest = limit.buckets.first();
    let data = json!({
        "limit": limit.name.as_str(),
        "key": emptiest.map(|bucket| &bucket.key),
        "remaining": emptiest.map_or(limit.burst, |bucket| bucket.remaining),
        "of": limit.burst,
        "next_token_at": emptiest.map(|bucket| bucket.next_token_at),
        "exhausted_at": limit.exhausted_at,
    });
    Some(LimitLeft { name: limit.name.as_str(), left: limit.worst_ratio, data })
}
