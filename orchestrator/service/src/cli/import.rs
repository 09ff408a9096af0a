use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use issuance::fairness::Lane;

use super::api_client::ApiClient;
use super::error::CliError;
use super::exit::Exit;
use super::notice::notice;
use super::output::Output;
use crate::adopt::csv::FILE_BYTES_MAX;
use crate::api::imports::{ImportReport, LANES};
use crate::store::summary::Summary;

const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Imports a CSV with the columns `tenant`, `external_id`, `names`, `challenge` and `labels`.
    Csv(CsvArgs),
}

#[derive(Debug, Args)]
pub struct CsvArgs {
    pub file: PathBuf,
    /// Where its orders wait: behind all others, or before renewals because somebody waits for them, or first of all.
    /// What waits already in a lane behind changes over.
    #[arg(long, value_name = "LANE", default_value = "bulk", value_parser = LANES.map(Lane::as_str))]
    pub lane: String,
    /// Waits until every order has ended or is parked.
    #[arg(long)]
    pub wait: bool,
}

/// Ends as `Done` if every row is there now, `Partial` if some were refused, `Failure` if all were.
pub async fn run(command: &ImportCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let ImportCommand::Csv(args) = command;
    let file = read(&args.file)?;
    let report: ImportReport = api.post_csv(&format!("/v1/imports?lane={}", args.lane), file).await?;
    tell_refused(&args.file, &report);
    output.show(&report, ["rows", ""], counts)?;
    let exit = exit_of(&report);
    if args.wait && exit != Exit::Failure {
        wait(api).await?;
    }
    Ok(exit)
}

/// The file, if it is no larger than an import may be.
pub(super) fn read(path: &Path) -> Result<Bytes, CliError> {
    let failed = |source| CliError::File { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > FILE_BYTES_MAX as u64 {
        return Err(CliError::FileTooLarge { path: path.to_owned() });
    }
    Ok(std::fs::read(path).map_err(failed)?.into())
}

fn exit_of(report: &ImportReport) -> Exit {
    let there = report.rows_created + report.rows_changed + report.rows_unchanged;
    match (report.rows_refused, there) {
        (0, _) => Exit::Done,
        (_, 0) => Exit::Failure,
        _ => Exit::Partial,
    }
}

fn counts(report: &ImportReport) -> Vec<[String; 2]> {
    let counts = [
        ("created", report.rows_created),
        ("changed", report.rows_changed),
        ("unchanged", report.rows_unchanged),
        ("refused", report.rows_refused),
        ("total", report.rows_total),
    ];
    let hastened = ("in line before, in this lane now", report.orders_hastened);
    let hastened = Some(hastened).filter(|(_, orders)| *orders > 0);
    counts.into_iter().chain(hastened).map(|(what, rows)| [what.to_owned(), rows.to_string()]).collect()
}

/// As compilers do it, so that an editor can jump there.
fn tell_refused(file: &Path, report: &ImportReport) {
    for row in &report.refused {
        notice(&format!("{}:{}:{}: {}", file.display(), row.line, row.column, row.detail));
    }
    if report.refused_left_out > 0 {
        notice(&format!("{}: and {} more", file.display(), report.refused_left_out));
    }
}

/// Follows the summary until nothing moves; shows it only to a terminal.
async fn wait(api: &ApiClient) -> Result<(), CliError> {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg} {elapsed}")
        .expect("the template is a constant that parses");
    let bar = ProgressBar::with_draw_target(None, target).with_style(style);
    loop {
        let summary: Summary = api.get("/v1/summary").await?;
        bar.set_length(summary.orders);
        bar.set_position(summary.orders - summary.orders_moving);
        bar.set_message(progress(&summary));
        if summary.orders_moving == 0 {
            bar.finish();
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn progress(summary: &Summary) -> String {
    let at = |stage: &str| summary.orders_by_stage.get(stage).copied().unwrap_or_default();
    format!("issued {}, parked {}, failed {}", at("issued"), at("parked"), at("failed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(there: u64, refused: u64) -> ImportReport {
        ImportReport {
            id: None,
            rows_total: there + refused,
            rows_created: 0,
            rows_changed: 0,
            rows_unchanged: there,
            rows_refused: refused,
            orders_created: 0,
            orders_hastened: 0,
            refused: Vec::new(),
            refused_left_out: 0,
        }
    }

    #[test]
    fn the_exit_code_says_how_much_is_there() {
        assert_eq!(exit_of(&report(3, 0)).code(), 0);
        assert_eq!(exit_of(&report(0, 0)).code(), 0);
        assert_eq!(exit_of(&report(3, 1)).code(), 5);
        assert_eq!(exit_of(&report(0, 1)).code(), 1);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read(Path::new("/nonexistent/fleet.csv")).expect_err("not there");
        assert!(error.to_string().contains("/nonexistent/fleet.csv"), "{error}");
    }
}
