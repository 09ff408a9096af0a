//! Who follows: so many of one key, and so many in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use issuance::ids::ApiKeyId;

/// Of one key.
pub(super) const OF_A_KEY: usize = 4;
/// Of this process.
const IN_ALL: usize = 256;

/// The seats of those who follow.
#[derive(Debug, Clone, Default)]
pub(in crate::api) struct Seats(Arc<Mutex<HashMap<ApiKeyId, usize>>>);

/// One of them; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    key: ApiKeyId,
}

impl Seats {
    /// `None`: there is none left for this key.
    pub(super) fn take(&self, key: ApiKeyId) -> Option<Seat> {
        let mut taken = self.lock();
        let all: usize = taken.values().sum();
        let own = taken.entry(key).or_default();
        if *own >= OF_A_KEY || all >= IN_ALL {
            if *own == 0 {
                taken.remove(&key);
            }
            return None;
        }
        *own += 1;
        Some(Seat { seats: self.clone(), key })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ApiKeyId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        if let Some(own) = taken.get_mut(&self.key) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_key_has_so_many_seats_and_gets_them_back() {
        let (seats, key) = (Seats::default(), ApiKeyId(Uuid::from_u128(1)));
        let mut taken: Vec<Seat> = (0..OF_A_KEY).map(|_| seats.take(key).expect("a seat")).collect();
        assert!(seats.take(key).is_none());
        assert!(seats.take(ApiKeyId(Uuid::from_u128(2))).is_some(), "others have their own");
        taken.pop();
        assert!(seats.take(key).is_some());
        drop(taken);
        assert!(seats.lock().is_empty());
    }

    #[test]
    fn there_are_so_many_in_all() {
        let seats = Seats::default();
        let taken: Vec<Seat> =
            (0..IN_ALL).map(|n| seats.take(ApiKeyId(Uuid::from_u128(n as u128))).expect("a seat")).collect();
        assert!(seats.take(ApiKeyId(Uuid::max())).is_none());
        assert_eq!(seats.lock().len(), taken.len());
    }
}
