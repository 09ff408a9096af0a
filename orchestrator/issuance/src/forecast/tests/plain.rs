//! The same world, told as plainly as can be: every second everything is looked at.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Readiness;
use super::scene::{NOW, Scene, Wish};
use crate::exemption::{Exemption, Exemptions};
use crate::fairness::{Lane, Line, Turns};
use crate::identifier::Hostname;
use crate::limit::LimitName;
use crate::time::Timestamp;

/// A leaky bucket: what was spent drips out by a second each second.
#[derive(Debug, Clone)]
struct Leaky {
    burst: u64,
    refill: u64,
    owed: u64,
    reserved: u64,
    promised: Option<u64>,
}

impl Leaky {
    /// Seconds until there are so many tokens.
    fn wait(&self, tokens: u64) -> u64 {
        (self.owed + tokens * self.refill).saturating_sub(self.burst * self.refill)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Whereabouts {
    Line { tag: i64, exempt: bool },
    Away { until: u64 },
    Hand { until: u64, counts_domains: bool },
    Gone,
}

#[derive(Debug)]
struct Job<'a> {
    tenant: u32,
    lane: Lane,
    units: u32,
    exemptions: Exemptions,
    site: Option<&'a Wish>,
    at: Whereabouts,
    issued: Option<u64>,
}

/// When each order is issued, in seconds; those ahead first.
pub(super) fn simulate(scene: &Scene, tie: impl Fn(u32) -> u32) -> Vec<Option<u64>> {
    Simulation::new(scene).run(scene, tie)
}

struct Simulation<'a> {
    jobs: Vec<Job<'a>>,
    orders: Leaky,
    domains: BTreeMap<&'a str, Leaky>,
    sets: BTreeMap<String, Leaky>,
}

fn line(scene: &Scene, tenant: u32) -> Line {
    Line { next_tag: 0, weight: scene.weights[tenant as usize] }
}

fn leaky(scene: &Scene, name: LimitName, owed: u64) -> Leaky {
    let limit = scene.limits.iter().find(|limit| limit.name == name).expect("a limit");
    Leaky {
        burst: limit.burst.into(),
        refill: limit.period_seconds / u64::from(limit.count),
        owed,
        reserved: 0,
        promised: None,
    }
}

fn at(seconds: u64) -> Timestamp {
    NOW.after(std::time::Duration::from_secs(seconds))
}

impl<'a> Simulation<'a> {
    fn new(scene: &'a Scene) -> Self {
        let owed = |wanted: &str, name: LimitName| {
            let found = scene.full_at.iter().find(|(key, _)| key.limit == name && *key.key == *wanted);
            found.map_or(0, |(_, full_at)| NOW.until(*full_at).as_secs())
        };
        let mut lines: BTreeMap<(Lane, u32), Line> = BTreeMap::new();
        let mut join =
            |lane, tenant| lines.entry((lane, tenant)).or_insert_with(|| line(scene, tenant)).join(0);
        let mut jobs = Vec::new();
        for ahead in &scene.ahead {
            for _ in 0..ahead.orders {
                jobs.push(Job {
                    tenant: ahead.tenant,
                    lane: ahead.lane,
                    units: ahead.names,
                    exemptions: ahead.exemptions,
                    site: None,
                    at: Whereabouts::Line {
                        tag: join(ahead.lane, ahead.tenant),
                        exempt: ahead.exemptions.at(NOW).is_some(),
                    },
                    issued: None,
                });
            }
        }
        let (mut domains, mut sets) = (BTreeMap::new(), BTreeMap::new());
        for site in &scene.sites {
            for domain in site.names.iter().map(Hostname::registered_domain) {
                let name = LimitName::CertificatesPerRegisteredDomain;
                domains.insert(domain, leaky(scene, name, owed(domain, name)));
            }
            let (set, name) = (site.names.digest(), LimitName::CertificatesPerExactSet);
            sets.insert(set.clone(), leaky(scene, name, owed(&set, name)));
            let tag = join(site.lane, site.tenant);
            let waits = Whereabouts::Line { tag, exempt: site.exemptions.at(NOW).is_some() };
            jobs.push(Job {
                tenant: site.tenant,
                lane: site.lane,
                units: site.names.len() as u32,
                exemptions: site.exemptions,
                site: Some(site),
                at: if site.readiness == Readiness::Broken { Whereabouts::Gone } else { waits },
                issued: None,
            });
        }
        let account = super::scene::ACCOUNT.0.to_string();
        let name = LimitName::NewOrdersPerAccount;
        let orders = leaky(scene, name, owed(&account, name));
        Self { jobs, orders, domains, sets }
    }

