//! Who goes first where not all can go.
//!
//! Four lanes, the higher one first; but a lane that was passed over [`PASSED_OVER_MAX`] times in favour of higher ones
//! goes first once, so that none starves. Within a lane, tenants share by weight: start-time fair queueing. Each order
//! gets a tag when it lines up, the lowest tag goes first, and the tag is `max(clock, where the tenant's line ends)`,
//! the clock being how far the lane has come: the tag last let through, short of the first that waits. Whoever comes with one order among thousands of others' is next; whoever
//! comes with thousands lines them up behind each other. As tags do not change, the next order is the first entry of
//! an index, however many wait.

/// How far the line of a tenant of weight 1 moves on with each of its orders.
const STEP: i64 = 1_000_000;
/// How often a lane with work is passed over before it goes first.
pub const PASSED_OVER_MAX: u32 = 16;

/// Why an order is wanted, in the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// An incident, or a certificate that expires within a day.
    Urgent,
    /// A person waits.
    Interactive,
    Renewal,
    Bulk,
}

impl Lane {
    pub const ALL: [Self; 4] = [Self::Urgent, Self::Interactive, Self::Renewal, Self::Bulk];

    /// The spelling in the API and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Interactive => "interactive",
            Self::Renewal => "renewal",
            Self::Bulk => "bulk",
        }
    }

    /// As it is stored.
    pub fn number(self) -> i16 {
        self as i16
    }

    pub fn from_number(number: i16) -> Option<Self> {
        usize::try_from(number).ok().and_then(|place| Self::ALL.get(place)).copied()
    }
}

/// Where the orders of one tenant line up in one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The tag that its next order would get while the clock is behind it.
    pub next_tag: i64,
    /// The tenant's share beside those of others; from 1.
    pub weight: u32,
}

impl Line {
    /// The tag of one more order.
    pub fn join(&mut self, clock: i64) -> i64 {
        let tag = self.next_tag.max(clock);
        self.next_tag = tag.saturating_add(STEP / i64::from(self.weight.max(1)));
        tag
    }
}

/// The order in which a dispatcher looks at the lanes, and in which the gate serves them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turns {
    /// What higher lanes took since the lane was last served.
    passed_over: [u32; 4],
}

impl Turns {
    /// As they stood before, lane by lane.
    pub fn of(passed_over: [u32; 4]) -> Self {
        Self { passed_over }
    }

    pub fn passed_over(&self) -> [u32; 4] {
        self.passed_over
    }

    /// Where a lane stands among [`lanes`](Self::lanes).
    pub fn place(&self, lane: Lane) -> usize {
        self.lanes().iter().position(|one| *one == lane).unwrap_or(Lane::ALL.len())
    }

    /// The lanes, the first one to be served first. A lane with nothing to do costs nothing: the next one is served.
    pub fn lanes(&self) -> [Lane; 4] {
        let mut lanes = Lane::ALL;
        // Those that have waited long enough first, of them the lowest: it has the least chance otherwise. All of
        // them, since one without work hides no other.
        lanes.sort_by_key(|lane| {
            let due = self.passed_over[*lane as usize] >= PASSED_OVER_MAX;
            (!due, if due { -lane.number() } else { lane.number() })
        });
        lanes
    }

