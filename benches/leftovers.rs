//! What clients leave behind at the CA: certbot, lego and Lockkeeper, killed, stopped or hindered at the same moments,
//! and judged by the rehearsal CA's own books.
//!
//! ```text
//! make bench                                     this one too
//! make bench ORDERS=20                           20 orders of two names a cell, in place of 5
//! make bench CLIENT=lego,lockkeeper              some contestants
//! make bench ACCIDENT=killed_before_challenge    some rows
//! ```
//!
//! Wants `certbot` and `lego` installed, and PostgreSQL's programs for the service. The table is Markdown; the last line
//! is one JSON object with all figures.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use futures_util::stream::{StreamExt as _, TryStreamExt as _};
use lockkeeper_benches::leftovers::accident::Accident;
use lockkeeper_benches::leftovers::client::Client;
use lockkeeper_benches::leftovers::manners::Manners;
use lockkeeper_benches::leftovers::run::{Job, run};
use lockkeeper_benches::leftovers::table::Table;
use lockkeeper_benches::program;

const ORDERS: usize = 5;
/// Most of a job is waiting for something.
const JOBS_AT_ONCE: usize = 4;

#[tokio::main]
async fn main() -> Result<()> {
    program::path()?;
    let orders = match std::env::var("ORDERS") {
        Ok(text) if !text.is_empty() => text.parse().context("ORDERS is no number of orders")?,
        _ => ORDERS,
    };
    let wanted = |variable: &str, word: &str| {
        let words = std::env::var(variable).unwrap_or_default();
        words.is_empty() || words.split(',').any(|one| one == word)
    };
    let mut jobs = Vec::new();
    // The service first: it takes longest, and the others fill its waits.
    for client in Client::ALL.into_iter().rev().filter(|client| wanted("CLIENT", client.as_str())) {
        for accident in Accident::ALL.into_iter().filter(|one| wanted("ACCIDENT", one.as_str())) {
            if !client.can_meet(accident) {
                continue;
            }
            let manners = if accident.is_run_again() { Manners::ALL.as_slice() } else { &[Manners::Boulder] };
            jobs.extend(manners.iter().map(|&manners| Job { client, accident, manners, orders }));
        }
    }
    let mut table = Table::new(orders);
    for client in Client::ALL {
        table.names(client, client.version().await?);
    }
    let mut done = futures_util::stream::iter(jobs)
        .map(async |job| {
            let outcome = run(&job).await.with_context(|| format!("{job}"))?;
            anyhow::Ok((job, outcome))
        })
        .buffer_unordered(JOBS_AT_ONCE);
    while let Some((job, outcome)) = done.try_next().await? {
        writeln!(std::io::stderr().lock(), "{job}: {outcome}").context("standard error is closed")?;
        table.enter(&job, outcome);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}\n{}", table.markdown(), table.json()).context("standard output is closed")
}
