//! What is foretold of a rehearsal before it begins: the forecast, of an account that has done nothing yet.

use std::collections::HashMap;
use std::time::Duration;

use issuance::exemption::Exemptions;
use issuance::fairness::Lane;
use issuance::forecast::{Capacity, Expectations, Question, Readiness, Site, forecast};
use issuance::ids::AccountId;
use issuance::mirror::Rules;
use serde::Serialize;

use super::{Options, Sites};

/// When it will be done, and what it waits for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// At the median; absent where some site never finds room.
    pub seconds: Option<f64>,
    /// The dearest first.
    pub binding_limits: Vec<&'static str>,
}

impl Prediction {
    /// As the service's own forecast has it, with the share of broken sites that the rehearsal draws and not the sites.
    pub fn of(options: &Options, sites: &Sites) -> Self {
        let mut tenants: HashMap<&str, u32> = HashMap::new();
        let exemptions = sites.issued_at.map_or(Exemptions::NONE, Exemptions::of_set);
        let wanted: Vec<Site<'_>> = sites
            .rows
            .iter()
            .map(|row| {
                let place = u32::try_from(tenants.len()).unwrap_or(u32::MAX);
                let tenant = *tenants.entry(&row.tenant).or_insert(place);
                Site {
                    names: &row.names,
                    tenant,
                    lane: Lane::Bulk,
                    exemptions,
                    readiness: Readiness::Unknown,
                }
            })
            .collect();
        // An account that has no row yet; its key matters to overrides only.
        let account = AccountId(uuid::Uuid::nil());
        let profile = &options.profile;
        let answer = forecast(&Question {
            now: options.start,
            account,
            rules: &Rules::new(account, &profile.limits, Vec::new()),
            full_at: &HashMap::new(),
            held_until: options.start,
            tenants: &vec![1; tenants.len()],
            ahead: &[],
            sites: &wanted,
            capacity: Capacity {
                pending_max: profile.pending_for_new_work(),
                pending: 0,
                workers: u32::from(options.replicas) * u32::from(options.workers),
                // Nothing but the first look at a validation takes any time there.
                order: Duration::from_millis(profile.poll_first_ms),
            },
            expectations: Expectations { broken_share: options.broken, ..Expectations::NONE },
            targets: &[],
            seed: options.seed,
        });
        Self {
            seconds: answer.finish.map(|finish| options.start.until(finish.p50).as_secs_f64()),
            binding_limits: answer.bindings.iter().map(|binding| binding.constraint.as_str()).collect(),
        }
    }
}
