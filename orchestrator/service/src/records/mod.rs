//! TXT records for the challenges of orders: rows first, then the provider, then the name servers; and away again.
//!
//! ```text
//! prove      where would the record stand, and who serves that zone?      nothing is written
//! present    row ──▶ only writer of the name ──▶ provider ──▶ row: published ──▶ look, twice, apart
//! learn      verdict of the CA ──▶ how long the servers settle after that
//! sweep      authorization final ──▶ row: unwanted ──▶ only writer ──▶ provider ──▶ no row
//! ```
//!
//! A record that may stand at a provider has a row at every instant, whoever dies where. Writing twice is harmless. Between
//! looks nobody sleeps: what is waited for is the order's `due_at`.

mod instruments;
mod learn;
mod look;
mod persist;
mod present;
mod prove;
mod sweep;
mod write;

use std::sync::Arc;

use issuance::propagation::Pace;
use issuance::time::Clock;

use crate::challenge::dns01::Providers;
use crate::challenge::propagation::{Propagation, PropagationReport};
use crate::store::Store;

use self::instruments::RecordInstruments;
pub use self::present::Presented;
pub use self::sweep::Swept;

/// Publishes, watches and removes. One per process.
#[derive(Debug)]
pub struct Records {
    store: Store,
    providers: Providers,
    propagation: Propagation,
    clock: Arc<dyn Clock>,
    /// Of the looks at each record.
    pace: Pace,
    instruments: RecordInstruments,
}

impl Records {
    pub fn new(
        store: Store,
        providers: Providers,
        propagation: Propagation,
        clock: Arc<dyn Clock>,
        pace: Pace,
    ) -> Self {
        let instruments = RecordInstruments::register();
        Self { store, providers, propagation, clock, pace, instruments }
    }

    /// Whether all name servers show a value that somebody else has published.
    pub async fn look_for(&self, name: &str, value: &str) -> PropagationReport {
        self.propagation.look(name, &[value.to_owned()]).await
    }
}
