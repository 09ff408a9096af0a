//! What is to happen to a service at one of its points.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use lockkeeper::mishaps::{Fate, Meeting, Moment, Outcome, Point, Protection};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::watch;

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mishap {
    /// Everything of this service ends, as if its process were killed.
    Crash,
    /// Everything of it stands still until it is let go on, as after SIGSTOP.
    Stall,
    /// Every connection to the database is cut; after a commit, the answer is lost with it.
    Cut,
}

impl Mishap {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Stall => "stall",
            Self::Cut => "cut",
        }
    }
}

/// At which point, the how manieth time it is reached (from 1), what happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    pub point: Point,
    pub nth: u64,
    pub mishap: Mishap,
}

/// The fate of one life of one service.
#[derive(Debug)]
pub struct PlannedFate {
    plan: Option<Plan>,
    reached: AtomicU64,
    lacking: Option<Protection>,
    /// Whose connections are cut.
    database_url: String,
    struck: watch::Sender<bool>,
    standing_still: Mutex<bool>,
    goes_on: Condvar,
}

impl PlannedFate {
    pub fn new(plan: Option<Plan>, lacking: Option<Protection>, database_url: &str) -> Arc<Self> {
        Arc::new(Self {
            plan,
            reached: AtomicU64::new(0),
            lacking,
            database_url: database_url.to_owned(),
            struck: watch::Sender::new(false),
            standing_still: Mutex::new(false),
            goes_on: Condvar::new(),
        })
    }

    pub fn has_struck(&self) -> bool {
        *self.struck.borrow()
    }

    /// Returns when the service is to end as if killed; never, where it is not.
    pub async fn killed(&self) {
        let dies = self.plan.is_some_and(|plan| plan.mishap == Mishap::Crash);
        let mut struck = self.struck.subscribe();
        if !dies || struck.wait_for(|struck| *struck).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// As SIGCONT does.
    pub fn let_go_on(&self) {
        *self.standing_still.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.goes_on.notify_all();
    }

    /// Holds the only thread on which the service runs.
    fn stand_still(&self) {
        let mut still = self.standing_still.lock().unwrap_or_else(PoisonError::into_inner);
        *still = true;
        self.struck.send_replace(true);
        while *still {
            still = self.goes_on.wait(still).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Fate for PlannedFate {
    fn meets(&self, point: Point) -> Meeting<'_> {
        let strikes = self.plan.filter(|plan| plan.point == point);
        let strikes = strikes.filter(|plan| self.reached.fetch_add(1, Ordering::SeqCst) + 1 == plan.nth);
        Box::pin(async move {
            match strikes.map(|plan| plan.mishap) {
                None => Outcome::Unharmed,
                Some(Mishap::Crash) => {
                    self.struck.send_replace(true);
                    std::future::pending().await
                }
                Some(Mishap::Stall) => {
                    self.stand_still();
                    Outcome::Unharmed
                }
                Some(Mishap::Cut) => {
                    cut(&self.database_url).await.expect("connections can be cut");
                    self.struck.send_replace(true);
                    if point.moment == Moment::After { Outcome::Severed } else { Outcome::Unharmed }
                }
            }
        })
    }

    fn lacks(&self, protection: Protection) -> bool {
        self.lacking == Some(protection)
    }
}

/// Ends every session of a service in that database.
async fn cut(database_url: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(database_url).await?;
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'lockkeeper'",
    )
    .execute(&mut connection)
    .await?;
    Ok(connection.close().await?)
}