    /// Of the job: its buckets that are counted.
    fn buckets(&mut self, job: usize, domains: bool) -> Vec<&mut Leaky> {
        let Some(site) = self.jobs[job].site else { return Vec::new() };
        let mine: BTreeSet<&str> = site.names.iter().map(Hostname::registered_domain).collect();
        let domains = self.domains.iter_mut().filter(|(domain, _)| domains && mine.contains(**domain));
        let mut found: Vec<&mut Leaky> = domains.map(|(_, bucket)| bucket).collect();
        found.extend(self.sets.get_mut(&site.names.digest()));
        found
    }

    fn run(mut self, scene: &Scene, tie: impl Fn(u32) -> u32) -> Vec<Option<u64>> {
        let order = scene.capacity.order.as_secs();
        let gap = order / u64::from(scene.capacity.workers);
        let (mut turns, mut clocks) = (Turns::default(), [0_i64; 4]);
        let mut lines: BTreeMap<(Lane, u32), Line> = BTreeMap::new();
        let mut hand_free = NOW.until(scene.held_until).as_secs();
        for now in 0.. {
            if now > 0 {
                let all = self.domains.values_mut().chain(self.sets.values_mut());
                for bucket in all.chain([&mut self.orders]) {
                    bucket.owed = bucket.owed.saturating_sub(1);
                }
            }
            for job in 0..self.jobs.len() {
                if let Whereabouts::Hand { until, counts_domains } = self.jobs[job].at
                    && until == now
                {
                    self.jobs[job].at = Whereabouts::Gone;
                    for bucket in self.buckets(job, counts_domains) {
                        bucket.reserved -= 1;
                        bucket.owed += bucket.refill;
                    }
                }
            }
            // While the account is held, nobody looks at the queue.
            if now < hand_free && now < NOW.until(scene.held_until).as_secs() {
                continue;
            }
            let mut back: Vec<(u64, usize)> = (0..self.jobs.len())
                .filter_map(|job| match self.jobs[job].at {
                    Whereabouts::Away { until } if until <= now => Some((until, job)),
                    _ => None,
                })
                .collect();
            back.sort_unstable();
            for (_, job) in back {
                let (lane, tenant) = (self.jobs[job].lane, self.jobs[job].tenant);
                let line = lines.entry((lane, tenant)).or_insert_with(|| line(scene, tenant));
                let exempt = self.jobs[job].exemptions.at(at(now)).is_some();
                self.jobs[job].at = Whereabouts::Line { tag: line.join(clocks[lane as usize]), exempt };
            }
            while hand_free <= now {
                let kept = |most: u64| (most / 20).max(1).min(most - 1);
                let kept = if self.orders.refill > 60 { kept(self.orders.burst) } else { 0 };
                let initial = if now < order { scene.capacity.pending } else { 0 };
                let in_hand = |job: &&Job<'_>| matches!(job.at, Whereabouts::Hand { .. });
                let pending: u32 =
                    self.jobs.iter().filter(in_hand).map(|job| job.units).sum::<u32>() + initial;
                let most = |lane: Lane| {
                    let most = scene.capacity.pending_max;
                    if lane == Lane::Bulk { most - most / 20 } else { most }
                };
                let first = |without: Option<Lane>| {
                    turns.lanes().into_iter().filter(|lane| Some(*lane) != without).find_map(|lane| {
                        let token = self.orders.wait(if lane == Lane::Bulk { 1 + kept } else { 1 }) == 0;
                        let in_lane = self.jobs.iter().enumerate().filter(|(_, job)| job.lane == lane);
                        let waiting = in_lane.filter_map(|(place, job)| match job.at {
                            Whereabouts::Line { tag, exempt } if token || exempt => {
                                Some((tag, tie(job.tenant), place, exempt))
                            }
                            _ => None,
                        });
                        waiting.min()
                    })
                };
                let lacks_room = |job: usize| {
                    let Job { lane, units, .. } = self.jobs[job];
                    units <= most(lane) && pending + units > most(lane)
                };
                let foremost = first(None);
                let bulk = foremost
                    .is_some_and(|(_, _, job, _)| self.jobs[job].lane == Lane::Bulk && lacks_room(job));
                let chosen = if bulk { first(Some(Lane::Bulk)).or(foremost) } else { foremost };
                let Some((tag, _, job, exempt)) = chosen else { break };
                let full = lacks_room(job);
                let exemption = self.jobs[job].exemptions.at(at(now));
                let units = self.jobs[job].units;
                if exempt && exemption.is_none() {
                    self.jobs[job].at = Whereabouts::Line { tag, exempt: false };
                    continue;
                }
                if units > most(self.jobs[job].lane) {
                    self.jobs[job].at = Whereabouts::Gone;
                    continue;
                }
                if full {
                    break;
                }
                if let Some(until) = self.refusal(scene, job, exemption, now) {
                    self.jobs[job].at = Whereabouts::Away { until };
                    continue;
                }
                let lane = self.jobs[job].lane;
                clocks[lane as usize] = clocks[lane as usize].max(tag);
                turns.served([lane]);
                if exemption.is_none() {
                    self.orders.owed += self.orders.refill;
                }
                let known = self.jobs[job].exemptions.set_until.is_some_and(|until| at(now) < until);
                let counts_domains = exemption != Some(Exemption::ExactSet) && !known;
                for bucket in self.buckets(job, counts_domains) {
                    bucket.reserved += 1;
                }
                self.jobs[job].issued = Some(now + order);
                self.jobs[job].at = Whereabouts::Hand { until: now + order, counts_domains };
                hand_free = now + gap;
            }
            if self.jobs.iter().all(|job| job.at == Whereabouts::Gone) {
                break;
            }
        }
        self.jobs.into_iter().map(|job| job.issued).collect()
    }

