//! The sites of a file, of which some are broken.

use issuance::identifier::Hostname;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rehearsal::fleet::{Fault, Site};

use crate::adopt::csv::Row;

/// What real sites suffer from, save what takes real time to notice.
const FAULTS: [Fault; 8] = [
    Fault::Nxdomain,
    Fault::Servfail,
    Fault::NoAddress,
    Fault::WrongAddress,
    Fault::Refused,
    Fault::NotFound,
    Fault::WrongBody,
    Fault::RedirectLoop,
];

/// Draws what is wrong with whom.
#[derive(Debug)]
pub(super) struct Fortune {
    chance: StdRng,
    broken: f64,
}

impl Fortune {
    pub(super) fn new(seed: u64, broken: f64) -> Self {
        Self { chance: StdRng::seed_from_u64(seed), broken: broken.clamp(0.0, 1.0) }
    }

    /// The site as the fleet serves it.
    pub(super) fn site(&mut self, row: &Row) -> Site {
        let names: Vec<Hostname> = row.names.iter().cloned().collect();
        let is_broken = self.chance.random_bool(self.broken);
        match FAULTS.choose(&mut self.chance).filter(|_| is_broken) {
            Some(fault) => Site::broken(names, *fault),
            None => Site::healthy(names),
        }
    }
}
