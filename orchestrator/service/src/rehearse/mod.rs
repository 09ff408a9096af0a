//! The whole service in virtual time: replicas, a database, the rehearsal CA and a fake fleet on one clock, driven from
//! one due instant to the next.
//!
//! ```text
//!                  ┌──── look, and say when all is done ────┐
//!  Conductor ── advance, ring ──▶ replicas ──▶ Postgres     │
//!      │                              │ └──▶ rehearsal CA ──┤ quiet?
//!      └── what is due next? ── Postgres, those who sleep ◀─┘
//! ```
//!
//! Every wait of the service is an instant in Postgres, and everything else takes no time that anybody could read. So
//! weeks under a CA's limits take minutes, and what comes out of them is what the service would have done.

mod fleet;
mod prediction;
mod report;
mod stage;

use std::time::{Duration, Instant};

use bytes::Bytes;
use issuance::fairness::Lane;
use issuance::profile::{CaProfile, RequestRates};
use issuance::time::{Clock as _, Timestamp};
use rehearsal::ca::{CaRules, RehearsalCa, StartError};
use rehearsal::fleet::FleetError;
use rehearsal::limits::HistoryError;

pub use self::prediction::Prediction;
pub use self::report::{Hour, Report};
use self::stage::Stage;
use crate::adopt::csv::{FileError, Parsed, Row, Rows};
use crate::app::AppError;
use crate::cluster::ClusterError;
use crate::store::rehearsals::Dues;
use crate::store::{Store, StoreError, limit_overrides};

/// Whether all is done is worth a question before a leap of at least this.
const LEAP: Duration = Duration::from_secs(5);
/// Something may be due although nobody takes it, for a moment of real time: another replica's work ends.
const AGAIN_AFTER: Duration = Duration::from_millis(5);
const AGAIN_MAX: u32 = 50;

/// What is rehearsed.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the service takes the CA for.
    pub profile: CaProfile,
    /// What the CA is.
    pub rules: CaRules,
    pub replicas: u16,
    /// Orders that one replica works on at the CA at once.
    pub workers: u16,
    /// The share of sites that are broken, from 0 to 1.
    pub broken: f64,
    /// Draws which ones, and how.
    pub seed: u64,
    /// An empty database; without one, a private cluster in a temporary folder.
    pub database_url: Option<String>,
    pub start: Timestamp,
}

impl Options {
    /// One CA as the service and the CA itself see it, four replicas, no broken sites.
    pub fn new(profile: CaProfile, rules: CaRules, start: Timestamp) -> Self {
        Self { profile, rules, replicas: 4, workers: 16, broken: 0.0, seed: 1, database_url: None, start }
    }
}

