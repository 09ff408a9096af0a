//! The plan in force, and what it has done.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use issuance::gcra::{Bucket, Decision};
use issuance::time::Timestamp;
use tokio::sync::watch;

use super::effect::Effect;
use super::fault::Fault;
use super::plan::Plan;
use crate::chance::Chance;
use crate::endpoint::Endpoint;

/// One fault, and what is left of it.
#[derive(Debug)]
struct Armed {
    fault: Fault,
    /// For `above_per_second`: when each address's bucket is full again.
    full_at: HashMap<Option<IpAddr>, Timestamp>,
}

#[derive(Debug, Default)]
struct InForce {
    armed: Vec<Armed>,
    since: Timestamp,
    struck: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
pub(crate) struct Faults {
    in_force: Mutex<InForce>,
    /// Sent with each plan: whoever holds something lets go.
    plans: watch::Sender<Release>,
    held: watch::Sender<usize>,
}

/// A request that is about to be struck, or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) now: Timestamp,
}

/// What becomes of what was held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Release {
    #[default]
    Go,
    Drop,
}

/// Something that is held; dropped, it is not.
#[derive(Debug)]
pub(crate) struct Hold<'a>(&'a watch::Sender<usize>);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|held| *held -= 1);
    }
}

impl Faults {
    pub(crate) fn new() -> Self {
        Self {
            in_force: Mutex::default(),
            plans: watch::Sender::new(Release::Go),
            held: watch::Sender::new(0),
        }
    }

    fn in_force(&self) -> MutexGuard<'_, InForce> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn replace(&self, faults: Vec<Fault>, held: Release, now: Timestamp) {
        let armed = faults.into_iter().map(|fault| Armed { fault, full_at: HashMap::new() }).collect();
        let mut in_force = self.in_force();
        in_force.armed = armed;
        in_force.since = now;
        drop(in_force);
        self.plans.send_replace(held);
    }

    /// With what is left of each `skip` and `times`.
    pub(crate) fn plan(&self, clock_skew_ms: i64) -> Plan {
        let faults = self.in_force().armed.iter().map(|armed| armed.fault.clone()).collect();
        Plan { clock_skew_ms, drop_held: false, faults }
    }

    pub(crate) fn struck(&self) -> BTreeMap<String, u64> {
        self.in_force().struck.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
    }

    pub(crate) fn count(&self, kind: &'static str) {
        *self.in_force().struck.entry(kind).or_default() += 1;
    }

    /// The first fault that applies and strikes this request. To call it is to be struck: it is counted.
    pub(crate) fn draw(
        &self,
        target: Target,
        chance: &Chance,
        applies: impl Fn(&Effect) -> bool,
    ) -> Option<Effect> {
        let mut in_force = self.in_force();
        let since_set = target.now.since(in_force.since);
        let armed = in_force
            .armed
            .iter_mut()
            .filter(|armed| applies(&armed.fault.effect))
            .find_map(|armed| armed.strikes(target, since_set, chance).then_some(&armed.fault.effect))?;
        let effect = armed.clone();
        *in_force.struck.entry(effect.kind()).or_default() += 1;
        Some(effect)
    }

    /// Returns when the plan is replaced. Counted as held until then, or until it is dropped.
    pub(crate) async fn hold(&self) -> Release {
        let mut plans = self.plans.subscribe();
        self.held.send_modify(|held| *held += 1);
        let _hold = Hold(&self.held);
        // Fails only if the sender is gone, and `self` has it.
        drop(plans.changed().await);
        *plans.borrow()
    }

    pub(crate) fn held(&self) -> watch::Receiver<usize> {
        self.held.subscribe()
    }
}

impl Armed {
    fn strikes(&mut self, target: Target, since_set: Duration, chance: &Chance) -> bool {
        let fault = &mut self.fault;
        let places = if fault.endpoints.is_empty() { fault.effect.places() } else { &fault.endpoints };
        if !(places.is_empty() || places.contains(&target.endpoint))
            || fault.times == Some(0)
            || fault.window.is_some_and(|window| !window.holds(since_set))
        {
            return false;
        }
        if let Some(rate) = fault.above_per_second {
            let full_at = self.full_at.entry(target.peer).or_insert(target.now);
            // At most a token a microsecond, which is what the clock tells apart.
            let bucket = Bucket::new(rate.get(), rate.get(), Duration::from_secs(1));
            if let Some(Decision::Granted { full_at: after }) =
                bucket.map(|bucket| bucket.spend(*full_at, 1, target.now))
            {
                *full_at = after;
                return false;
            }
        }
        if fault.share < 1.0 && !chance.happens(fault.share) {
            return false;
        }
        if fault.skip > 0 {
            fault.skip -= 1;
            return false;
        }
        fault.times = fault.times.map(|times| times - 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::Window;
    use super::*;

    const START: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

    fn strikes(faults: &Faults, chance: &Chance, endpoint: Endpoint, at_ms: u64) -> bool {
        let now = START.after(Duration::from_millis(at_ms));
        faults.draw(Target { endpoint, peer: None, now }, chance, |_| true).is_some()
    }

    fn armed(fault: Fault) -> (Faults, Chance) {
        let faults = Faults::new();
        faults.replace(vec![fault], Release::Go, START);
        (faults, Chance::new(7))
    }

    #[test]
    fn the_next_ones_are_struck_after_those_that_go_by() {
        let (faults, chance) =
            armed(Fault::new(Effect::DropRequest).at(Endpoint::NewOrder).after(2).times(3));
        let hits: Vec<bool> = (0..7).map(|_| strikes(&faults, &chance, Endpoint::NewOrder, 0)).collect();
        assert_eq!(hits, [false, false, true, true, true, false, false]);
        assert!(!strikes(&faults, &chance, Endpoint::Finalize, 0));
        assert_eq!(faults.struck(), BTreeMap::from([("drop_request".to_owned(), 3)]));
        assert_eq!((faults.plan(0).faults[0].skip, faults.plan(0).faults[0].times), (0, Some(0)));
    }

    #[test]
    fn a_share_is_drawn_from_the_seed() {
        let hits = |seed| {
            let (faults, _) = armed(Fault::new(Effect::DropRequest).share(0.25));
            let chance = Chance::new(seed);
            (0..1_000).map(|_| strikes(&faults, &chance, Endpoint::Order, 0)).collect::<Vec<bool>>()
        };
        assert_eq!(hits(1), hits(1));
        assert_ne!(hits(1), hits(2));
        let count = hits(1).into_iter().filter(|hit| *hit).count();
        assert!((200..300).contains(&count), "{count}");
    }

    #[test]
    fn a_window_opens_and_closes() {
        let window = Some(Window { from_ms: 10, until_ms: 20 });
        let (faults, chance) = armed(Fault { window, ..Fault::new(Effect::DropRequest) });
        let hits = [0, 9, 10, 19, 20].map(|at| strikes(&faults, &chance, Endpoint::Order, at));
        assert_eq!(hits, [false, false, true, true, false]);
    }

    #[test]
    fn only_what_is_above_the_rate_is_struck() {
        let above_per_second = std::num::NonZeroU32::new(2);
        let (faults, chance) = armed(Fault { above_per_second, ..Fault::new(Effect::DropRequest) });
        let hits = [0, 0, 0, 499, 500, 501, 3_000].map(|at| strikes(&faults, &chance, Endpoint::Order, at));
        assert_eq!(hits, [false, false, true, true, false, true, false]);
    }
}
