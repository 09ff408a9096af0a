//! A fleet drawn from a seed, with the truth about what in it is broken.

use std::fmt::Write;

use issuance::identifier::Hostname;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::fault::Fault;
use super::names;
use super::site::{Damage, Extent, Site};

/// Tenants of a fleet.
const TENANTS: u32 = 40;
/// A tenant's share falls with its rank to this power: the first has a third of all sites, the last few.
const TENANT_SKEW: f64 = 1.3;
/// Sites with apex and `www`; the others have the apex only.
const TWO_NAMES_SHARE: f64 = 0.8;
/// Of the broken sites, those where only `www` is broken.
const ONLY_WWW_SHARE: f64 = 0.25;

/// What to draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DemoPlan {
    /// Sites, each with one or two names.
    pub domains: usize,
    /// Of the sites, between 0 and 1; rounded to whole sites.
    pub broken_share: f64,
    /// The same seed draws the same fleet.
    pub seed: u64,
    /// Web servers to spread the sites over, at least one.
    pub servers: u8,
}

impl DemoPlan {
    /// One site in twenty is broken, four servers.
    pub fn new(domains: usize, seed: u64) -> Self {
        Self { domains, broken_share: 0.05, seed, servers: 4 }
    }
}

/// A drawn fleet. What it says about a name is the ground truth that a run is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoFleet {
    pub sites: Vec<PlannedSite>,
}

/// One site of a drawn fleet, as a hosting panel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSite {
    pub tenant: String,
    pub external_id: String,
    /// The apex, then perhaps `www`.
    pub names: Vec<Hostname>,
    /// Counted from 0.
    pub server: u8,
    pub damage: Option<Damage>,
}

/// Draws a fleet: real registered domains, tenants of skewed sizes, and the ten faults of
/// [`Fault::DEMO`] spread evenly over the broken sites.
pub fn plan(plan: DemoPlan) -> DemoFleet {
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let tenant_shares = WeightedIndex::new((1..=TENANTS).map(|rank| f64::from(rank).powf(-TENANT_SKEW)))
        .expect("the weights are positive and few");
    let apexes = names::draw(plan.domains, &mut rng);
    let mut sites: Vec<_> = apexes
        .into_iter()
        .enumerate()
        .map(|(place, apex)| {
            let www = rng.random_bool(TWO_NAMES_SHARE).then(|| Hostname::parse(&format!("www.{apex}")).ok());
            PlannedSite {
                tenant: format!("tenant-{:02}", tenant_shares.sample(&mut rng) + 1),
                external_id: format!("site-{place:05}"),
                names: [apex].into_iter().chain(www.flatten()).collect(),
                server: rng.random_range(0..plan.servers.max(1)),
                damage: None,
            }
        })
        .collect();
    break_some(&mut sites, plan.broken_share, &mut rng);
    DemoFleet { sites }
}

fn break_some(sites: &mut [PlannedSite], share: f64, rng: &mut StdRng) {
    let broken = (share.clamp(0.0, 1.0) * sites.len() as f64).round() as usize;
    let only_www = (ONLY_WWW_SHARE * broken as f64).round() as usize;
    let mut places: Vec<_> = (0..sites.len()).collect();
    places.shuffle(rng);
    places.truncate(broken);
    // Those with two names first: the first quarter loses `www` only. The sort is stable, so it stays a
    // draw.
    places.sort_by_key(|&place| sites[place].names.len() < 2);
    let first = rng.random_range(0..Fault::DEMO.len());
    for (nth, place) in places.into_iter().enumerate() {
        let fault = Fault::DEMO[(first + nth) % Fault::DEMO.len()];
        let site = &mut sites[place];
        let extent =
            if nth < only_www && site.names.len() == 2 { Extent::Name(1) } else { Extent::WholeSite };
        site.damage = Some(Damage { extent, fault });
    }
}

impl PlannedSite {
    /// The site as the fleet serves it.
    pub fn to_site(&self) -> Site {
        Site { names: self.names.clone(), server: self.server, damage: self.damage }
    }

    fn names_with_faults(&self) -> impl Iterator<Item = (&Hostname, Option<Fault>)> {
        let names = self.names.iter().enumerate();
        names.map(|(place, name)| (name, self.damage.and_then(|damage| damage.fault_at(place))))
    }
}

impl DemoFleet {
    /// Names without a fault. The apex of a site where only `www` is broken is among them, although a
    /// certificate for the whole site cannot be had.
    pub fn good_names(&self) -> impl Iterator<Item = &Hostname> {
        let names = self.sites.iter().flat_map(PlannedSite::names_with_faults);
        names.filter(|(_, fault)| fault.is_none()).map(|(name, _)| name)
    }

    pub fn broken_names(&self) -> impl Iterator<Item = (&Hostname, Fault)> {
        let names = self.sites.iter().flat_map(PlannedSite::names_with_faults);
        names.filter_map(|(name, fault)| Some((name, fault?)))
    }

    /// Sites without any broken name.
    pub fn good_sites(&self) -> impl Iterator<Item = &PlannedSite> {
        self.sites.iter().filter(|site| site.damage.is_none())
    }

