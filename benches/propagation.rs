//! DNS-01 names whose records spread at random: how late each is submitted, and whether a CA would have failed any.
//!
//! ```text
//! cargo bench -p lockkeeper-benches --bench propagation            10,000 names, servers up to 120 s behind
//! NAMES=1000 SEED=3 HIDDEN=60 cargo bench …                        fewer; machines unseen up to 60 s behind those
//! ```
//!
//! The last line is one JSON object with all figures.

use std::time::Duration;

use anyhow::Result;
use lockkeeper_benches::console::{number, say};
use lockkeeper_benches::propagation::{Play, play};

#[tokio::main]
async fn main() -> Result<()> {
    let names: usize = number("NAMES", 10_000)?;
    let outcome = play(Play {
        names,
        lag_max: Duration::from_secs(number("LAG", 120)?),
        published_within: Duration::from_secs(number("WITHIN", 600)?),
        hidden_lag_max: Duration::from_secs(number("HIDDEN", 0)?),
        seed: number("SEED", 1)?,
    })
    .await?;
    say(&format!(
        "{} names, {} validated, {} failed, {} given up; {} looks; median {:.1} s after the last server had it \
         (99 %: {:.1} s, most: {:.1} s), which took {:.1} s; took {:.0} s",
        outcome.names,
        outcome.validated,
        outcome.failed,
        outcome.given_up,
        outcome.looks,
        outcome.late_median_seconds,
        outcome.late_p99_seconds,
        outcome.late_max_seconds,
        outcome.spread_median_seconds,
        outcome.took_seconds
    ))?;
    say(&serde_json::to_string(&outcome)?)
}
