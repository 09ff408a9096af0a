//! What came of a rehearsal, by the CA's books and by our own.

use std::collections::BTreeMap;
use std::time::Duration;

use issuance::limit::LimitName;
use issuance::time::{Clock as _, Timestamp};
use rehearsal::limits::Owner;
use serde::Serialize;

use super::RehearsalError;
use super::stage::Stage;
use crate::store::rehearsals::Issuance;
use crate::store::summary;
use crate::store::viewer::Viewer;

/// One hour of the account's new orders, by the CA's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Hour {
    /// New orders that the limits would have let through.
    pub allowed: u64,
    pub made: u64,
    /// There was more to do throughout.
    pub in_demand: bool,
}

/// See the module.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub sites: u64,
    pub broken: u64,
    /// Certificates that there are.
    pub issued: u64,
    /// Orders that wait for a site's owner.
    pub parked: u64,
    /// Neither issued nor parked.
    pub unfinished: u64,
    /// Answers 429.
    pub rate_limited: u64,
    /// Of the new orders that the limits allowed from the start to the end of the last hour with demand throughout, those
    /// that were made; absent where there was no such hour.
    pub utilisation: Option<f64>,
    /// From the start to the last certificate, in virtual time.
    pub rehearsed_seconds: f64,
    /// What it took on this machine.
    pub real_seconds: f64,
    /// How often time was moved.
    pub leaps: u64,
    /// New orders that cost a token of the account's.
    pub charged: u64,
    /// Limits that the CA refused something for, and how often.
    pub refused: BTreeMap<LimitName, u64>,
    #[serde(skip)]
    pub hours: Vec<Hour>,
    #[serde(skip)]
    pub issuances: Vec<Issuance>,
}

impl Report {
    pub(super) async fn gather(
        stage: &Stage,
        start: Timestamp,
        took: Duration,
        leaps: u64,
    ) -> Result<Self, RehearsalError> {
        const NEW_ORDERS: LimitName = LimitName::NewOrdersPerAccount;
        let summary = summary::read(&stage.store, Viewer::Operator).await?;
        let issuances = stage.store.issuances().await?;
        let last = issuances.last().map_or(start, |last| last.issued_at);
        // One account: the books of the one that something was taken from.
        let account =
            stage.ca.owners(NEW_ORDERS).into_iter().find(|owner| matches!(owner, Owner::Account(_)));
        let usage = account.and_then(|account| stage.ca.usage(NEW_ORDERS, &account));
        let hours: Vec<Hour> = usage.map_or_else(Vec::new, |usage| {
            let last_made = usage.hours.iter().rposition(|hour| hour.made > 0).unwrap_or(0);
            let hours = usage.hours.iter().enumerate();
            let hour = hours.map(|(place, hour)| Hour {
                allowed: hour.allowed,
                made: hour.made,
                in_demand: place < last_made && hour.until <= stage.conductor.clock().now(),
            });
            hour.take(last_made + 1).collect()
        });
        let limits = stage.ca.limits();
        let parked = summary.orders_by_stage.get("parked").copied().unwrap_or_default();
        let issued = issuances.len() as u64;
        Ok(Self {
            sites: stage.sites,
            broken: stage.broken,
            issued,
            parked,
            unfinished: stage.sites.saturating_sub(issued + parked),
            rate_limited: stage.ca.audit().rate_limited,
            utilisation: utilisation(&hours),
            rehearsed_seconds: start.until(last).as_secs_f64(),
            real_seconds: took.as_secs_f64(),
            leaps,
            charged: limits.new_orders.charged,
            refused: limits
                .limits
                .iter()
                .filter(|(_, tally)| tally.refused > 0)
                .map(|(name, tally)| (*name, tally.refused))
                .collect(),
            hours,
            issuances,
        })
    }

    /// Jain's index over what tenants with demand got of `window`: 1 where all got the same.
    pub fn fairness(&self, tenants: &[&str], window: std::ops::Range<Timestamp>) -> f64 {
        let got = tenants.iter().map(|tenant| {
            let theirs =
                self.issuances.iter().filter(|one| one.tenant == *tenant && window.contains(&one.issued_at));
            theirs.count() as f64
        });
        let (sum, squares) = got.fold((0.0, 0.0), |(sum, squares), got| (sum + got, squares + got * got));
        if squares == 0.0 { 1.0 } else { sum * sum / (tenants.len() as f64 * squares) }
    }
}

/// What was not taken in one hour can be taken in the next: so it is missing at the end of the last one, and only there.
fn utilisation(hours: &[Hour]) -> Option<f64> {
    let busy: Vec<&Hour> = hours.iter().filter(|hour| hour.in_demand).collect();
    let made: u64 = busy.iter().map(|hour| hour.made).sum();
    let missed = busy.last().map(|hour| hour.allowed.saturating_sub(hour.made))?;
    (made + missed > 0).then(|| made as f64 / (made + missed) as f64)
}
