//! Days under a CA's limits, in virtual time: what the limits allowed and what was made of it, hour by hour, and the
//! finish beside the forecast.
//!
//! ```text
//! cargo bench -p lockkeeper-benches --bench virtual_time    every scene, with a generated fleet of 10,000 sites
//! FLEET=fleet.csv cargo bench …                             with a file's, as `import csv` takes it
//! SITES=1000 SCENE=as_told,half cargo bench …               smaller; of as_told, half, double, known, flood
//! ```
//!
//! The last line is one JSON object with all figures.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use issuance::fairness::Lane;
use issuance::limit::LimitName;
use issuance::time::Timestamp;
use lockkeeper::config::ca_profile;
use lockkeeper::rehearse::{Ending, Options, Prediction, Rehearsal, Report, Sites};
use lockkeeper_benches::console::{number, say};
use rehearsal::fleet::{DemoPlan, plan};
use rehearsal::limits::LimitOverride;
use rehearsal::rules::CaRules;
use serde_json::{Value, json};

const CA: &str = "letsencrypt";
const DAY: Duration = Duration::from_hours(24);
/// 2027-01-01T00:00:00Z.
const START: Timestamp = Timestamp::from_unix_seconds(1_798_761_600);
/// Waits that are told one by one, the longest first.
const LONGEST_SHOWN: usize = 10;
/// Between two single sites of the flood.
const EVERY: Duration = Duration::from_mins(7);

#[tokio::main]
async fn main() -> Result<()> {
    let wanted = std::env::var("SCENE").unwrap_or_default();
    let mut figures = serde_json::Map::new();
    for scene in ["as_told", "half", "double", "known", "flood"] {
        if wanted.is_empty() || wanted.split(',').any(|word| word == scene) {
            say(&format!("{scene}:"))?;
            let figure = match scene {
                "flood" => flood().await,
                "known" => migration(1.0, Some(START.before(DAY * 60))).await,
                "half" => migration(0.5, None).await,
                "double" => migration(2.0, None).await,
                _ => migration(1.0, None).await,
            };
            figures.insert(scene.to_owned(), figure.with_context(|| format!("the scene {scene}"))?);
        }
    }
    say(&Value::Object(figures).to_string())
}

/// A whole fleet at once, 5 % broken. `share`: of what the service takes for the new-order limit, what the CA grants.
/// Where that is more, the operator has asked to find it out.
async fn migration(share: f64, issued_at: Option<Timestamp>) -> Result<Value> {
    let mut options =
        Options { broken: 0.05, ..Options::new(ca_profile::load(CA)?, CaRules::preset(CA)?, START) };
    let mut sites = fleet(&options)?;
    sites.issued_at = issued_at;
    // What is foretold goes by what the service knows.
    let prediction = Prediction::of(&options, &sites);
    if (share - 1.0).abs() > f64::EPSILON {
        let limit =
            options.rules.limit(LimitName::NewOrdersPerAccount).context("the CA limits new orders")?;
        options.rules.overrides.push(LimitOverride::scaled(limit, share));
    }
    let (ending, report) = play(options, &sites, share > 1.0).await?;
    for (hour, Hour { allowed, made, ratio }) in hours(&report).iter().enumerate() {
        say(&format!("  hour {hour:3}  allowed {allowed:5}  made {made:5}  ratio {ratio:.4}"))?;
    }
    let off = prediction.seconds.map(|seconds| report.rehearsed_seconds / seconds - 1.0);
    say(&format!(
        "  {ending:?}: {} issued, {} parked, {} unfinished; 429: {}; predicted {:?} s, rehearsed {} s ({:+.2} %); took {:.0} s, {} leaps",
        report.issued,
        report.parked,
        report.unfinished,
        report.rate_limited,
        prediction.seconds,
        report.rehearsed_seconds,
        off.unwrap_or_default() * 100.0,
        report.real_seconds,
        report.leaps
    ))?;
    let least =
        report.hours.iter().filter(|hour| hour.in_demand).map(|hour| hour.made as f64 / hour.allowed as f64);
    Ok(json!({
        "report": report,
        "prediction": prediction,
        "least_hour": least.reduce(f64::min),
        "done": ending == Ending::Done,
    }))
}

