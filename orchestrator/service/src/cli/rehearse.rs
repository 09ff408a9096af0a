use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use issuance::time::Clock as _;
use rehearsal::rules::CaRules;
use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
use super::import;
use super::notice::notice;
use super::output::Output;
use crate::clock::SystemClock;
use crate::config::ca_profile;
use crate::rehearse::{Ending, Options, Prediction, Rehearsal, Report, Sites};

/// Plays an import through in virtual time: the service itself, against a CA that enforces those limits and a fake fleet
/// of those sites. Weeks take minutes. Talks to nobody, and leaves nothing behind.
#[derive(Debug, Args)]
pub struct RehearseArgs {
    /// The sites, as `import csv` takes them.
    file: PathBuf,
    /// A built-in CA profile that the rehearsal CA can play: letsencrypt, letsencrypt-staging or rehearsal.
    #[arg(long, value_name = "PROFILE", default_value = "letsencrypt")]
    ca: String,
    /// Processes of the service.
    #[arg(long, value_name = "N", default_value = "4")]
    replicas: NonZeroU16,
    /// Orders that each of them works on at once.
    #[arg(long, value_name = "N", default_value = "16")]
    workers: NonZeroU16,
    /// Of a hundred sites, how many are broken.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    broken: f64,
    /// Draws which ones, and how.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Gives up after so many days of virtual time.
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    days: u32,
}

fn percent(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "a number from 0 to 100".to_owned())?;
    if (0.0..=100.0).contains(&number) { Ok(number) } else { Err("from 0 to 100".to_owned()) }
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Outcome {
    /// Absent where some site never finds room.
    predicted_seconds: Option<f64>,
    /// What the forecast says that sites wait for, the dearest first.
    binding_limits: Vec<&'static str>,
    #[serde(flatten)]
    report: Report,
    rows_refused: u64,
    /// All was issued, or nobody but a site's owner could help.
    done: bool,
}

/// Ends as `Done` if all sites that are not broken have their certificates and the CA refused nothing.
pub(super) async fn run(args: &RehearseArgs, output: Output) -> Result<Exit, CliError> {
    let options = Options {
        replicas: args.replicas.get(),
        workers: args.workers.get(),
        broken: args.broken / 100.0,
        seed: args.seed,
        ..Options::new(ca_profile::load(&args.ca)?, CaRules::preset(&args.ca)?, SystemClock.now())
    };
    let read = |source| CliError::ImportFile { path: args.file.clone(), source };
    let sites = Sites::read(import::read(&args.file)?, &options.profile).map_err(read)?;
    if sites.rows_refused > 0 {
        notice(&format!("{} rows are wrong and left out; import csv says why", sites.rows_refused));
    }
    let prediction = Prediction::of(&options, &sites);
    let end = options.start.after(Duration::from_hours(24) * args.days);
    let mut rehearsal = Rehearsal::start(options).await?;
    rehearsal.import(&sites).await?;
    let ending = rehearsal.run_until(end).await?;
    let report = rehearsal.report().await?;
    rehearsal.stop().await?;
    let outcome = Outcome {
        predicted_seconds: prediction.seconds,
        binding_limits: prediction.binding_limits,
        rows_refused: sites.rows_refused,
        done: ending == Ending::Done,
        report,
    };
    output.show(&outcome, ["rehearsal", ""], rows)?;
    let all_is_well = outcome.done && outcome.report.rate_limited == 0;
    Ok(if all_is_well { Exit::Done } else { Exit::Failure })
}

fn rows(outcome: &Outcome) -> Vec<[String; 2]> {
    let Outcome { report, .. } = outcome;
    let share = |share: f64| format!("{:.2} %", share * 100.0);
    let rows = [
        ("predicted", outcome.predicted_seconds.map_or_else(|| "never".to_owned(), span)),
        ("rehearsed", span(report.rehearsed_seconds)),
        ("waits for", outcome.binding_limits.join(", ")),
        ("issued", report.issued.to_string()),
        ("parked", report.parked.to_string()),
        ("unfinished", report.unfinished.to_string()),
        ("answers 429", report.rate_limited.to_string()),
        (
            "allowance used",
            report.utilisation.map_or_else(|| "all was let through at once".to_owned(), share),
        ),
        ("took", format!("{:.0} s", report.real_seconds)),
    ];
    rows.map(|(what, value)| [what.to_owned(), value]).to_vec()
}

/// Days, hours and minutes; seconds alone below two minutes.
fn span(seconds: f64) -> String {
    if seconds < 120.0 {
        return format!("{seconds:.0} s");
    }
    let minutes = (seconds / 60.0).round() as u64;
    let (days, hours, minutes) = (minutes / 1_440, minutes / 60 % 24, minutes % 60);
    let days = if days > 0 { format!("{days} d ") } else { String::new() };
    format!("{days}{hours:02}:{minutes:02} h")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_the_unit_that_fits() {
        assert_eq!(span(90.4), "90 s");
        assert_eq!(span(3_600.0 * 97.0 + 120.0), "4 d 01:02 h");
        assert_eq!(span(1_830.0), "00:31 h");
    }

    #[test]
    fn a_share_of_broken_sites_is_between_none_and_all() {
        assert_eq!(percent("5"), Ok(5.0));
        assert!(percent("101").is_err() && percent("many").is_err());
    }
}
