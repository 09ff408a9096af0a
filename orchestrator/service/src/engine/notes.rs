//! Notes: what checks found and what the CA said of names, written down beside the orders.
//!
//! Nobody waits for a note: nothing is decided from it that could not be found out again, so an order is neither slowed
//! down by one nor committed with it. Those that come together are written together; those for which there is no room, or
//! no database, are gone.

use issuance::ids::AccountId;
use metrics::{Counter, counter, describe_counter};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::store::checks::{CaSaid, CheckRecord};
use crate::store::{Store, StoreError};

use super::EngineParts;

const BATCH_MAX: usize = 256;
/// Notes that wait to be written, at the most.
const WAITING_MAX: usize = 16_384;
const LOST: &str = "lockkeeper_notes_lost_total";

#[derive(Debug)]
pub(super) enum Note {
    Checked(CheckRecord),
    CaSaid(CaSaid),
}

#[derive(Debug)]
pub(super) struct Notes {
    sender: mpsc::Sender<Note>,
    lost: Counter,
}

impl Notes {
    pub(super) fn start(parts: &EngineParts, tasks: &TaskTracker, stop: CancellationToken) -> Self {
        describe_counter!(LOST, "Findings that were not written down: there was no room, or no database.");
        let lost = counter!(LOST);
        lost.increment(0);
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let writer = Writer { store: parts.store.clone(), account: parts.account_id, lost: lost.clone() };
        tasks.spawn(writer.run(receiver, stop));
        Self { sender, lost }
    }

    pub(super) fn take(&self, note: Note) {
        if self.sender.try_send(note).is_err() {
            self.lost.increment(1);
        }
    }
}

struct Writer {
    store: Store,
    account: AccountId,
    lost: Counter,
}

impl Writer {
    async fn run(self, mut receiver: mpsc::Receiver<Note>, stop: CancellationToken) {
        let mut notes = Vec::with_capacity(BATCH_MAX);
        loop {
            let open = tokio::select! {
                count = receiver.recv_many(&mut notes, BATCH_MAX) => count > 0,
                // What was taken before is still written.
                () = stop.cancelled() => {
                    receiver.close();
                    receiver.recv_many(&mut notes, WAITING_MAX).await > 0
                }
            };
            if !open {
                return;
            }
            let count = notes.len() as u64;
            if let Err(error) = self.write(notes.drain(..)).await {
                self.lost.increment(count);
                warn!(
                    event = "notes.lost",
                    error = &error as &dyn std::error::Error,
                    "{count} findings could not be written down"
                );
            }
        }
    }

    async fn write(&self, notes: impl Iterator<Item = Note>) -> Result<(), StoreError> {
        let (mut checked, mut said) = (Vec::new(), Vec::new());
        for note in notes {
            match note {
                Note::Checked(record) => checked.push(record),
                Note::CaSaid(words) => said.push(words),
            }
        }
        if !checked.is_empty() {
            self.store.record_checks(self.account, &checked).await?;
        }
        if !said.is_empty() {
            self.store.record_ca_words(self.account, &said).await?;
        }
        Ok(())
    }
}
