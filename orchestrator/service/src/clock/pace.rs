//! How a service lives through time: by itself, or from one instant to the next in the hands of a [`Conductor`].
//!
//! On the machine's clock everything here is nothing: whoever waits sleeps, and nobody is told who is at work. On a
//! driven clock, time must not go on while anything is under way, and nobody may sleep for a time that will never pass.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use issuance::time::{Clock as _, Timestamp};
use tokio::sync::{Notify, oneshot, watch};

use super::DrivenClock;

/// What a service is started with: the machine's pace, or a conductor's.
#[derive(Debug, Clone, Default)]
pub struct Pace(Option<Arc<Conductor>>);

impl Pace {
    /// Time passes by itself.
    pub const REAL: Self = Self(None);

    pub fn of(conductor: &Arc<Conductor>) -> Self {
        Self(Some(Arc::clone(conductor)))
    }

    /// Something is under way until what is returned is dropped.
    pub fn at_work(&self) -> AtWork {
        AtWork(self.0.as_ref().map(Conductor::begin))
    }

    /// Waits; whoever comes back is at work.
    pub async fn wait(&self, wait: Duration) -> AtWork {
        let Some(conductor) = &self.0 else {
            tokio::time::sleep(wait).await;
            return AtWork(None);
        };
        // Fails only if the conductor is gone, and `self` holds it.
        conductor.sleeper(wait).await.unwrap_or(AtWork(None))
    }

    /// Between two looks of whoever polls: `real` where time passes by itself, `driven` where each look is an instant more.
    pub fn interval(&self, real: Duration, driven: Duration) -> Duration {
        if self.0.is_some() { driven } else { real }
    }

    /// Somebody who looks for work when `bell` is rung.
    pub fn looker(&self, bell: &Arc<Notify>) -> Looker {
        Looker(self.0.as_ref().map(|conductor| (conductor.enrol(bell), Arc::clone(conductor))))
    }
}

/// Something that is under way.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct AtWork(#[expect(dead_code, reason = "held for its end")] Option<Working>);

#[derive(Debug)]
struct Working(Arc<Conductor>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.working.send_modify(|working| *working -= 1);
    }
}

/// See [`Pace::looker`].
#[derive(Debug)]
pub struct Looker(Option<(Arc<Looks>, Arc<Conductor>)>);

impl Looker {
    /// Begins a look, before the clock is read for it; it ends when what is returned is dropped.
    pub fn look(&self) -> AtWork {
        let Some((looks, conductor)) = &self.0 else { return AtWork(None) };
        let working = conductor.count();
        looks.begun.fetch_add(1, Ordering::SeqCst);
        AtWork(Some(working))
    }

    /// What stands in line waits for a door that opens then, and not before.
    pub fn waits_until(&self, opens_at: Option<Timestamp>) {
        if let Some((looks, _)) = &self.0 {
            *looks.opens_at.lock().unwrap_or_else(PoisonError::into_inner) = opens_at;
        }
    }
}

#[derive(Debug)]
struct Looks {
    bell: Arc<Notify>,
    begun: AtomicU64,
    opens_at: Mutex<Option<Timestamp>>,
}

/// Drives a clock, and knows all that goes on at its instants.
#[derive(Debug)]
pub struct Conductor {
    clock: Arc<DrivenClock>,
    /// Things under way.
    working: watch::Sender<usize>,
    /// Things that were begun, looks apart.
    begun: AtomicU64,
    cast: Mutex<Cast>,
}

#[derive(Debug, Default)]
struct Cast {
    lookers: Vec<Arc<Looks>>,
    sleepers: Vec<(Timestamp, oneshot::Sender<AtWork>)>,
}

