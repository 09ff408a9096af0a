//! The table, and the line of JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::authority::Kind;
use crate::measurement::{Measurement, ServiceMeasurement, Spread};

/// The fastest of the existing clients on this kind of machine issues as many per second (`mod_md` 2.6.10, one
/// process, one order after the other).
pub const BAR_PER_SECOND: f64 = 23.0;
/// And the most frugal of them takes this much processor time for one certificate.
pub const BAR_CPU_MS: f64 = 7.0;

/// Who issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contestant {
    /// `instant-acme` in a loop.
    Bare,
    /// The service as it ships.
    Service,
    /// The service with `preflight = false`.
    WithoutPreflight,
}

impl Contestant {
    pub const ALL: [Self; 3] = [Self::Bare, Self::Service, Self::WithoutPreflight];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Service => "service",
            Self::WithoutPreflight => "without_preflight",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Bare => "bare loop",
            Self::Service => "service",
            Self::WithoutPreflight => "no preflight",
        }
    }
}

/// All runs against one CA.
#[derive(Debug)]
pub struct Report {
    pub kind: Kind,
    pub in_flight: usize,
    /// In the order of the runs, which were interleaved.
    pub runs: Vec<(Contestant, Measurement)>,
}

/// A row of the table: its title, its name in JSON, its decimals, and where its value is found.
type Row = (&'static str, &'static str, usize, fn(&Measurement) -> Option<f64>);

const ROWS: &[Row] = &[
    ("certificates/s", "certificates_per_second", 1, |run| Some(run.per_second())),
    ("CPU ms each: client or service", "client_cpu_ms", 2, |run| {
        let own = run.service.as_ref().map_or(run.bench_cpu, |service| service.service_cpu);
        Some(run.cpu_ms_each(own))
    }),
    ("CPU ms each: Postgres", "postgres_cpu_ms", 2, |run| {
        of_service(run, |service| run.cpu_ms_each(service.postgres_cpu))
    }),
    ("CPU ms each: CA", "ca_cpu_ms", 2, |run| Some(run.cpu_ms_each(run.ca_cpu))),
    ("CPU ms each: this bench", "bench_cpu_ms", 2, |run| of_service(run, |_| run.cpu_ms_each(run.bench_cpu))),
    ("requests to the CA each", "requests", 2, |run| Some(run.each(run.requests as f64))),
    ("transactions each", "transactions", 2, |run| {
        of_service(run, |service| run.each(service.transactions as f64))
    }),
    ("commits of steps each", "step_commits", 2, |run| {
        of_service(run, |service| run.each(service.exposition.total("lockkeeper_commits_total")))
    }),
    ("waits for the disk each", "disk_waits", 2, |run| {
        of_service(run, |service| run.each(service.disk_waits as f64))
    }),
    ("write-ahead log kB each", "log_kb", 1, |run| {
        of_service(run, |service| run.each(service.log_bytes as f64) / 1024.0)
    }),
    ("peak memory MB: service", "service_memory_mb", 0, |run| {
        of_service(run, |service| megabytes(service.service_memory))
    }),
    ("memory MB: Postgres", "postgres_memory_mb", 0, |run| {
        of_service(run, |service| megabytes(service.postgres_memory))
    }),
    ("peak memory MB: CA", "ca_memory_mb", 0, |run| Some(megabytes(run.ca_memory))),
];

impl Report {
    fn of(&self, contestant: Contestant) -> impl Iterator<Item = &Measurement> {
        self.runs.iter().filter(move |(who, _)| *who == contestant).map(|(_, run)| run)
    }

