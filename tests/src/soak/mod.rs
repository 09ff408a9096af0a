//! The soak: a fleet is certified while workers are killed, stopped and cut off at instants that nobody chose.
//!
//! ```text
//!   worker × 3 ──wire──▶ Postgres      the storm kills, stops and ends workers, restarts Postgres,
//!      │  responder ───▶               and cuts both wires
//!      └──wire──▶ rehearsal CA ──▶ fleet
//! ```
//!
//! Workers and the responder are processes of the real program; CA and fleet live in the soak's own process, because
//! the CA's books are what it is judged by. When the storm is over, everything heals, and the verdict is drawn once
//! nothing moves any more.

mod stage;
mod storm;
mod verdict;
mod worker;

use std::time::Duration;

use tracing::info;

use self::stage::Stage;
use self::storm::Storm;
pub use self::verdict::Verdict;

/// What is played.
#[derive(Debug, Clone, PartialEq)]
pub struct SoakPlan {
    /// The same seed draws the same fleet, and the same faults in the same order. Processes take turns as they
    /// please, so what a fault hits differs.
    pub seed: u64,
    /// Of one fleet. When it is done and the storm is not, the next one is imported.
    pub sites: usize,
    /// The storm ends after so many.
    pub kills: u64,
    /// The storm ends then at the latest.
    pub storm_max: Duration,
    /// Between two faults, on average.
    pub pause: Duration,
    /// Faults other than kills: of 1,000 in all, so many of each kind.
    pub mixture: Mixture,
}

/// Per mille of the faults; the rest are kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mixture {
    /// SIGSTOP for longer than a lease, then SIGCONT.
    pub stops: u32,
    /// SIGTERM.
    pub terminations: u32,
    /// Fast, immediate, and by SIGKILL.
    pub postgres_restarts: u32,
    /// Connections to the CA, all at once.
    pub ca_cuts: u32,
    /// Connections to the database, all at once.
    pub database_cuts: u32,
}

impl Default for Mixture {
    fn default() -> Self {
        Self { stops: 10, terminations: 30, postgres_restarts: 12, ca_cuts: 40, database_cuts: 25 }
    }
}

/// Plays `plan` from the first import to the verdict.
pub async fn run(plan: &SoakPlan) -> anyhow::Result<Verdict> {
    let stage = Stage::set(plan).await?;
    info!(seed = plan.seed, folder = %stage.folder().display(), "The soak begins");
    let mut storm = Storm::over(stage, plan).await?;
    storm.rage().await?;
    let (stage, damage) = storm.calm().await?;
    let verdict = verdict::reach(&stage, plan, damage).await?;
    stage.strike(verdict.is_clean()).await?;
    Ok(verdict)
}