    /// Sites with at least one broken name.
    pub fn broken_sites(&self) -> impl Iterator<Item = (&PlannedSite, Damage)> {
        self.sites.iter().filter_map(|site| Some((site, site.damage?)))
    }

    pub fn into_sites(self) -> Vec<Site> {
        let site = |site: PlannedSite| Site { names: site.names, server: site.server, damage: site.damage };
        self.sites.into_iter().map(site).collect()
    }

    /// The file a hosting provider would import. It says nothing of the faults.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from("tenant,external_id,names,challenge,labels\n");
        for PlannedSite { tenant, external_id, names, server, .. } in &self.sites {
            let names: Vec<_> = names.iter().map(Hostname::as_str).collect();
            // No field holds a comma, a quote or a line break: names are hostnames, the rest is ours.
            writeln!(csv, "{tenant},{external_id},{},http-01,server=web{:02}", names.join(" "), server + 1)
                .expect("a String takes every write");
        }
        csv
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_fleet() {
        let drawn = plan(DemoPlan::new(500, 7));
        assert_eq!(drawn, plan(DemoPlan::new(500, 7)));
        assert_ne!(drawn, plan(DemoPlan::new(500, 8)));
    }

    #[test]
    fn broken_sites_are_counted_and_spread_evenly() {
        for (domains, broken) in [(2000, 100), (400, 20), (210, 11), (20, 1), (9, 0), (0, 0)] {
            let fleet = plan(DemoPlan::new(domains, 3));
            assert_eq!(fleet.sites.len(), domains);
            assert_eq!(fleet.broken_sites().count(), broken, "of {domains}");
            assert_eq!(fleet.good_sites().count(), domains - broken);
            let mut by_fault = HashMap::<_, usize>::new();
            for (_, damage) in fleet.broken_sites() {
                *by_fault.entry(damage.fault).or_default() += 1;
            }
            for fault in Fault::DEMO {
                let count = by_fault.get(&fault).copied().unwrap_or_default();
                assert!(count >= broken / 10 && count <= broken.div_ceil(10), "{fault}: {count} of {broken}");
            }
        }
    }

    #[test]
    fn a_quarter_of_the_broken_sites_has_a_good_apex() {
        let fleet = plan(DemoPlan::new(2000, 11));
        let only_www: Vec<_> =
            fleet.broken_sites().filter(|(_, damage)| damage.extent == Extent::Name(1)).collect();
        assert_eq!(only_www.len(), 25);
        let good: HashSet<_> = fleet.good_names().collect();
        let broken: HashMap<_, _> = fleet.broken_names().collect();
        assert_eq!(good.len() + broken.len(), fleet.sites.iter().map(|site| site.names.len()).sum::<usize>());
        for (site, damage) in only_www {
            assert!(good.contains(&site.names[0]));
            assert_eq!(broken[&site.names[1]], damage.fault);
        }
    }

    #[test]
    fn tenants_differ_in_size_and_most_sites_have_two_names() {
        let fleet = plan(DemoPlan::new(4000, 5));
        let mut sizes = HashMap::<_, usize>::new();
        for site in &fleet.sites {
            *sizes.entry(site.tenant.as_str()).or_default() += 1;
        }
        assert_eq!(sizes.len(), TENANTS as usize);
        assert!(sizes["tenant-01"] > 1000 && sizes["tenant-40"] < 40, "{sizes:?}");
        let two_names = fleet.sites.iter().filter(|site| site.names.len() == 2).count();
        assert!((3100..3300).contains(&two_names), "{two_names}");
        assert!(fleet.sites.iter().all(|site| site.server < 4));
    }

    #[test]
    fn the_file_reads_back_as_the_plan() {
        let fleet = plan(DemoPlan::new(300, 9));
        let csv = fleet.to_csv();
        let mut lines = csv.lines();
        assert_eq!(lines.next(), Some("tenant,external_id,names,challenge,labels"));
        for site in &fleet.sites {
            let fields: Vec<_> = lines.next().unwrap().split(',').collect();
            let names: Vec<_> = fields[2].split(' ').map(|name| Hostname::parse(name).unwrap()).collect();
            assert_eq!((fields[0], fields[1]), (site.tenant.as_str(), site.external_id.as_str()));
            assert_eq!(names, site.names);
            assert_eq!(fields[3..], ["http-01", &format!("server=web{:02}", site.server + 1)]);
        }
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn the_fleet_serves_what_was_planned() {
        let fleet = plan(DemoPlan::new(100, 2));
        let planned: Vec<_> = fleet.broken_names().map(|(name, fault)| (name.clone(), fault)).collect();
        let sites = fleet.clone().into_sites();
        let served: Vec<_> = sites
            .iter()
            .flat_map(|site| {
                let faults = site.names.iter().enumerate();
                faults.filter_map(|(place, name)| Some((name.clone(), site.fault_at(place)?)))
            })
            .collect();
        assert_eq!(served, planned);
        assert_eq!(sites, fleet.sites.iter().map(PlannedSite::to_site).collect::<Vec<_>>());
    }
}
