//! TXT records for the challenges of orders: rows first, then the provider, then the name servers; and away again.
//!
//! ```text
//! prove      where would the record stand, and who serves that zone?      nothing is written
//! present    row ──▶ only writer of the name ──▶ provider ──▶ row: published ──▶ look, twice, apart
//! sweep      authorization final ──▶ row: unwanted ──▶ only writer ──▶ provider ──▶ no row
//! ```
//!
//! A record that may stand at a provider has a row at every instant, whoever dies where. Writing twice is harmless. Between
//! looks nobody sleeps: what is waited for is the order's `due_at`.

mod instruments;
mod present;
mod prove;
mod sweep;
mod write;

use std::sync::Arc;
use std::time::Duration;

use issuance::time::Clock;

use crate::challenge::dns01::{Delegations, Providers, Watch};
use crate::store::Store;

use self::instruments::RecordInstruments;
pub use self::present::Presented;
pub use self::sweep::Swept;

/// How long a record is waited for, and how surely it is to be there.
#[derive(Debug, Clone, Copy)]
pub struct RecordSettings {
    /// Between the first look that shows it everywhere and the one that counts.
    pub rounds_apart: Duration,
    /// From when it was published.
    pub propagation_timeout: Duration,
}

/// Publishes, watches and removes. One per process.
#[derive(Debug)]
pub struct Records {
    store: Store,
    providers: Providers,
    delegations: Delegations,
    watch: Arc<dyn Watch>,
    clock: Arc<dyn Clock>,
    settings: RecordSettings,
    instruments: RecordInstruments,
}

impl Records {
    pub fn new(
        store: Store,
        providers: Providers,
        delegations: Delegations,
        watch: Arc<dyn Watch>,
        clock: Arc<dyn Clock>,
        settings: RecordSettings,
    ) -> Self {
        let instruments = RecordInstruments::register();
        Self { store, providers, delegations, watch, clock, settings, instruments }
    }
}
