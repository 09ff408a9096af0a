//! How long a forecast takes, by the number of sites.
//!
//! ```text
//! cargo bench -p lockkeeper-benches --bench forecast
//! ```
//!
//! Sites of two names each, of 40 tenants, at Let's Encrypt, 5 % broken, with overrides searched for a day. The last line
//! is one JSON object with all figures; `ratio_per_site` is the largest fleet beside the smallest.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use issuance::exemption::Exemptions;
use issuance::fairness::Lane;
use issuance::forecast::{Capacity, Expectations, Question, Readiness, Site, finish, forecast};
use issuance::identifier::{Hostname, Identifiers};
use issuance::time::Timestamp;
use lockkeeper::config::ca_profile;
use lockkeeper::store::forecast::Known;
use lockkeeper_benches::console::say;

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
const TENANTS: u32 = 40;
const START: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

fn main() -> Result<()> {
    let mut rows = Vec::new();
    for size in SIZES {
        let names = (0..size).map(site).collect::<Result<Vec<_>>>()?;
        let row = measure(&names)?;
        say(&format!(
            "{size:>9} sites: finish {:.2} s, whole forecast {:.2} s",
            row.finish.as_secs_f64(),
            row.whole.as_secs_f64()
        ))?;
        rows.push((size, row));
    }
    let per_site = |(size, row): &(usize, Row)| row.whole.as_secs_f64() / *size as f64;
    let ratio = rows.last().map(per_site).zip(rows.first().map(per_site)).map(|(large, small)| large / small);
    let figures: Vec<_> = rows
        .iter()
        .map(|(size, row)| {
            serde_json::json!({
                "sites": size,
                "finish_seconds": row.finish.as_secs_f64(),
                "forecast_seconds": row.whole.as_secs_f64(),
                "draws": row.draws,
            })
        })
        .collect();
    say(&serde_json::json!({ "forecast": figures, "ratio_per_site": ratio }).to_string())
}

struct Row {
    finish: Duration,
    whole: Duration,
    draws: usize,
}

fn site(nr: usize) -> Result<Identifiers> {
    let names = [format!("shop{nr}.com"), format!("www.shop{nr}.com")];
    let names = names.iter().map(|name| Hostname::parse(name)).collect::<Result<Vec<_>, _>>()?;
    Ok(Identifiers::new(names)?)
}

fn measure(names: &[Identifiers]) -> Result<Row> {
    let profile = ca_profile::load("letsencrypt").context("it is built in")?;
    let known = Known::nothing(&profile);
    let sites: Vec<Site<'_>> = names
        .iter()
        .zip(0_u32..)
        .map(|(names, nr)| Site {
            names,
            tenant: nr % TENANTS,
            lane: Lane::Bulk,
            exemptions: Exemptions::NONE,
            readiness: Readiness::Unknown,
        })
        .collect();
    let question = Question {
        now: START,
        account: known.account,
        rules: &known.rules,
        full_at: &known.full_at,
        held_until: known.held_until,
        tenants: &[1; TENANTS as usize],
        ahead: &[],
        sites: &sites,
        capacity: Capacity {
            pending_max: known.pending_max,
            pending: 0,
            workers: 16,
            order: Duration::from_secs(4),
        },
        expectations: Expectations::USUAL,
        targets: &[Duration::from_hours(24)],
        seed: 1,
    };
    let started = Instant::now();
    let end = finish(&question).context("it finishes")?;
    let finished = started.elapsed();
    let started = Instant::now();
    let answer = forecast(&question);
    anyhow::ensure!(answer.finish == Some(end), "the same question has one answer");
    Ok(Row { finish: finished, whole: started.elapsed(), draws: answer.draws })
}