/// Why nothing can be rehearsed.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    #[error("a temporary folder cannot be made")]
    Folder(#[source] std::io::Error),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("the database of a rehearsal is no URL for Postgres")]
    DatabaseUrl(#[from] crate::config::DatabaseUrlError),
    #[error("the CA's directory is unusable")]
    Directory(#[from] crate::config::DirectoryUrlError),
    #[error("the fleet does not start")]
    Fleet(#[from] FleetError),
    #[error("the rehearsal CA does not start")]
    Ca(#[from] StartError),
    #[error("the CA takes no such history")]
    History(#[from] HistoryError),
    #[error("a replica does not start or stop")]
    App(#[from] AppError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no replica has made an account")]
    NoAccount,
}

/// A file of sites, as `import csv` takes it.
#[derive(Debug, Clone)]
pub struct Sites {
    rows: Vec<Row>,
    /// In which their orders wait; that of a bulk import, where it is not set.
    pub lane: Lane,
    pub rows_refused: u64,
    /// When just these sets were issued last, if they were: then they are renewals for the CA.
    pub issued_at: Option<Timestamp>,
}

impl Sites {
    /// Rows that are wrong are left out, and counted.
    pub fn read(csv: Bytes, profile: &CaProfile) -> Result<Self, FileError> {
        let mut sites = Self { rows: Vec::new(), lane: Lane::Bulk, rows_refused: 0, issued_at: None };
        for parsed in Rows::new(csv, profile.names_max)? {
            match parsed {
                Parsed::Row(row) => sites.rows.push(*row),
                Parsed::Repeat { .. } => {}
                Parsed::Refused(_) => sites.rows_refused += 1,
            }
        }
        Ok(sites)
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All is issued, or nobody but a site's owner can help.
    Done,
    /// The time that was given is over.
    TimeIsUp,
}

/// A rehearsal that is under way. Its time stands still between two calls.
#[derive(Debug)]
pub struct Rehearsal {
    stage: Stage,
    start: Timestamp,
    began: Instant,
    leaps: u64,
}

impl Rehearsal {
    /// Starts everything, and returns when the replicas know the CA.
    pub async fn start(options: Options) -> Result<Self, RehearsalError> {
        let (start, began) = (options.start, Instant::now());
        let mut profile = options.profile.clone();
        // Smoothed over real time, of which none passes here.
        profile.requests_per_second = RequestRates::UNLIMITED;
        let stage = Stage::set(Options { profile, ..options }).await?;
        Ok(Self { stage, start, began, leaps: 0 })
    }

    pub fn now(&self) -> Timestamp {
        self.stage.conductor.clock().now()
    }

    pub fn ca(&self) -> &RehearsalCa {
        &self.stage.ca
    }

    pub fn store(&self) -> &Store {
        &self.stage.store
    }

    /// Has it found out whether the CA grants more new orders than is known.
    pub async fn seek_more(&self, until: Timestamp) -> Result<(), RehearsalError> {
        Ok(limit_overrides::seek_unasked(&self.stage.store, self.stage.account, Some(until)).await?)
    }

    /// Hands sites over; returns how many were new.
    pub async fn import(&mut self, sites: &Sites) -> Result<u64, RehearsalError> {
        if let Some(issued_at) = sites.issued_at {
            self.stage.remember(&sites.rows, issued_at).await?;
        }
        self.stage.import(&sites.rows, sites.lane).await
    }

    /// Lets time go on until all is done, or until `end`.
    pub async fn run_until(&mut self, end: Timestamp) -> Result<Ending, RehearsalError> {
        loop {
            let dues = self.still().await?;
            let conductor = &self.stage.conductor;
            let now = self.now();
            let next =
                [dues.next_at, conductor.next_door(), conductor.next_sleeper()].into_iter().flatten().min();
            let leap = next.map_or(Duration::MAX, |next| now.until(next));
            if leap >= LEAP && !self.stage.store.is_moving().await? {
                return Ok(Ending::Done);
            }
            let Some(next) = next.filter(|next| *next <= end) else {
                conductor.advance_to(end);
                self.still().await?;
                return Ok(Ending::TimeIsUp);
            };
            conductor.advance_to(next);
            self.leaps += 1;
        }
    }

    /// Returns when nothing is left to do at this instant.
    async fn still(&self) -> Result<Dues, RehearsalError> {
        let Stage { conductor, ca, store, .. } = &self.stage;
        let mut idle_rounds = 0;
        loop {
            let begun = conductor.settle().await;
            ca.quiet().await;
            let dues = store.dues(self.now()).await?;
            if !conductor.is_idle() || !ca.is_quiet() {
                continue;
            }
            if !dues.is_due {
                return Ok(dues);
            }
            if begun {
                idle_rounds = 0;
                continue;
            }
            // All have looked, and have left it: it waits for a door, of which they know, or for a moment.
            idle_rounds += 1;
            if conductor.next_door().is_some() || idle_rounds > AGAIN_MAX {
                return Ok(dues);
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// What has come of it so far.
    pub async fn report(&self) -> Result<Report, RehearsalError> {
        Report::gather(&self.stage, self.start, self.began.elapsed(), self.leaps).await
    }

    /// Stops everything, and removes what it has left.
    pub async fn stop(self) -> Result<(), RehearsalError> {
        self.stage.strike().await
    }
}