/// One tenant's many, nine others' enough for the whole time, and again and again somebody's one.
async fn flood() -> Result<Value> {
    const OTHERS: usize = 9;
    let many: usize = number("FLOOD", 200_000)?;
    let times: u32 = number("TIMES", 100)?;
    let options = Options::new(ca_profile::load(CA)?, CaRules::preset(CA)?, START);
    let profile = options.profile.clone();
    let mut rehearsal = Rehearsal::start(options).await?;
    rehearsal.import(&Sites::read(csv("many", 0..many).into(), &profile)?).await?;
    let tenants: Vec<String> = (0..OTHERS).map(|other| format!("other-{other}")).collect();
    for tenant in &tenants {
        rehearsal.import(&Sites::read(csv(tenant, 0..2_000).into(), &profile)?).await?;
    }
    for one in 0..times {
        rehearsal.run_until(START.after(EVERY * (one + 1))).await?;
        let site = one as usize;
        // Every other one comes as a file does; for the rest a person waits.
        let waits = one % 2 == 0;
        let tenant = format!("{}-{one}", if waits { "waits" } else { "one" });
        let mut sites = Sites::read(csv(&tenant, site..site + 1).into(), &profile)?;
        sites.lane = if waits { Lane::Interactive } else { Lane::Bulk };
        rehearsal.import(&sites).await?;
    }
    rehearsal.run_until(START.after(EVERY * (times + 10))).await?;
    let report = rehearsal.report().await?;
    rehearsal.stop().await?;
    let (waits, alone) = (Waits::of(&report, &["waits-"]), Waits::of(&report, &["one-"]));
    let all = Waits::of(&report, &["waits-", "one-"]);
    let with_demand: Vec<&str> = tenants.iter().map(String::as_str).chain(["many"]).collect();
    let jain = report.fairness(&with_demand, START..START.after(EVERY * (times + 10)));
    say(&format!(
        "  single sites: {waits} where a person waits, {alone} in the lane of the flood, {all} in all; Jain's index of {} tenants {jain:.4}; 429: {}",
        with_demand.len(),
        report.rate_limited
    ))?;
    Ok(json!({
        "asked": times, "interactive": waits.json(), "bulk": alone.json(), "all": all.json(), "jain": jain, "rate_limited": report.rate_limited,
    }))
}

/// How long the single sites of some tenants waited, in seconds from the shortest.
struct Waits(Vec<f64>);

impl Waits {
    fn of(report: &Report, tenants: &[&str]) -> Self {
        let theirs = report
            .issuances
            .iter()
            .filter(|issuance| tenants.iter().any(|prefix| issuance.tenant.starts_with(prefix)));
        let mut waits: Vec<f64> =
            theirs.map(|issuance| issuance.wished_at.until(issuance.issued_at).as_secs_f64()).collect();
        waits.sort_by(f64::total_cmp);
        Self(waits)
    }

    fn percentile(&self, share: f64) -> Option<f64> {
        self.0.get(((self.0.len() as f64 * share).ceil() as usize).max(1) - 1).copied()
    }

    fn json(&self) -> Value {
        let longest: Vec<f64> = self.0.iter().rev().take(LONGEST_SHOWN).copied().collect();
        json!({ "issued": self.0.len(), "wait_p50": self.percentile(0.5), "wait_p99": self.percentile(0.99), "longest": longest })
    }
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (p50, p99) =
            (self.percentile(0.5).unwrap_or(f64::NAN), self.percentile(0.99).unwrap_or(f64::NAN));
        write!(f, "{} issued, wait p50 {p50:.0} s, p99 {p99:.0} s", self.0.len())
    }
}

async fn play(options: Options, sites: &Sites, seeks_more: bool) -> Result<(Ending, Report)> {
    let mut rehearsal = Rehearsal::start(options).await?;
    if seeks_more {
        rehearsal.seek_more(START.after(DAY * 7)).await?;
    }
    rehearsal.import(sites).await?;
    let ending = rehearsal.run_until(START.after(DAY * 30)).await?;
    let report = rehearsal.report().await?;
    rehearsal.stop().await?;
    Ok((ending, report))
}

struct Hour {
    allowed: u64,
    made: u64,
    ratio: f64,
}

fn hours(report: &Report) -> Vec<Hour> {
    let demand = report.hours.iter().filter(|hour| hour.in_demand);
    demand
        .map(|hour| Hour {
            allowed: hour.allowed,
            made: hour.made,
            ratio: hour.made as f64 / hour.allowed as f64,
        })
        .collect()
}

fn fleet(options: &Options) -> Result<Sites> {
    let file = match std::env::var("FLEET") {
        Ok(path) if !path.is_empty() => std::fs::read(&path).with_context(|| path.clone())?,
        _ => plan(DemoPlan::new(number("SITES", 10_000)?, 1)).to_csv().into_bytes(),
    };
    Ok(Sites::read(file.into(), &options.profile)?)
}

fn csv(tenant: &str, numbers: std::ops::Range<usize>) -> String {
    let mut csv = String::from("tenant,external_id,names,challenge,labels\n");
    for number in numbers {
        let _ = writeln!(csv, "{tenant},{tenant}-{number},{tenant}-{number}.com,http-01,");
    }
    csv
}
