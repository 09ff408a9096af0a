use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// An instant that is not known exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Spread {
    /// In half of all draws it is no later.
    pub p50: Timestamp,
    /// In nine of ten.
    pub p90: Timestamp,
}

impl Spread {
    /// A part is done no later than the whole. Told by the draws in which the part is not broken, which need not be the
    /// usual ones, it may seem to be.
    pub(super) fn no_later_than(self, whole: Option<Self>) -> Self {
        whole.map_or(self, |whole| Self { p50: self.p50.min(whole.p50), p90: self.p90.min(whole.p90) })
    }
}

/// What each of several things came to in each draw in which it came to anything.
#[derive(Debug)]
pub(super) struct Draws {
    per_thing: usize,
    filled: Vec<u8>,
    instants: Vec<Timestamp>,
}

impl Draws {
    /// Room for `draws` instants of each, 255 at the most.
    pub(super) fn new(things: usize, draws: usize) -> Self {
        Self { per_thing: draws, filled: vec![0; things], instants: vec![Timestamp::EPOCH; things * draws] }
    }

    pub(super) fn add(&mut self, thing: usize, at: Timestamp) {
        self.instants[thing * self.per_thing + usize::from(self.filled[thing])] = at;
        self.filled[thing] += 1;
    }

    /// In the order in which they were added.
    pub(super) fn of(&self, thing: usize) -> &[Timestamp] {
        let start = thing * self.per_thing;
        &self.instants[start..start + usize::from(self.filled[thing])]
    }

    /// By nearest rank.
    pub(super) fn spread(&self, thing: usize) -> Option<Spread> {
        let mut sorted = self.of(thing).to_vec();
        sorted.sort_unstable();
        let rank =
            |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).checked_sub(1)?).copied();
        Some(Spread { p50: rank(50)?, p90: rank(90)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_nearest_ones() {
        let second = Timestamp::from_unix_seconds;
        let mut draws = Draws::new(3, 10);
        for at in (1..=10).rev() {
            draws.add(1, second(at));
        }
        draws.add(2, second(7));
        assert_eq!(draws.spread(0), None);
        assert_eq!(draws.spread(1), Some(Spread { p50: second(5), p90: second(9) }));
        assert_eq!(draws.spread(2), Some(Spread { p50: second(7), p90: second(7) }));
    }
}
