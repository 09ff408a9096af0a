//! Where everything stands, in a few numbers. Of the whole fleet they were counted before, so that no page counts a million
//! rows; of one tenant they are counted now.

use std::collections::BTreeMap;

use crate::api::address::with_query;
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::Fault;
use crate::dashboard::words::plain;
use crate::store::fleet_samples::FleetView;
use crate::store::orders_view::LANES;
use crate::store::summary::Summary;

const QUEUE: &str = "/admin/queue";
/// How the census tells where an order stands, in plain words, and the stage that its page shows.
const STATES: [(&str, &str, &str); 7] = [
    ("to_be_proven", "wait to be looked at", "accepted"),
    ("at_the_gate", "wait for the CA's limits", "accepted"),
    ("in_hand", "in a worker's hands", "accepted"),
    ("waiting", "wait for an instant", "accepted"),
    ("parked", "wait for somebody", "parked"),
    ("at_the_ca", "on their way at the CA", "submitted"),
    ("settling", "being settled", "failed"),
];

/// A number, what it counts, and where that is seen.
#[derive(Debug)]
pub(super) struct Count {
    pub(super) amount: u64,
    pub(super) word: String,
    pub(super) to: String,
}

#[derive(Debug, Default)]
pub(super) struct Glance {
    /// Orders by where they stand; none that counts nothing.
    pub(super) orders: Vec<Count>,
    /// Orders with something left to do by lane, in the order of the lanes.
    pub(super) lanes: Vec<Count>,
    /// What is wrong and how often, the most frequent first.
    pub(super) causes: Vec<(String, u64)>,
}

pub(super) async fn glance(visitor: &Visitor) -> Result<Glance, Fault> {
    if visitor.is_operator() {
        let fleet: Option<FleetView> = visitor.find("/v1/census").await?;
        Ok(fleet.map(|fleet| Glance::of_fleet(&fleet)).unwrap_or_default())
    } else {
        let summary: Summary = visitor.get("/v1/summary").await?;
        Ok(Glance::of_tenant(&summary))
    }
}

fn of_stage(stage: &str) -> String {
    with_query(QUEUE, &[("stage", Some(stage))])
}

impl Glance {
    fn new(
        orders: impl Iterator<Item = Count>,
        of_lane: impl Fn(&str) -> u64,
        mut causes: Vec<(String, u64)>,
    ) -> Self {
        causes.sort_by_key(|(_, amount)| std::cmp::Reverse(*amount));
        let lanes = LANES.into_iter().map(|lane| Count {
            amount: of_lane(lane),
            word: lane.to_owned(),
            to: with_query(QUEUE, &[("lane", Some(lane))]),
        });
        Self { orders: orders.filter(|count| count.amount > 0).collect(), lanes: lanes.collect(), causes }
    }

    pub(super) fn of_fleet(fleet: &FleetView) -> Self {
        let orders = STATES.into_iter().map(|(state, word, stage)| Count {
            amount: fleet.sample.in_state(state),
            word: word.to_owned(),
            to: of_stage(stage),
        });
        let causes = fleet.sample.hostnames_failing.iter().map(|(class, amount)| (class.clone(), *amount));
        let of_lane = |lane: &str| fleet.sample.orders.get(lane).map_or(0, |states| states.values().sum());
        Self::new(orders, of_lane, causes.collect())
    }

    pub(super) fn of_tenant(summary: &Summary) -> Self {
        let orders = summary.orders_by_stage.iter().map(|(stage, amount)| Count {
            amount: *amount,
            word: plain(stage),
            to: of_stage(stage),
        });
        let mut causes: BTreeMap<&String, u64> = BTreeMap::new();
        for (class, amount) in summary.parked_by_fault.iter().chain(&summary.failed_by_fault) {
            *causes.entry(class).or_default() += amount;
        }
        let of_lane = |lane: &str| summary.orders_by_lane.get(lane).copied().unwrap_or_default();
        let causes = causes.into_iter().map(|(class, amount)| (class.clone(), amount));
        Self::new(orders, of_lane, causes.collect())
    }
}
