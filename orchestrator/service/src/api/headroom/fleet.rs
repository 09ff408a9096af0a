use std::collections::HashMap;
use std::time::Duration;

use issuance::exemption::Exemptions;
use issuance::fairness::Lane;
use issuance::forecast::{Capacity, Expectations, Forecast, Question, Readiness, Site, forecast};
use issuance::identifier::Identifiers;
use issuance::profile::CaProfile;
use issuance::time::Timestamp;

use super::answer::{Assumed, ForecastAnswer, OrderCounts, TenantFinish};
use super::forecast::Assumptions;
use crate::store::forecast::{Known, KnownTenant, Queued};

/// One process with the default configuration.
const WORKERS: u32 = 16;
/// A probe, an order, a validation from several places and a finalize, where nothing was measured.
const ORDER: Duration = Duration::from_secs(4);
/// How far a measured pace may be off.
const MEASURED_SPREAD: f64 = 0.05;

/// Sites that are wanted, and of whom: what a forecast is asked about.
#[derive(Debug, Default)]
pub struct Fleet {
    sites: Vec<Wanted>,
    slugs: Vec<String>,
    by_slug: HashMap<String, u32>,
}

#[derive(Debug)]
struct Wanted {
    names: Identifiers,
    tenant: u32,
    lane: Lane,
    exemptions: Exemptions,
}

impl FromIterator<Queued> for Fleet {
    fn from_iter<I: IntoIterator<Item = Queued>>(queued: I) -> Self {
        let mut fleet = Self::default();
        for order in queued {
            fleet.add(&order.tenant, order.names, order.lane, order.exemptions);
        }
        fleet
    }
}

impl Fleet {
    pub fn add(&mut self, tenant: &str, names: Identifiers, lane: Lane, exemptions: Exemptions) {
        let place = self.by_slug.get(tenant).copied().unwrap_or_else(|| {
            let place = self.slugs.len() as u32;
            self.slugs.push(tenant.to_owned());
            self.by_slug.insert(tenant.to_owned(), place);
            place
        });
        self.sites.push(Wanted { names, tenant: place, lane, exemptions });
    }

