//! What a campaign would be about, what it would cost, and when it would be done. Nothing is written.

use std::collections::BTreeSet;
use std::time::Duration;

use issuance::fairness::Lane;
use issuance::forecast::Spread;
use issuance::ids::TenantId;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::wanted::WantedCampaign;
use crate::api::ApiState;
use crate::api::headroom::Fleet;
use crate::api::headroom::answer::{BindingLimit, OrderCounts};
use crate::api::headroom::forecast::{Assumptions, SITES_MAX};
use crate::api::problem::Problem;
use crate::store::campaigns::search;
use crate::store::campaigns::selection::{Cursor, Fate, Found, serial};
use crate::store::forecast;
use crate::store::viewer::Viewer;

/// Statements that look for certificates: a million versions and more.
const BATCHES_MAX: usize = 400;
const HOUR: Duration = Duration::from_hours(1);

/// What a campaign would be about, what it would cost, and when it would be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CampaignPreview {
    /// Nothing was written.
    pub dry_run: bool,
    /// Certificates that would be replaced.
    pub certificates: u64,
    /// All were counted; otherwise there are more.
    pub complete: bool,
    pub tenants: u64,
    /// What fits and need not be replaced: a later version is there, its owner has removed it, it has expired.
    pub superseded: u64,
    pub removed: u64,
    pub expired: u64,
    /// Listed serials that belong to nothing that fits.
    pub serials_unknown: u64,
    /// What the CA would count of their orders.
    pub orders: OrderCounts,
    /// What they would wait for, the dearest first.
    pub binding_limits: Vec<BindingLimit>,
    /// When the last would be replaced, if its names are in order; `None`: never, as things are.
    pub finish: Option<Spread>,
    pub deadline: Timestamp,
    /// Nine times in ten.
    pub in_time: bool,
}

/// What was found.
#[derive(Debug, Default)]
struct Tally {
    certificates: u64,
    superseded: u64,
    removed: u64,
    expired: u64,
    tenants: BTreeSet<TenantId>,
    serials: BTreeSet<String>,
    fleet: Fleet,
}

impl Tally {
    fn add(&mut self, found: &Found, now: Timestamp) {
        if let Some(serial) = serial(found.serial()) {
            self.serials.insert(serial);
        }
        match found.fate {
            Fate::Superseded => self.superseded += 1,
            Fate::Removed => self.removed += 1,
            Fate::Expired => self.expired += 1,
            Fate::Selected => {
                self.certificates += 1;
                self.tenants.insert(found.tenant);
                if self.fleet.len() < SITES_MAX
                    && let Some(names) = found.names()
                {
                    self.fleet.add(&found.slug, names, Lane::Renewal, found.exemptions(now));
                }
            }
        }
    }
}

/// Looks at what fits, and plays it through beside what is queued.
pub(super) async fn foresee(
    api: &ApiState,
    viewer: Viewer,
    wanted: &WantedCampaign,
    now: Timestamp,
) -> Result<CampaignPreview, Problem> {
    // One at a time: each takes a processor and some hundred megabytes.
    let _seat = api.forecast_seat.acquire().await.expect("nobody closes the seat");
    let selector = &wanted.selector;
    let mut tally = Tally::default();
    let mut cursor = Some(Cursor::start(selector));
    for _ in 0..BATCHES_MAX {
        let Some(from) = cursor else { break };
        let batch = search::foresee(&api.store, viewer, selector, from, now).await?;
        for found in &batch.found {
            tally.add(found, now);
        }
        cursor = batch.next;
    }
    let listed: BTreeSet<String> = selector.serials.iter().filter_map(|text| serial(text)).collect();
    let serials_unknown = listed.difference(&tally.serials).count() as u64;
    let Tally { certificates, superseded, removed, expired, tenants, fleet, .. } = tally;
    let mut preview = CampaignPreview {
        dry_run: true,
        certificates,
        complete: cursor.is_none(),
        tenants: tenants.len() as u64,
        superseded,
        removed,
        expired,
        serials_unknown,
        orders: OrderCounts::default(),
        binding_limits: Vec::new(),
        finish: None,
        deadline: wanted.deadline,
        in_time: false,
    };
    if fleet.is_empty() {
        return Ok(preview);
    }
    let sets = fleet.sets();
    let known = forecast::read(&api.store, now, api.account, &api.profile, &sets, fleet.slugs()).await?;
    let known = known.ok_or_else(Problem::account_missing)?;
    let (profile, played) = (api.profile.clone(), fleet.len() as u64);
    let answer =
        tokio::task::spawn_blocking(move || fleet.forecast(&known, &profile, &Assumptions::default(), now))
            .await
            .map_err(|error| Problem::internal(&error))?;
    // Of more than are played through, the rest goes at the pace of those.
    let scale = certificates as f64 / played.max(1) as f64;
    let rated = wanted.rate_per_hour.map_or(now, |per_hour| {
        now.after((HOUR / per_hour.max(1)).saturating_mul(u32::try_from(certificates).unwrap_or(u32::MAX)))
    });
    let at = |at: Timestamp| now.after(now.until(at).mul_f64(scale)).max(rated);
    preview.finish = answer.finish.map(|finish| Spread { p50: at(finish.p50), p90: at(finish.p90) });
    preview.in_time = preview.complete && preview.finish.is_some_and(|finish| finish.p90 <= wanted.deadline);
    preview.orders = answer.orders;
    if viewer != Viewer::Operator {
        preview.orders.ahead = None;
    }
    preview.binding_limits = answer.binding_limits;
    Ok(preview)
}
