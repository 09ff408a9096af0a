//! `make soak`: plays the soak that the environment asks for, and prints the verdict as one line of JSON.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use lockkeeper_tests::soak::{self, Mixture, SoakPlan};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// `name` from the environment, or what is usual.
fn number(name: &str, usual: u64) -> anyhow::Result<u64> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().with_context(|| format!("{name} is no number: {text}")),
        _ => Ok(usual),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::new("warn,lockkeeper_tests=info");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let plan = SoakPlan {
        seed: number("SEED", rand::random::<u32>().into())?,
        sites: usize::try_from(number("SITES", 2_000)?)?,
        kills: number("KILLS", 1_000)?,
        storm_max: Duration::from_mins(number("MINUTES", 30)?),
        pause: Duration::from_millis(number("PAUSE_MS", 500)?),
        mixture: Mixture::default(),
    };
    let mut asked_to_end = signal(SignalKind::terminate())?;
    // Left early, it takes its processes and its server with it.
    let verdict = tokio::select! {
        verdict = soak::run(&plan) => verdict?,
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::FAILURE),
        _ = asked_to_end.recv() => return Ok(ExitCode::FAILURE),
    };
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, &verdict)?;
    writeln!(out)?;
    Ok(if verdict.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
