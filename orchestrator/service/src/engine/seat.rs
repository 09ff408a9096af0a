//! Places among those at work, and the way from one kind to the other.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// An order whose names are proven waits this long for a place at the CA before it goes back to the queue.
const SEAT_WAIT: Duration = Duration::from_secs(2);

/// A place among those at work. Dropping it frees the place, also on panic or cancellation.
#[derive(Debug)]
pub(super) struct Seat {
    proving: Option<OwnedSemaphorePermit>,
    at_the_ca: Option<OwnedSemaphorePermit>,
    door: mpsc::UnboundedSender<Waiting>,
}

/// Somebody at the door to the places at the CA, who keeps a prover's place meanwhile.
#[derive(Debug)]
pub(super) struct Waiting {
    proving: Option<OwnedSemaphorePermit>,
    seat: oneshot::Sender<OwnedSemaphorePermit>,
}

impl Seat {
    pub(super) fn proving(
        permit: Option<OwnedSemaphorePermit>,
        door: mpsc::UnboundedSender<Waiting>,
    ) -> Self {
        Self { proving: permit, at_the_ca: None, door }
    }

    pub(super) fn at_the_ca(
        permit: Option<OwnedSemaphorePermit>,
        door: mpsc::UnboundedSender<Waiting>,
    ) -> Self {
        Self { proving: None, at_the_ca: permit, door }
    }

    /// Changes a prover's place for one of the bounded places at the CA; false if none became free in time.
    pub(super) async fn reach_the_ca(&mut self) -> bool {
        if self.at_the_ca.is_some() {
            return true;
        }
        let (seat, seated) = oneshot::channel();
        // Whoever is told no by a closed door hears it below.
        drop(self.door.send(Waiting { proving: self.proving.take(), seat }));
        self.at_the_ca = tokio::time::timeout(SEAT_WAIT, seated).await.ok().and_then(Result::ok);
        self.at_the_ca.is_some()
    }
}

/// Those at the door, in the order they came.
#[derive(Debug, Default)]
pub(super) struct Waiters(VecDeque<Waiting>);

impl Waiters {
    pub(super) fn push(&mut self, waiting: Waiting) {
        self.0.push_back(waiting);
    }

    /// Lets those go who no longer wait; true if nobody is left.
    pub(super) fn is_empty(&mut self) -> bool {
        self.0.retain(|waiting| !waiting.seat.is_closed());
        self.0.is_empty()
    }

    /// Gives the place to the first who still waits, or back.
    pub(super) fn seat(&mut self, mut permit: OwnedSemaphorePermit) -> Option<OwnedSemaphorePermit> {
        while let Some(Waiting { proving, seat }) = self.0.pop_front() {
            match seat.send(permit) {
                Ok(()) => {
                    drop(proving);
                    return None;
                }
                Err(back) => permit = back,
            }
        }
        Some(permit)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_place_at_the_ca_goes_to_the_first_who_still_waits_and_frees_a_provers_place() {
        let (provers, places) = (Arc::new(Semaphore::new(2)), Arc::new(Semaphore::new(1)));
        let (door, mut comers) = mpsc::unbounded_channel();
        let prover = || Seat::proving(Arc::clone(&provers).try_acquire_owned().ok(), door.clone());
        let (mut impatient, mut patient) = (prover(), prover());
        // Asks, and is gone before anybody could answer.
        let gone = tokio::time::timeout(Duration::ZERO, impatient.reach_the_ca()).await;
        assert!(gone.is_err());
        let waits = tokio::spawn(async move { (patient.reach_the_ca().await, patient) });
        let mut waiters = Waiters::default();
        waiters.push(comers.recv().await.unwrap());
        waiters.push(comers.recv().await.unwrap());
        assert_eq!(provers.available_permits(), 0);

        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        assert!(waiters.seat(place).is_none());
        let (seated, seat) = waits.await.unwrap();
        assert!(seated && waiters.is_empty());
        assert_eq!((provers.available_permits(), places.available_permits()), (2, 0));
        drop(seat);
        assert_eq!(places.available_permits(), 1);
    }

    #[tokio::test]
    async fn nobody_waits_behind_a_closed_door() {
        let (door, comers) = mpsc::unbounded_channel();
        drop(comers);
        assert!(!Seat::proving(None, door).reach_the_ca().await);
    }
}