    fn spread(&self, contestant: Contestant, value: fn(&Measurement) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.of(contestant).filter_map(value))
    }

    /// Certificates per second over those of the bare loop in the same round.
    fn ratio(&self, contestant: Contestant) -> Option<Spread> {
        let pairs = self.of(Contestant::Bare).zip(self.of(contestant));
        Spread::of(pairs.map(|(bare, run)| run.per_second() / bare.per_second()))
    }

    fn contestants(&self) -> impl Iterator<Item = Contestant> {
        Contestant::ALL.into_iter().filter(|one| self.of(*one).next().is_some())
    }

    pub fn prose(&self) -> String {
        let runs = self.contestants().map(|one| self.of(one).count()).max().unwrap_or(0);
        let certificates = self.runs.first().map_or(0, |(_, run)| run.certificates);
        let mut text = format!(
            "\n{} CA, {certificates} certificates, {} in flight, median (min–max) of {runs} runs\n\n{:34}",
            self.kind.as_str(),
            self.in_flight,
            ""
        );
        for contestant in self.contestants() {
            let _ = write!(text, "{:>24}", contestant.title());
        }
        let _ = writeln!(text, "{:>18}", "existing clients");
        for (title, name, decimals, value) in ROWS {
            let cells = self.contestants().map(|one| cell(self.spread(one, *value), *decimals));
            let bar = match *name {
                "certificates_per_second" => format!("{BAR_PER_SECOND:.0}"),
                "client_cpu_ms" => format!("{BAR_CPU_MS:.1}"),
                _ => String::new(),
            };
            line(&mut text, title, cells, &bar);
            if *name == "certificates_per_second" && self.of(Contestant::Bare).next().is_some() {
                line(
                    &mut text,
                    "ratio to the bare loop",
                    self.contestants().map(|one| cell(self.ratio(one), 2)),
                    "",
                );
            }
        }
        for contestant in self.contestants() {
            if let Some((run, service)) =
                self.of(contestant).find_map(|run| Some((run, run.service.as_ref()?)))
            {
                let _ = writeln!(text, "\nWhere the time goes: {}, its first run\n", contestant.title());
                where_the_time_goes(&mut text, run, service);
            }
        }
        text
    }

    pub fn json(&self) -> Value {
        let mut contestants = Map::new();
        for contestant in self.contestants() {
            let mut figures = Map::new();
            let spreads = ROWS.iter().map(|(_, name, _, value)| (*name, self.spread(contestant, *value)));
            for (name, spread) in spreads.chain([("ratio", self.ratio(contestant))]) {
                if let Some(Spread { median, min, max }) = spread {
                    let [median, min, max] = [median, min, max].map(rounded);
                    figures.insert(name.to_owned(), json!({ "median": median, "min": min, "max": max }));
                }
            }
            contestants.insert(contestant.as_str().to_owned(), Value::Object(figures));
        }
        json!({
            "certificates": self.runs.first().map(|(_, run)| run.certificates),
            "in_flight": self.in_flight,
            "contestants": contestants,
        })
    }
}

fn of_service(run: &Measurement, value: impl Fn(&ServiceMeasurement) -> f64) -> Option<f64> {
    run.service.as_ref().map(value)
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn cell(spread: Option<Spread>, decimals: usize) -> String {
    spread.map_or_else(
        || "–".to_owned(),
        |Spread { median, min, max }| format!("{median:.decimals$} ({min:.decimals$}–{max:.decimals$})"),
    )
}

fn line(text: &mut String, title: &str, cells: impl Iterator<Item = String>, bar: &str) {
    let _ = write!(text, "{title:34}");
    for cell in cells {
        let _ = write!(text, "{cell:>24}");
    }
    let _ = writeln!(text, "{bar:>18}");
}

/// Sums over all orders, as shares of the seconds that all seats had.
fn where_the_time_goes(text: &mut String, run: &Measurement, service: &ServiceMeasurement) {
    let exposition = &service.exposition;
    let _ = writeln!(text, "  {:40}{:>10}{:>12}{:>14}", "", "mean ms", "times each", "ms each");
    let mut show = |title: String, summed: crate::exposition::Summed| {
        if summed.count > 0.0 {
            let _ = writeln!(
                text,
                "  {title:40}{:>10.2}{:>12.2}{:>14.2}",
                summed.seconds * 1_000.0 / summed.count,
                run.each(summed.count),
                run.each(summed.seconds * 1_000.0)
            );
        }
    };
    for (metric, label, title) in [
        ("lockkeeper_step_duration_seconds", "step", "step"),
        ("lockkeeper_attempt_duration_seconds", "stage", "attempt from"),
        ("lockkeeper_acme_request_duration_seconds", "endpoint", "request"),
    ] {
        let mut by_label: Vec<_> = exposition.histogram_by(metric, label).into_iter().collect();
        by_label.sort_by(|(_, one), (_, other)| other.seconds.total_cmp(&one.seconds));
        for (value, summed) in by_label {
            show(format!("{title} {value}"), summed);
        }
    }
    show("commit of steps".to_owned(), exposition.histogram("lockkeeper_commit_duration_seconds"));
    show("transaction of the gate".to_owned(), exposition.histogram("lockkeeper_gate_duration_seconds"));
}