    /// What a claim has brought.
    pub fn served(&mut self, lanes: impl IntoIterator<Item = Lane>) {
        let mut served = [false; 4];
        for lane in lanes {
            served[lane as usize] = true;
        }
        let Some(highest) = served.iter().position(|served| *served) else { return };
        for (lane, passed_over) in self.passed_over.iter_mut().enumerate() {
            if served[lane] {
                *passed_over = 0;
            } else if lane > highest {
                *passed_over = passed_over.saturating_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_order_among_two_hundred_thousand_is_next() {
        let (mut flood, mut single) = (Line { next_tag: 0, weight: 1 }, Line { next_tag: 0, weight: 1 });
        let tags: Vec<i64> = (0..200_000).map(|_| flood.join(0)).collect();
        // A thousand of them were let through meanwhile.
        let clock = tags[999];
        assert!(single.join(clock) < tags[1_000]);
    }

    #[test]
    fn higher_lanes_go_first_and_the_lowest_gets_its_turn() {
        let mut turns = Turns::default();
        for _ in 0..PASSED_OVER_MAX {
            assert_eq!(turns.lanes(), Lane::ALL);
            turns.served([Lane::Interactive]);
        }
        assert_eq!(turns.lanes(), [Lane::Bulk, Lane::Renewal, Lane::Urgent, Lane::Interactive]);
        turns.served([Lane::Bulk]);
        assert_eq!(turns.lanes()[0], Lane::Renewal);
        // Nothing was there.
        turns.served([Lane::Urgent]);
        turns.served([Lane::Renewal]);
        assert_eq!(turns.lanes(), Lane::ALL);
    }

    #[test]
    fn work_of_lower_lanes_holds_nobody_up() {
        let mut turns = Turns::default();
        for _ in 0..1_000 {
            turns.served([Lane::Bulk]);
        }
        assert_eq!(turns.lanes(), Lane::ALL);
    }

    /// A queue as the database keeps it: the first of each lane by tag.
    fn claim(queues: &mut [BTreeSet<(i64, u32)>; 4], turns: &mut Turns) -> Option<(Lane, i64, u32)> {
        for lane in turns.lanes() {
            if let Some((tag, id)) = queues[lane as usize].pop_first() {
                turns.served([lane]);
                return Some((lane, tag, id));
            }
        }
        None
    }

    proptest! {
        /// Whatever keeps arriving in whatever lane: a lane with work is served within so many claims, and an order
        /// before everything that lined up after it with a tenant's line as long as its own.
        #[test]
        fn nobody_starves(arrivals in prop::collection::vec((0_usize..4, 0_usize..5), 1..400)) {
            let mut queues: [BTreeSet<(i64, u32)>; 4] = Default::default();
            let mut lines = [[Line { next_tag: 0, weight: 1 }; 5]; 4];
            let mut clocks = [0_i64; 4];
            let mut turns = Turns::default();
            let mut waiting = [0_u32; 4];
            for (id, (lane, tenant)) in arrivals.iter().enumerate() {
                // Two arrive for each that is let through: the queues grow without end.
                for extra in 0..2 {
                    let tag = lines[*lane][*tenant].join(clocks[*lane]);
                    queues[*lane].insert((tag, u32::try_from(2 * id + extra).expect("small")));
                }
                if let Some((served, tag, _)) = claim(&mut queues, &mut turns) {
                    prop_assert!(tag >= clocks[served as usize], "tags never go back");
                    clocks[served as usize] = tag;
                    for lane in Lane::ALL {
                        let place = lane as usize;
                        waiting[place] = if lane == served || queues[place].is_empty() { 0 } else { waiting[place] + 1 };
                        prop_assert!(waiting[place] <= PASSED_OVER_MAX + 4, "{lane:?} has waited {} claims", waiting[place]);
                    }
                }
            }
        }

        /// Tenants that always have work are served in proportion to their weights, to within one order each.
        #[test]
        fn tenants_share_by_weight(weights in prop::collection::vec(1_u32..5, 2..8), rounds in 50_usize..200) {
            let mut queue = BTreeSet::new();
            let mut served = vec![0_u32; weights.len()];
            for (tenant, weight) in weights.iter().enumerate() {
                let mut line = Line { next_tag: 0, weight: *weight };
                for _ in 0..rounds * 5 {
                    queue.insert((line.join(0), tenant));
                }
            }
            for _ in 0..rounds {
                let (_, tenant) = queue.pop_first().expect("there is more than is let through");
                served[tenant] += 1;
            }
            let shares: Vec<f64> = served.iter().zip(&weights).map(|(got, weight)| f64::from(*got) / f64::from(*weight)).collect();
            let (least, most) = shares.iter().fold((f64::MAX, 0.0_f64), |(least, most), share| (least.min(*share), most.max(*share)));
            prop_assert!(most - least <= 1.01, "{served:?} by {weights:?}");
        }
    }
}
