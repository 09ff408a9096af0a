mod jobs;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use issuance::fairness::Lane;
use issuance::ids::ImportId;

use super::api_client::ApiClient;
use super::error::CliError;
use super::exit::Exit;
use super::listing::ListingArgs;
use super::notice::notice;
use super::output::Output;
use crate::adopt::csv::FILE_BYTES_MAX;
use crate::api::imports::{ImportReport, LANES};
use crate::store::imports::view::{STATUSES, VERDICTS};
use crate::store::summary::Summary;

const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Imports a CSV with the columns `tenant`, `external_id`, `names`, `challenge` and `labels`.
    Csv(CsvArgs),
    /// Imports a file with one JSON object a line, whose members are the columns of the CSV.
    Ndjson(CsvArgs),
    /// Lists imports, the oldest first.
    List(ListArgs),
    /// Shows how far an import is, or its rows.
    Show(ShowArgs),
    /// Commits a preview, and follows it to its end.
    Commit(JobArgs),
    /// Cancels an import: what is committed stays, nothing more is.
    Cancel(JobArgs),
    /// Takes an import back: removes what it has created, unless a CA has been asked for it.
    Rollback(JobArgs),
    /// Prints everything that is wrong with its rows.
    Errors(ErrorsArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those that are so.
    #[arg(long, value_parser = STATUSES)]
    pub status: Option<String>,
    #[command(flatten)]
    pub listing: ListingArgs,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Its id: imp_…
    pub import: ImportId,
    /// Shows the rows of which this becomes.
    #[arg(long, value_parser = VERDICTS)]
    pub verdict: Option<String>,
    /// Shows all rows.
    #[arg(long, conflicts_with = "verdict")]
    pub rows: bool,
    #[command(flatten)]
    pub listing: ListingArgs,
}

#[derive(Debug, Args)]
pub struct JobArgs {
    /// Its id: imp_…
    pub import: ImportId,
}

#[derive(Debug, Args)]
pub struct ErrorsArgs {
    /// Its id: imp_…
    pub import: ImportId,
    #[arg(long, value_name = "FORMAT", default_value = "csv", value_parser = ["csv", "ndjson"])]
    pub format: String,
}

#[derive(Debug, Args)]
pub struct CsvArgs {
    pub file: PathBuf,
    /// Where its orders wait: behind all others, or before renewals because somebody waits for them, or first of all.
    /// What waits already in a lane behind changes over.
    #[arg(long, value_name = "LANE", default_value = "bulk", value_parser = LANES.map(Lane::as_str))]
    pub lane: String,
    /// Tells what would become of each row, and changes nothing: `import commit` does.
    #[arg(long, conflicts_with = "wait")]
    pub preview: bool,
    /// Waits until every order has ended or is parked.
    #[arg(long)]
    pub wait: bool,
}

/// Ends as `Done` if every row is there now, `Partial` if some were refused, `Failure` if all were.
pub async fn run(command: &ImportCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    match command {
        // A small file is answered for at once.
        ImportCommand::Csv(args) if !args.preview && length(&args.file)? <= FILE_BYTES_MAX as u64 => {
            at_once(args, api, output).await
        }
        ImportCommand::Csv(args) => jobs::send(args, "text/csv; charset=utf-8", api, output).await,
        ImportCommand::Ndjson(args) => jobs::send(args, "application/x-ndjson", api, output).await,
        ImportCommand::List(args) => jobs::list(args, api, output).await,
        ImportCommand::Show(args) => jobs::show(args, api, output).await,
        ImportCommand::Commit(args) => jobs::wish(args, "commit", api, output).await,
        ImportCommand::Cancel(args) => jobs::wish(args, "cancel", api, output).await,
        ImportCommand::Rollback(args) => jobs::wish(args, "rollback", api, output).await,
        ImportCommand::Errors(args) => jobs::errors(args, api).await,
    }
}

async fn at_once(args: &CsvArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
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
    if length(path)? > FILE_BYTES_MAX as u64 {
        return Err(CliError::FileTooLarge { path: path.to_owned() });
    }
    Ok(std::fs::read(path).map_err(|source| CliError::File { path: path.to_owned(), source })?.into())
}

fn length(path: &Path) -> Result<u64, CliError> {
    let found = std::fs::metadata(path).map_err(|source| CliError::File { path: path.to_owned(), source })?;
    Ok(found.len())
}

fn exit_of(report: &ImportReport) -> Exit {
    exit_by(report.rows_created + report.rows_changed + report.rows_unchanged, report.rows_refused)
}

/// `Done` if every row is there now, `Partial` if some were refused, `Failure` if all were.
fn exit_by(there: u64, refused: u64) -> Exit {
    match (refused, there) {
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
    let bar = bar("{bar:40} {pos}/{len} {msg} {elapsed}");
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

/// Drawn on a terminal only.
fn bar(template: &str) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template(template).expect("the template is a constant that parses");
    ProgressBar::with_draw_target(None, target).with_style(style)
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
