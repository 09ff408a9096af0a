//! The cells: one fault, or two, at one place of the life of some orders.

use std::fmt;

use issuance::order::Stage;
use issuance::step::Step;
use lockkeeper::acme::Endpoint;
use lockkeeper::mishaps::{Act, Moment, Point, Write};
use lockkeeper_tests::fate::Mishap;
use lockkeeper_tests::flaky_transport::{RequestKind, Strike};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};

/// Pairs of faults that are drawn.
const PAIRS: usize = 40;
/// So many requests in a row get a bad nonce: more than one request is tried with.
const STORM: u64 = 8;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// At the requests of a kind with these numbers.
    AtRequests { kind: RequestKind, from: u64, count: u64, strike: Strike },
    /// In the process.
    AtPoint { point: Point, nth: u64, mishap: Mishap },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtRequests { kind, strike, .. } => write!(f, "{kind}:{strike}"),
            Self::AtPoint { point, mishap, .. } => write!(f, "{point}:{}", mishap.as_str()),
        }
    }
}

/// What the CA is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Manners {
    /// Gives a pending order out again, charges deactivations, caps what is pending, lists no orders.
    Boulder,
    /// Lists orders; a new-order makes a new one; certificates take a moment.
    Listing,
    /// Neither.
    Forgetful,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Cell {
    pub(crate) faults: Vec<Fault>,
    pub(crate) manners: Manners,
    /// Answers to new-order that are lost besides, so that the place of the fault is reached.
    pub(crate) new_orders_lost: u64,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.faults.iter().enumerate() {
            write!(f, "{}{fault}", if place > 0 { "+" } else { "" })?;
        }
        match self.manners {
            Manners::Boulder => Ok(()),
            Manners::Listing => f.write_str("@listing"),
            Manners::Forgetful => f.write_str("@forgetful"),
        }
    }
}

impl Cell {
    /// A world in which the fault finds something to strike.
    fn of(fault: Fault) -> Self {
        let (manners, new_orders_lost) = scenery(&fault);
        Self { faults: vec![fault], manners, new_orders_lost }
    }
}

/// What has to be so that the fault's place is reached.
fn scenery(fault: &Fault) -> (Manners, u64) {
    let what = match fault {
        Fault::AtRequests { kind, .. } => kind.as_str(),
        Fault::AtPoint { point, .. } => point.what,
    };
    match what {
        "orders" | "account" | "find" => (Manners::Listing, 1),
        "give_up" => (Manners::Forgetful, 1),
        "ask_again" | "admitted" => (Manners::Boulder, 1),
        _ => (Manners::Boulder, 0),
    }
}

/// The kinds of requests that are made on the way of a certificate.
pub(crate) fn request_kinds() -> Vec<RequestKind> {
    // Nothing of these is asked for yet; an audit that counts one of them fails the matrix.
    let unused = |endpoint: &Endpoint| matches!(endpoint, Endpoint::RevokeCert | Endpoint::RenewalInfo);
    let asked = Endpoint::ALL.iter().filter(|endpoint| !unused(endpoint));
    asked.map(|endpoint| RequestKind::To(*endpoint)).chain([RequestKind::Deactivation]).collect()
}

/// Every point there is, but for those no service can reach.
pub(crate) fn points() -> Vec<Point> {
    let requests = request_kinds().into_iter().filter_map(|kind| match kind {
        RequestKind::To(endpoint) => Some((Act::Request, endpoint.as_str())),
        RequestKind::Deactivation => None,
    });
    // Neither is performed: they end an attempt.
    let steps = Step::NAMES.into_iter().filter(|step| !matches!(*step, "wait" | "rest"));
    // Nothing cancels yet.
    let stages = Stage::NAMES.into_iter().filter(|stage| *stage != "cancelled");
    let commits = stages.chain(Write::ALL.map(Write::as_str));
    requests
        .chain(steps.map(|step| (Act::Step, step)))
        .chain(commits.map(|what| (Act::Commit, what)))
        .flat_map(|(act, what)| Moment::ALL.map(|moment| Point { moment, act, what }))
        .collect()
}

/// Every request with everything that can go wrong with it.
pub(crate) fn at_requests() -> Vec<Cell> {
    let kinds = request_kinds();
    let each = kinds.iter().flat_map(|kind| Strike::ALL.map(|strike| (*kind, strike)));
    each.map(|(kind, strike)| Cell::of(struck(kind, strike))).collect()
}

fn struck(kind: RequestKind, strike: Strike) -> Fault {
    let count = if strike == Strike::BadNonce { STORM } else { 1 };
    Fault::AtRequests { kind, from: 0, count, strike }
}

/// Every point with a death or a long halt there.
pub(crate) fn at_points(mishap: Mishap) -> Vec<Cell> {
    points().into_iter().map(|point| Cell::of(Fault::AtPoint { point, nth: 1, mishap })).collect()
}

/// Every commit with the database's connections cut before it, or with its answer lost.
pub(crate) fn at_commits() -> Vec<Cell> {
    let commits = points().into_iter().filter(|point| point.act == Act::Commit);
    commits.map(|point| Cell::of(Fault::AtPoint { point, nth: 1, mishap: Mishap::Cut })).collect()
}

/// Pairs of what goes wrong at a request and what befalls the process: each kind of request, each strike and each
/// point stands in one of them before any stands in a second.
pub(crate) fn pairs(seed: u64) -> Vec<Cell> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut kinds: Vec<RequestKind> = request_kinds();
    kinds.retain(|kind| !matches!(kind.as_str(), "orders" | "account"));
    let (mut strikes, mut at) = (Strike::ALL.to_vec(), points());
    at.retain(|point| !matches!(point.what, "orders" | "account" | "find" | "give_up"));
    kinds.shuffle(&mut chance);
    strikes.shuffle(&mut chance);
    at.shuffle(&mut chance);
    let round = |place: usize, length: usize| place % length;
    (0..PAIRS)
        .map(|place| {
            let kind = kinds[round(place, kinds.len())];
            // A shift each time the kinds have gone round, or two lists of one length would always meet alike.
            let strike = strikes[round(place + place / kinds.len(), strikes.len())];
            let point = at[round(place, at.len())];
            let drawn = *[Mishap::Crash, Mishap::Stall].choose(&mut chance).expect("one");
            // Who stands still does not give a request up, and so the CA would never get it.
            let mishap = if strike == Strike::Late { Mishap::Crash } else { drawn };
            let second = Fault::AtPoint { point, nth: chance.random_range(1..4), mishap };
            let mut cell = Cell::of(struck(kind, strike));
            cell.new_orders_lost = cell.new_orders_lost.max(scenery(&second).1);
            cell.faults.push(second);
            cell
        })
        .collect()
}