    fn refusal(&mut self, scene: &Scene, job: usize, exemption: Option<Exemption>, now: u64) -> Option<u64> {
        if exemption == Some(Exemption::RenewalInfo) {
            return None;
        }
        let mut until = None;
        if let Some(site) = self.jobs[job].site {
            for name in &site.names {
                let key = format!("{}/{name}", super::scene::ACCOUNT.0);
                let found = scene.full_at.iter().find(|(bucket, _)| *bucket.key == *key);
                if let Some((_, full_at)) = found {
                    let failed = leaky(
                        scene,
                        LimitName::FailedAuthorizationsPerHostname,
                        NOW.until(*full_at).as_secs(),
                    );
                    until = until.max(Some(failed.wait(1)).filter(|wait| *wait > now));
                }
            }
        }
        let mut buckets = self.buckets(job, exemption.is_none());
        let longest = buckets.iter_mut().max_by_key(|bucket| bucket.wait(bucket.reserved + 1))?;
        let wait = now + longest.wait(longest.reserved + 1);
        // Of two that end together the gate takes the last in its order, the failures.
        if wait == now || until.is_some_and(|until| until >= wait) {
            return until;
        }
        let promised = longest.promised.map_or(wait, |last| (last + longest.refill).max(wait));
        longest.promised = Some(promised);
        Some(promised)
    }
}
