//! Seats for connections. When all are taken, the one that has done nothing for longest makes room: whoever opens
//! connections and then says nothing, says it one byte at a time, or does not listen, takes no seat from a CA.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(super) struct Seats {
    capacity: usize,
    opened_at: Instant,
    room: Mutex<Room>,
    left: Notify,
}

#[derive(Default)]
struct Room {
    taken: HashMap<u64, Arc<Place>>,
    next: u64,
}

/// What a connection does with its seat.
#[derive(Debug)]
struct Place {
    /// Microseconds since the seats were opened: when it last sent a whole request.
    heard_at: AtomicU64,
    /// A request is being answered: it waits for us, not we for it.
    answering: AtomicBool,
    lost: CancellationToken,
}

/// A seat that was taken; given back when dropped.
pub(super) struct Seat {
    number: u64,
    place: Arc<Place>,
    seats: Arc<Seats>,
}

impl Seats {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            opened_at: Instant::now(),
            room: Mutex::default(),
            left: Notify::new(),
        }
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened_at.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Takes a seat, from somebody else if there is no other. The flag says so. Where all others are being answered,
    /// waits until one of them is done.
    pub(super) async fn take(self: &Arc<Self>) -> (Seat, bool) {
        loop {
            let left = self.left.notified();
            if let Some(taken) = self.try_take() {
                return taken;
            }
            left.await;
        }
    }

    /// Takes every seat away.
    pub(super) fn clear(&self) {
        for place in self.room().taken.values() {
            place.lost.cancel();
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<(Seat, bool)> {
        let mut room = self.room();
        let mut evicted = false;
        if room.taken.len() >= self.capacity {
            let idle = room.taken.iter().filter(|(_, place)| !place.answering.load(Ordering::Acquire));
            let longest = idle.min_by_key(|(_, place)| place.heard_at.load(Ordering::Relaxed));
            let number = *longest?.0;
            if let Some(place) = room.taken.remove(&number) {
                place.lost.cancel();
                evicted = true;
            }
        }
        let number = room.next;
        room.next += 1;
        let place = Arc::new(Place {
            heard_at: AtomicU64::new(self.now()),
            answering: AtomicBool::new(false),
            lost: CancellationToken::new(),
        });
        room.taken.insert(number, Arc::clone(&place));
        Some((Seat { number, place, seats: Arc::clone(self) }, evicted))
    }
}

impl Seat {
    /// A whole request has come; until the answer is ready nobody takes the seat.
    pub(super) fn answering(&self) -> Answering<'_> {
        self.place.heard_at.store(self.seats.now(), Ordering::Relaxed);
        self.place.answering.store(true, Ordering::Release);
        Answering(self)
    }

    /// Returns when somebody else has taken it.
    pub(super) async fn lost(&self) {
        self.place.lost.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.room().taken.remove(&self.number);
        self.seats.left.notify_one();
    }
}

pub(super) struct Answering<'a>(&'a Seat);

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.place.answering.store(false, Ordering::Release);
        self.0.seats.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn who_was_heard_longest_ago_makes_room() {
        let seats = Arc::new(Seats::new(2));
        let ((first, _), (second, evicted)) = (seats.take().await, seats.take().await);
        assert!(!evicted);
        first.place.heard_at.store(2, Ordering::Relaxed);
        second.place.heard_at.store(1, Ordering::Relaxed);
        let (third, evicted) = seats.take().await;
        assert!(evicted && second.lost().now_or_never().is_some(), "the second was heard earlier");
        assert!(first.lost().now_or_never().is_none() && third.lost().now_or_never().is_none());
        drop(second);
        assert_eq!(seats.room().taken.len(), 2, "its seat is somebody else's by now");
    }

    #[tokio::test]
    async fn nobody_who_is_being_answered_loses_the_seat() {
        let seats = Arc::new(Seats::new(1));
        let (only, _) = seats.take().await;
        let answering = only.answering();
        assert!(seats.take().now_or_never().is_none());
        drop(answering);
        let (_, evicted) = seats.take().now_or_never().expect("a seat");
        assert!(evicted);
    }
}