    pub fn len(&self) -> usize {
        self.sites.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// The sets of names, in the order in which they were added.
    pub fn sets(&self) -> Vec<&Identifiers> {
        self.sites.iter().map(|wanted| &wanted.names).collect()
    }

    /// Whose they are.
    pub fn slugs(&self) -> &[String] {
        &self.slugs
    }

    /// By what each of them is exempt, in the same order.
    pub fn exempt(&mut self, exemptions: impl IntoIterator<Item = Exemptions>) {
        for (wanted, exemptions) in self.sites.iter_mut().zip(exemptions) {
            wanted.exemptions = exemptions;
        }
    }

    /// Plays it through, which takes a while: about a second for each hundred thousand orders.
    pub fn forecast(
        &self,
        known: &Known,
        profile: &CaProfile,
        assumptions: &Assumptions,
        now: Timestamp,
    ) -> ForecastAnswer {
        let (tenants, place_of) = self.tenants(known);
        let sites: Vec<Site<'_>> = self
            .sites
            .iter()
            .map(|wanted| Site {
                names: &wanted.names,
                tenant: place_of[wanted.tenant as usize],
                lane: wanted.lane,
                // What the set was issued for is of no use at a CA that does not care.
                exemptions: profile.exemptions(wanted.exemptions),
                readiness: Readiness::Unknown,
            })
            .collect();
        let weights: Vec<u32> = tenants.iter().map(|tenant| tenant.weight).collect();
        let targets: Vec<Duration> =
            assumptions.within_seconds.iter().map(|seconds| Duration::from_secs(*seconds)).collect();
        let capacity = Capacity {
            pending_max: known.pending_max,
            pending: known.pending,
            workers: assumptions.workers.unwrap_or(WORKERS).max(1),
            order: assumptions
                .order_seconds
                .map(Duration::from_secs_f64)
                .or(known.order_measured)
                .unwrap_or(ORDER),
        };
        let measured = assumptions.order_seconds.is_none() && known.order_measured.is_some();
        let usual = Expectations::USUAL;
        let expectations = Expectations {
            broken_share: assumptions.broken_share.unwrap_or(usual.broken_share),
            hidden_share: assumptions.hidden_share.unwrap_or(usual.hidden_share),
            partial_share: assumptions.partial_share.unwrap_or(usual.partial_share),
            capacity_spread: if measured { MEASURED_SPREAD } else { usual.capacity_spread },
            ..usual
        };
        let forecast = forecast(&Question {
            now,
            account: known.account,
            rules: &known.rules,
            full_at: &known.full_at,
            held_until: known.held_until,
            tenants: &weights,
            ahead: &known.ahead,
            sites: &sites,
            capacity,
            expectations,
            targets: &targets,
            seed: assumptions.seed,
        });
        let (orders, by_tenant) = counts(&sites, known, tenants.len(), now);
        ForecastAnswer {
            ca: profile.name.clone(),
            account_id: known.exists.then_some(known.account),
            asked_at: now,
            assumptions: Assumed {
                workers: capacity.workers,
                order_seconds: capacity.order.as_secs_f64(),
                measured,
                pending_authorizations_max: capacity.pending_max,
                broken_share: expectations.broken_share,
                hidden_share: expectations.hidden_share,
                partial_share: expectations.partial_share,
                seed: assumptions.seed,
                draws: forecast.draws,
            },
            orders,
            finish: forecast.finish,
            binding_limits: forecast.bindings.iter().map(Into::into).collect(),
            tenants: finishes(tenants, by_tenant, &forecast),
            sites: forecast.sites.iter().map(Into::into).collect(),
            proposals: forecast.proposals.into_iter().map(Into::into).collect(),
        }
    }

    /// Those that are known, then those that are not; and which of them each of ours is.
    fn tenants(&self, known: &Known) -> (Vec<KnownTenant>, Vec<u32>) {
        let mut tenants = known.tenants.clone();
        let by_slug: HashMap<&str, u32> =
            known.tenants.iter().zip(0_u32..).map(|(tenant, place)| (tenant.slug.as_str(), place)).collect();
        let place_of = self
            .slugs
            .iter()
            .map(|slug| {
                by_slug.get(slug.as_str()).copied().unwrap_or_else(|| {
                    tenants.push(KnownTenant { slug: slug.clone(), weight: 1 });
                    tenants.len() as u32 - 1
                })
            })
            .collect();
        (tenants, place_of)
    }
}

/// All that was asked about, and what each tenant has of that and of what is ahead.
fn counts(
    sites: &[Site<'_>],
    known: &Known,
    tenants: usize,
    now: Timestamp,
) -> (OrderCounts, Vec<OrderCounts>) {
    let mut by_tenant = vec![OrderCounts::default(); tenants];
    let (mut queue, mut all) = (OrderCounts::default(), OrderCounts::default());
    for ahead in &known.ahead {
        for counts in [&mut queue, &mut by_tenant[ahead.tenant as usize]] {
            counts.add(&ahead.exemptions, ahead.orders.into(), now);
        }
    }
    for site in sites {
        for counts in [&mut all, &mut by_tenant[site.tenant as usize]] {
            counts.add(&site.exemptions, 1, now);
        }
    }
    let all = if sites.is_empty() {
        OrderCounts { ahead: Some(0), ..queue }
    } else {
        OrderCounts { ahead: Some(queue.total), ..all }
    };
    (all, by_tenant)
}

fn finishes(tenants: Vec<KnownTenant>, orders: Vec<OrderCounts>, forecast: &Forecast) -> Vec<TenantFinish> {
    let all = tenants.into_iter().zip(orders).zip(&forecast.tenants);
    all.filter(|((_, orders), _)| orders.total > 0)
        .map(|((tenant, orders), finish)| TenantFinish { tenant: tenant.slug, orders, finish: *finish })
        .collect()
}