impl Conductor {
    pub fn new(clock: Arc<DrivenClock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            working: watch::Sender::new(0),
            begun: AtomicU64::new(0),
            cast: Mutex::default(),
        })
    }

    pub fn clock(&self) -> &Arc<DrivenClock> {
        &self.clock
    }

    /// Moves the clock there, and wakes those who sleep until then.
    pub fn advance_to(self: &Arc<Self>, instant: Timestamp) {
        self.clock.advance_to(instant);
        let now = self.clock.now();
        let woken: Vec<_> = self.cast().sleepers.extract_if(.., |(until, _)| *until <= now).collect();
        for (_, sleeper) in woken {
            // At work before it knows. One that has gone meanwhile drops what it is sent.
            drop(sleeper.send(AtWork(Some(self.begin()))));
        }
    }

    /// Has everybody look, and returns when all have looked and nothing is under way. True if anything was begun.
    pub async fn settle(&self) -> bool {
        let before = self.begun.load(Ordering::SeqCst);
        let awaited: Vec<(Arc<Looks>, u64)> = {
            let cast = self.cast();
            // A look that was begun before this may have read the clock before it was moved.
            let begun = |looks: &Arc<Looks>| (Arc::clone(looks), looks.begun.load(Ordering::SeqCst));
            cast.lookers.iter().map(begun).collect()
        };
        for (looks, _) in &awaited {
            looks.bell.notify_one();
        }
        let all_have_looked =
            || awaited.iter().all(|(looks, before)| looks.begun.load(Ordering::SeqCst) > *before);
        let mut working = self.working.subscribe();
        // Fails only if the sender is gone, and `self` holds it.
        drop(working.wait_for(|working| *working == 0 && all_have_looked()).await);
        self.begun.load(Ordering::SeqCst) > before
    }

    /// Returns when so many look when they are rung.
    pub async fn enrolled(&self, lookers: usize) {
        let mut working = self.working.subscribe();
        drop(working.wait_for(|_| self.cast().lookers.len() >= lookers).await);
    }

    pub fn is_idle(&self) -> bool {
        *self.working.borrow() == 0
    }

    /// Until when the first sleeper sleeps.
    pub fn next_sleeper(&self) -> Option<Timestamp> {
        let mut cast = self.cast();
        cast.sleepers.retain(|(_, sleeper)| !sleeper.is_closed());
        cast.sleepers.iter().map(|(until, _)| *until).min()
    }

    /// When the first door opens that somebody waits at.
    pub fn next_door(&self) -> Option<Timestamp> {
        let now = self.clock.now();
        let cast = self.cast();
        let opens_at = |looks: &Arc<Looks>| *looks.opens_at.lock().unwrap_or_else(PoisonError::into_inner);
        cast.lookers.iter().filter_map(opens_at).filter(|opens_at| *opens_at > now).min()
    }

    fn cast(&self) -> MutexGuard<'_, Cast> {
        self.cast.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enrol(&self, bell: &Arc<Notify>) -> Arc<Looks> {
        let looks =
            Arc::new(Looks { bell: Arc::clone(bell), begun: AtomicU64::new(0), opens_at: Mutex::default() });
        self.cast().lookers.push(Arc::clone(&looks));
        // For whoever waits for this one.
        self.working.send_modify(|_| ());
        looks
    }

    fn count(self: &Arc<Self>) -> Working {
        self.working.send_modify(|working| *working += 1);
        Working(Arc::clone(self))
    }

    fn begin(self: &Arc<Self>) -> Working {
        let working = self.count();
        self.begun.fetch_add(1, Ordering::SeqCst);
        working
    }

    fn sleeper(&self, wait: Duration) -> oneshot::Receiver<AtWork> {
        let (wake, woken) = oneshot::channel();
        self.cast().sleepers.push((self.clock.now().after(wait), wake));
        woken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn conductor() -> Arc<Conductor> {
        Conductor::new(Arc::new(DrivenClock::starting_at(Timestamp::EPOCH)))
    }

    #[tokio::test]
    async fn a_sleeper_wakes_at_its_instant_and_is_at_work_from_then_on() {
        let conductor = conductor();
        let pace = Pace::of(&conductor);
        let sleeps = tokio::spawn(async move { pace.wait(MINUTE).await });
        while conductor.next_sleeper().is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(conductor.next_sleeper(), Some(Timestamp::EPOCH.after(MINUTE)));
        conductor.advance_to(Timestamp::EPOCH.after(MINUTE / 2));
        assert!(conductor.is_idle() && conductor.next_sleeper().is_some());
        conductor.advance_to(Timestamp::EPOCH.after(MINUTE));
        assert!(!conductor.is_idle());
        drop(sleeps.await.unwrap());
        assert!(conductor.is_idle() && conductor.next_sleeper().is_none());
    }

    #[tokio::test]
    async fn a_sleeper_that_has_gone_is_nobody() {
        let conductor = conductor();
        let pace = Pace::of(&conductor);
        let gone = tokio::time::timeout(Duration::ZERO, pace.wait(MINUTE)).await;
        assert!(gone.is_err());
        assert_eq!(conductor.next_sleeper(), None);
        conductor.advance_to(Timestamp::EPOCH.after(MINUTE));
        assert!(conductor.is_idle());
    }

    #[tokio::test]
    async fn all_has_settled_when_all_have_looked_and_their_work_is_done() {
        let conductor = conductor();
        let (pace, bell) = (Pace::of(&conductor), Arc::new(Notify::new()));
        let looker = pace.looker(&bell);
        let worker = tokio::spawn(async move {
            for found in [true, false] {
                bell.notified().await;
                let look = looker.look();
                let work = found.then(|| pace.at_work());
                drop(look);
                tokio::task::yield_now().await;
                drop(work);
            }
        });
        assert!(conductor.settle().await);
        assert!(!conductor.settle().await);
        worker.await.unwrap();
    }
}
