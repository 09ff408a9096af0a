//! The only SQL.
//!
//! A module is a noun, a function is a verb; whatever a tenant may see takes the tenant first. No statement
//! reads the database's clock: the instant is a parameter. No transaction stays open while a peer on the
//! network is waited for.

mod account_lock;
pub mod accounts;
pub mod admissions;
pub mod aftermath;
mod ahead;
pub mod announcements;
pub mod api_keys;
pub mod audits;
pub mod authorizations;
pub mod authorizations_view;
pub mod backoffs;
pub mod bundles;
pub mod campaigns;
mod candidates;
pub mod census;
pub mod certificate_actions;
pub mod certificate_wishes;
pub mod certificates;
pub mod charges;
pub mod check_overrides;
pub mod check_records;
pub mod checks;
pub mod claims;
pub mod deployments;
pub mod diagnoses;
pub mod dns_delegations;
pub mod dns_records;
pub mod events;
pub mod events_view;
pub mod explanations;
pub mod faults;
pub mod fence;
pub mod fetches;
pub mod fleet_samples;
mod flights;
pub mod forecast;
pub mod headroom;
pub mod hostname_wishes;
pub mod hostnames;
pub mod hostnames_view;
pub mod idempotent_answers;
pub mod imports;
pub mod key_erasures;
pub mod key_plans;
pub mod keyring;
pub mod last_errors;
pub mod leases;
pub mod lessons;
pub mod limit_overrides;
pub mod lines;
mod meters;
mod mint;
pub mod oidc_users;
pub mod order_ends;
pub mod order_problems;
mod order_row;
pub mod order_traces;
pub mod orders_view;
pub mod orphans;
pub mod orphans_view;
mod outage;
pub mod page;
pub mod pauses;
pub mod positions;
mod queueing;
pub mod quotas;
pub mod rehearsals;
pub mod relinquishments;
pub mod renewal_orders;
pub mod renewals;
pub mod rescues;
pub mod responses;
pub mod restores;
pub mod revocations;
pub mod schema;
pub mod scope;
pub mod sessions;
pub mod settle_wishes;
pub mod settlings;
mod sign_in_ways;
#[cfg(feature = "fault-injection")]
mod step_points;
pub mod steps;
pub mod strays;
pub mod summary;
pub mod tenant_removals;
pub mod tenants;
pub mod timelines;
pub mod transfers;
pub mod users;
pub mod versions;
pub mod viewer;
pub mod watches;
pub mod webhook_attempts;
pub mod webhook_deliveries;
pub mod webhooks;
mod wishes;
pub mod work;

pub use order_row::Ownership;

use std::sync::Arc;
use std::time::Duration;

use issuance::ids::{EventId, OrderId};
use issuance::time::Timestamp;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::types::time::OffsetDateTime;
use sqlx::{Connection, PgConnection, Postgres, Transaction};
use tokio::sync::OnceCell;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use self::mint::Mint;

pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// A connection that was used this recently is taken to be alive.
const IDLE_TRUSTED: Duration = Duration::from_secs(1);

/// The database, as everybody but this module sees it.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    /// Whether the second fence between tenants stands, once that was asked.
    fence: Arc<OnceCell<bool>>,
    /// Rung when a step was committed by this process: whoever waits for a change looks again. Other replicas' are seen by
    /// looking now and then.
    moved: Arc<Notify>,
}

/// The connections of one process to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    pub in_use: u32,
    pub idle: u32,
    pub max: u32,
}

/// What can go wrong between here and Postgres.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database URL cannot be read: write postgres://user@host/database")]
    Url(#[source] sqlx::Error),
    #[error("the database cannot be reached")]
    Connect(#[source] sqlx::Error),
    /// It follows another server, and may be behind it: nothing that is read here is the truth.
    #[error("the database is a standby: point the URL at the primary, or at what leads to it")]
    Standby,
    #[error("the schema could not be brought up to date")]
    Migrate(#[source] MigrateError),
    #[error("{what} failed in the database")]
    Query {
        what: &'static str,
        #[source]
        source: sqlx::Error,
    },
    /// A row says what no release of this service writes.
    #[error("{table} holds a row that makes no sense: {what}")]
    Inconsistent { table: &'static str, what: String },
}

impl StoreError {
    /// For `map_err`: names the operation whose statement failed.
    pub(crate) fn of(what: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::Query { what, source }
    }

    /// For whoever gives up before the database has answered.
    pub fn timed_out(what: &'static str) -> Self {
        Self::Query { what, source: sqlx::Error::PoolTimedOut }
    }

    /// The answer of the database was lost on its way.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn severed(what: &'static str) -> Self {
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        Self::Query { what, source: sqlx::Error::Io(reset) }
    }

    /// Whether the database is away, rather than unhappy with what it was asked: worth another try later.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Standby => true,
            Self::Connect(error)
            | Self::Query { source: error, .. }
            | Self::Migrate(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
                outage::is_one(error)
            }
            Self::Url(_) | Self::Migrate(_) | Self::Inconsistent { .. } => false,
        }
    }

    /// Of a transaction: whether it is certain that nothing of it was written, because its COMMIT was never sent
    /// or was refused, for a reason that passes.
    pub fn was_rolled_back(&self) -> bool {
        match self {
            Self::Query { what, source } if what.ends_with(".commit") => outage::rolled_back(source),
            _ => self.is_unavailable(),
        }
    }
}

