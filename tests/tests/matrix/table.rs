//! Plays cells, a few at once, and tells how each of them ended.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use crate::cell::Cell;
use crate::life::{Setting, verdict_of};

/// Where nothing else is said.
const SEED: u64 = 20_261_125;
/// Of so many cells one is played if it has to be quick; which ones, the seed says.
const FAST: u64 = 3;
/// Most of a cell is waiting.
const AT_ONCE: usize = 6;
/// The longest a cell may take.
const CELL_WITHIN: Duration = Duration::from_mins(5);

/// What everything in a run is drawn from.
pub(crate) fn seed() -> anyhow::Result<u64> {
    asked("SEED").map_or(Ok(SEED), |text| text.parse().context("SEED is a number"))
}

/// A variable that says something: make hands on those that do not.
fn asked(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|text| !text.is_empty())
}

/// Plays the cells of one family, or the one that `CELL` names, and fails with a line for each that is red.
pub(crate) async fn play_all(family: &str, cells: Vec<Cell>) -> anyhow::Result<()> {
    let (seed, only) = (seed()?, asked("CELL"));
    let all = asked("MATRIX").is_none_or(|which| which != "fast");
    let numbered = cells.into_iter().enumerate();
    let chosen: Vec<(usize, Cell)> = numbered
        .filter(|(number, cell)| match &only {
            Some(only) => cell.to_string() == *only,
            None => all || (*number as u64).wrapping_add(seed).is_multiple_of(FAST),
        })
        .collect();
    let count = chosen.len();
    let started = Instant::now();
    let must_strike = family != "pairs";
    let played = stream::iter(chosen).map(|(number, cell)| async move {
        let started = Instant::now();
        let setting = Setting { must_strike, ..Setting::default() };
        let own_seed = seed.wrapping_mul(1_000).wrapping_add(number as u64);
        let playing = tokio::time::timeout(CELL_WITHIN, verdict_of(&cell, own_seed, setting));
        let verdict = playing.await.unwrap_or_else(|_| vec![format!("no end within {CELL_WITHIN:?}")]);
        (cell.to_string(), verdict, started.elapsed())
    });
    let results: Vec<_> = played.buffer_unordered(AT_ONCE).collect().await;
    let mut report = String::new();
    let red = results.iter().filter(|(_, verdict, _)| !verdict.is_empty()).count();
    for (cell, verdict, took) in &results {
        let word = if verdict.is_empty() { "green" } else { "RED" };
        let _ = writeln!(report, "{word:5} {:5.1} s  {family}  {cell}", took.as_secs_f64());
        for line in verdict {
            let _ = writeln!(report, "        {line}");
        }
        if !verdict.is_empty() {
            let _ = writeln!(
                report,
                "        SEED={seed} CELL={cell} .ci/with-postgres cargo nextest run --workspace -E 'binary(matrix)'"
            );
        }
    }
    let took = started.elapsed().as_secs_f64();
    let _ = writeln!(report, "{family}: {count} cells, {red} red, seed {seed}, {took:.0} s");
    tell(&report);
    ensure!(red == 0, "{red} of {count} cells are red");
    Ok(())
}

#[expect(
    clippy::print_stderr,
    reason = "the table is what the run is for; a test's output is shown when asked for"
)]
fn tell(report: &str) {
    eprint!("{report}");
}
