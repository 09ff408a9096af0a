use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::super::*;
use crate::exemption::Exemptions;
use crate::fairness::Lane;
use crate::identifier::{Hostname, Identifiers};
use crate::ids::AccountId;
use crate::limit::{Limit, LimitName};
use crate::mirror::{BucketKey, Rules};

pub(super) const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);
pub(super) const ACCOUNT: AccountId = AccountId(Uuid::from_u128(7));

/// A question with everything that it borrows.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) limits: Vec<Limit>,
    pub(super) full_at: HashMap<BucketKey, Timestamp>,
    pub(super) held_until: Timestamp,
    pub(super) weights: Vec<u32>,
    pub(super) ahead: Vec<Ahead>,
    pub(super) sites: Vec<Wish>,
    pub(super) capacity: Capacity,
    pub(super) expectations: Expectations,
    pub(super) targets: Vec<Duration>,
    pub(super) seed: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) names: Identifiers,
    pub(super) tenant: u32,
    pub(super) lane: Lane,
    pub(super) exemptions: Exemptions,
    pub(super) readiness: Readiness,
}

impl Scene {
    /// An account that has done nothing yet.
    pub(super) fn lets_encrypt() -> Self {
        let limit = |name, burst, count, period_seconds| Limit { name, burst, count, period_seconds };
        Self {
            limits: vec![
                limit(LimitName::NewOrdersPerAccount, 300, 300, 10_800),
                limit(LimitName::CertificatesPerRegisteredDomain, 50, 50, 604_800),
                limit(LimitName::CertificatesPerExactSet, 5, 5, 604_800),
                limit(LimitName::FailedAuthorizationsPerHostname, 5, 5, 3_600),
            ],
            full_at: HashMap::new(),
            held_until: Timestamp::EPOCH,
            weights: vec![1; 40],
            ahead: Vec::new(),
            sites: Vec::new(),
            capacity: Capacity { pending_max: 200, pending: 0, workers: 16, order: Duration::from_secs(4) },
            expectations: Expectations::NONE,
            targets: Vec::new(),
            seed: 1,
        }
    }

    pub(super) fn site(&mut self, names: &str, tenant: u32, lane: Lane) {
        let names = names.split(' ').map(|name| Hostname::parse(name).expect("a name"));
        self.sites.push(Wish {
            names: Identifiers::new(names).expect("a set"),
            tenant,
            lane,
            exemptions: Exemptions::NONE,
            readiness: Readiness::Unknown,
        });
    }

    /// A token comes back every `refill` seconds.
    pub(super) fn limit(&mut self, name: LimitName, burst: u32, refill: u64) {
        self.limits.retain(|limit| limit.name != name);
        self.limits.push(Limit { name, burst, count: 1, period_seconds: refill });
    }

    pub(super) fn failed(&mut self, name: &str, full_at: Timestamp) {
        let name = Hostname::parse(name).expect("a name");
        let limit = LimitName::FailedAuthorizationsPerHostname;
        self.full_at.insert(BucketKey::of_hostname(limit, ACCOUNT, &name), full_at);
    }

    pub(super) fn ask<R>(&self, answer: impl FnOnce(&Question<'_>) -> R) -> R {
        let rules = Rules::new(ACCOUNT, &self.limits, Vec::new());
        let sites: Vec<Site<'_>> = self
            .sites
            .iter()
            .map(|wish| Site {
                names: &wish.names,
                tenant: wish.tenant,
                lane: wish.lane,
                exemptions: wish.exemptions,
                readiness: wish.readiness,
            })
            .collect();
        answer(&Question {
            now: NOW,
            account: ACCOUNT,
            rules: &rules,
            full_at: &self.full_at,
            held_until: self.held_until,
            tenants: &self.weights,
            ahead: &self.ahead,
            sites: &sites,
            capacity: self.capacity,
            expectations: self.expectations,
            targets: &self.targets,
            seed: self.seed,
        })
    }
}

fn seconds(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

fn exemptions() -> impl Strategy<Value = Exemptions> {
    prop_oneof![
        4 => Just(Exemptions::NONE),
        1 => (0_u64..2_000).prop_map(|until| Exemptions { set_until: Some(seconds(until)), renewal_info: None }),
        1 => (0_u64..600, 0_u64..2_000).prop_map(|(from, long)| Exemptions {
            set_until: None,
            renewal_info: Some((seconds(from), seconds(from + long))),
        }),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    let names = prop::collection::btree_set((0_u8..4, 0_u8..6), 1..4).prop_map(|names| {
        let names =
            names.into_iter().map(|(domain, host)| Hostname::parse(&format!("h{host}.d{domain}.com")));
        Identifiers::new(names.map(|name| name.expect("a name"))).expect("a set")
    });
    let readiness = prop_oneof![5 => Just(Readiness::Good), 1 => Just(Readiness::Broken)];
    (names, 0_u32..3, 0_usize..4, exemptions(), readiness).prop_map(
        |(names, tenant, lane, exemptions, readiness)| Wish {
            names,
            tenant,
            lane: Lane::ALL[lane],
            exemptions,
            readiness,
        },
    )
}

/// Small, with everything that can bind, in whole seconds.
pub(super) fn any() -> impl Strategy<Value = Scene> {
    let buckets = ((1_u32..6, 1_u64..90), (1_u32..5, 1_u64..200), (1_u32..3, 1_u64..300));
    let hands = (prop::sample::select(vec![1_u32, 2, 3, 6]), prop_oneof![3_u32..8, 20_u32..26], 0_u32..26);
    let ahead = prop::collection::vec((0_u32..3, 0_usize..4, 1_u32..6, 1_u32..3, exemptions()), 0..3);
    let spent = (0_u64..400, 0_u64..400);
    (prop::collection::vec(wish(), 1..25), buckets, hands, ahead, spent, 0_u64..100).prop_map(
        |(sites, (orders, domains, sets), (workers, pending_max, pending), ahead, spent, held)| {
            let mut scene = Scene::lets_encrypt();
            scene.limit(LimitName::NewOrdersPerAccount, orders.0, orders.1);
            scene.limit(LimitName::CertificatesPerRegisteredDomain, domains.0, domains.1);
            scene.limit(LimitName::CertificatesPerExactSet, sets.0, sets.1);
            scene.full_at.insert(BucketKey::of_account(ACCOUNT), seconds(spent.0));
            scene.full_at.insert(BucketKey::of_domain("d0.com"), seconds(spent.1));
            scene.full_at.insert(BucketKey::of_set(&sites[0].names), seconds(spent.1));
            scene.failed("h0.d1.com", seconds(3_000 + spent.0));
            scene.weights = vec![1, 2, 3];
            scene.held_until = seconds(held);
            scene.sites = sites;
            scene.capacity = Capacity {
                pending_max,
                pending: pending.min(pending_max),
                workers,
                order: Duration::from_secs(6),
            };
            scene.ahead = ahead
                .into_iter()
                .map(|(tenant, lane, orders, names, exemptions)| Ahead {
                    tenant,
                    lane: Lane::ALL[lane],
                    orders,
                    names,
                    exemptions,
                })
                .collect();
            scene
        },
    )
}