impl Store {
    /// Connects lazily: the first query finds out whether the database is there.
    ///
    /// # Errors
    /// The URL is malformed.
    pub fn open(url: &str, connections_max: u32) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url.parse().map_err(StoreError::Url)?;
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(Duration::from_secs(10))
            // A connection in steady use needs no round trip to see that it is alive.
            .test_before_acquire(false)
            .before_acquire(|connection, known| {
                Box::pin(async move {
                    if known.idle_for > IDLE_TRUSTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(|connection, _| {
                Box::pin(async move {
                    outage::refuse_standby(&mut *connection).await?;
                    // A process that stands still in the gate holds the account's row, and everybody else waits.
                    sqlx::query("set idle_in_transaction_session_timeout = '5s'").execute(connection).await?;
                    Ok(())
                })
            })
            .connect_lazy_with(options.application_name("lockkeeper"));
        Ok(Self::from_pool(pool))
    }

    pub fn from_pool(pool: PgPool) -> Self {
        Self { pool, fence: Arc::default(), moved: Arc::default() }
    }

    /// Comes when an order has moved in this process, from the moment it is asked for.
    pub fn moved(&self) -> Notified<'_> {
        self.moved.notified()
    }

    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Brings the schema up to date; safe on several replicas at once (an advisory lock orders them).
    pub async fn migrate(&self) -> Result<(), StoreError> {
        MIGRATOR.run(&self.pool).await.map_err(StoreError::Migrate)?;
        // Each time: a release may have brought tables, and an administrator the roles that were missing.
        self.raise_fence().await.map(drop)
    }

    /// An id for an order that is about to be.
    pub fn mint_order(&self, now: Timestamp) -> OrderId {
        OrderId(Mint::at(now).uuid())
    }

    /// An id for an event that is about to be told.
    pub fn mint_event(&self, now: Timestamp) -> EventId {
        EventId(Mint::at(now).uuid())
    }

    pub(crate) async fn connection(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        self.pool.acquire().await.map_err(StoreError::of("store.acquire"))
    }

    /// A transaction by its name, which is what its errors and metrics are filed under.
    pub(crate) async fn begin(
        &self,
        name: &'static str,
    ) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.pool.begin().await.map_err(StoreError::of(name))
    }

    /// Connects once, beside the pool, to learn why nobody answers if nobody does: the pool only says that it
    /// has waited.
    pub async fn reach(&self) -> Result<(), StoreError> {
        let options = self.pool.connect_options();
        let mut connection = PgConnection::connect_with(&options).await.map_err(StoreError::Connect)?;
        let standby = outage::is_standby(&mut connection).await.map_err(StoreError::Connect)?;
        connection.close().await.map_err(StoreError::Connect)?;
        if standby { Err(StoreError::Standby) } else { Ok(()) }
    }

    /// Asks for nothing, to see that somebody answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query!("select 1 as one").fetch_one(&self.pool).await.map_err(StoreError::of("store.ping"))?;
        Ok(())
    }

    /// How many connections of this process are open, and how many of those nobody uses now.
    pub fn connections(&self) -> Connections {
        let open = self.pool.size();
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX).min(open);
        Connections { in_use: open - idle, idle, max: self.pool.options().get_max_connections() }
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// To SQL, in whole microseconds, as `interval` and `timestamptz` have them.
fn sql_micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// To SQL. An instant outside the calendar type's years becomes its last one, which is past every deadline.
pub(crate) fn sql_instant(at: Timestamp) -> OffsetDateTime {
    at.to_datetime()
        .unwrap_or(OffsetDateTime::new_utc(sqlx::types::time::Date::MAX, sqlx::types::time::Time::MIDNIGHT))
}
