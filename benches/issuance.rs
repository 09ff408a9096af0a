//! Issuance throughput: the service beside a bare loop, against the same CAs, in the same minutes.
//!
//! ```text
//! make bench                          both CAs, 3 runs of each contestant
//! make bench CA=pebble RUNS=1 N=500   one CA (rehearsal or pebble), fewer runs, fewer certificates
//! make bench WHO=service              one contestant (bare, service or without_preflight)
//! ```
//!
//! The last line is one JSON object with all figures.

use anyhow::{Context as _, Result};
use lockkeeper_benches::authority::{Authority, Kind};
use lockkeeper_benches::console::{number, say};
use lockkeeper_benches::measurement::Measurement;
use lockkeeper_benches::report::{BAR_CPU_MS, BAR_PER_SECOND, Contestant, Report};
use lockkeeper_benches::service::{self, Job};
use lockkeeper_benches::{bare, program};

const IN_FLIGHT: usize = 16;
const RUNS: usize = 3;

#[tokio::main]
async fn main() -> Result<()> {
    program::path()?;
    let wanted = std::env::var("CA").unwrap_or_default();
    let kinds = [Kind::Rehearsal, Kind::Pebble];
    let mut figures = serde_json::Map::new();
    for kind in kinds.into_iter().filter(|kind| wanted.is_empty() || wanted == kind.as_str()) {
        let report = measure(kind).await?;
        say(&report.prose())?;
        figures.insert(kind.as_str().to_owned(), report.json());
    }
    let bar = serde_json::json!({ "certificates_per_second": BAR_PER_SECOND, "cpu_ms": BAR_CPU_MS });
    figures.insert("existing_clients".to_owned(), bar);
    say(&serde_json::Value::Object(figures).to_string())
}

/// All contestants take turns, so that what else the machine does hits all of them.
async fn measure(kind: Kind) -> Result<Report> {
    let certificates = number("N", if kind == Kind::Pebble { 1_500 } else { 2_000 })?;
    let in_flight = number("IN_FLIGHT", IN_FLIGHT)?;
    let who = std::env::var("WHO").unwrap_or_default();
    let mut report = Report { kind, in_flight, runs: Vec::new() };
    for _ in 0..number("RUNS", RUNS)? {
        let wanted = |one: &Contestant| who.is_empty() || who.split(',').any(|word| word == one.as_str());
        for contestant in Contestant::ALL.into_iter().filter(wanted) {
            let run = run(kind, contestant, certificates, in_flight)
                .await
                .with_context(|| format!("{} against the {} CA", contestant.as_str(), kind.as_str()))?;
            report.runs.push((contestant, run));
        }
    }
    Ok(report)
}

async fn run(
    kind: Kind,
    contestant: Contestant,
    certificates: usize,
    in_flight: usize,
) -> Result<Measurement> {
    let folder = tempfile::Builder::new().prefix("lockkeeper-bench-").tempdir()?;
    let authority = Authority::start(kind, folder.path()).await?;
    let names: Vec<String> = (0..certificates).map(|number| format!("site-{number:06}.com")).collect();
    let measured = match contestant {
        Contestant::Bare => bare::run(&authority, names, in_flight).await,
        Contestant::Service | Contestant::WithoutPreflight => {
            let preflight = contestant == Contestant::Service;
            let job = Job { kind, names: &names, in_flight, preflight };
            service::run(&authority, &job, folder.path()).await
        }
    };
    authority.stop().await?;
    measured
}
