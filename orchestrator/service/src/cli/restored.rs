//! `lockkeeper restored`: what is to be done before the first start on a database of an earlier instant.

use clap::Args;
use issuance::time::Clock as _;
use serde::Serialize;

use super::database::Database;
use super::error::CliError;
use super::exit::Exit;
use super::listing::or_dash;
use super::output::Output;
use crate::clock::SystemClock;
use crate::config::{Config, ca_profile};
use crate::store::Store;

/// After a backup was restored, or commits were lost, and with every replica stopped: what the CA has counted since is not
/// known, so every limit of it counts as used up, and refills by its own rule from now on.
#[derive(Debug, Args)]
pub struct RestoredArgs {
    /// No replica runs.
    #[arg(long, required = true)]
    pub stopped: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    ca: String,
    buckets_emptied: u64,
    /// When the last of them is full again.
    full_at: Option<String>,
    orders_due: u64,
}

pub(super) async fn run(_: &RestoredArgs, config: &Config, output: Output) -> Result<Exit, CliError> {
    let database = Database::open(config).await?;
    let outcome = mark(config, &database.store, output).await;
    database.close().await?;
    outcome
}

async fn mark(config: &Config, store: &Store, output: Output) -> Result<Exit, CliError> {
    store.migrate().await?;
    let profile = ca_profile::load(&config.ca.profile)?;
    let marked = store.mark_restored(&config.ca.name, &profile, SystemClock.now()).await?;
    let report = Report {
        ca: config.ca.name.clone(),
        buckets_emptied: marked.buckets,
        full_at: marked.full_at.map(|at| at.to_string()),
        orders_due: marked.orders,
    };
    output.show(&report, ["restored", ""], |report| {
        [
            ("CA", report.ca.clone()),
            ("limits used up", report.buckets_emptied.to_string()),
            ("full again", or_dash(report.full_at.as_ref())),
            ("orders looked at anew", report.orders_due.to_string()),
        ]
        .map(|(fact, value)| [fact.to_owned(), value])
        .to_vec()
    })?;
    Ok(Exit::Done)
}
