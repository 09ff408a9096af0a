//! Imports that the service works on by itself: sent, followed, and wished things of.

use std::io::Write as _;

use super::{CsvArgs, ErrorsArgs, JobArgs, LOOK_EVERY, ListArgs, ShowArgs, bar, exit_by, wait};
use crate::api::address::{with_query, with_segment};
use crate::cli::api_client::ApiClient;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::listing::{self, ListingArgs, or_dash};
use crate::cli::notice::notice;
use crate::cli::output::Output;
use crate::store::imports::view::{ImportView, ItemView};
use crate::store::page::Listing;

const PATH: &str = "/v1/imports";
/// What is shown of refused rows; `import errors` has them all.
const REFUSED_SHOWN_MAX: usize = 10_000;

/// Sends a file, and follows it until it is committed, or until its preview is there.
pub(super) async fn send(
    args: &CsvArgs,
    kind: &'static str,
    api: &ApiClient,
    output: Output,
) -> Result<Exit, CliError> {
    let mode = if args.preview { "preview" } else { "commit" };
    let path = with_query(PATH, &[("mode", Some(mode.to_owned())), ("lane", Some(args.lane.clone()))]);
    let sent: ImportView = api.post_file(&path, kind, &args.file).await?;
    let import = follow(&sent, api).await?;
    if import.rows_refused > 0 {
        tell_refused(&args.file.display().to_string(), &import, api).await?;
    }
    output.show(&import, ["import", ""], facts)?;
    if import.status == "preview" {
        notice(&format!("nothing is changed so far: lockkeeper import commit {}", import.id));
    }
    let exit = exit_of(&import);
    if args.wait && exit != Exit::Failure {
        wait(api).await?;
    }
    Ok(exit)
}

pub(super) async fn list(args: &ListArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let filters = [("status", args.status.clone())];
    let found: Listing<ImportView> = listing::fetch(api, PATH, &filters, &args.listing).await?;
    let header = ["import", "status", "done", "rows", "created", "changed", "refused", "tenant", "since"];
    listing::show(output, &found, header, |import| {
        [
            import.id.to_string(),
            import.status.clone(),
            percent(import),
            import.rows_total.to_string(),
            import.rows_created.to_string(),
            import.rows_changed.to_string(),
            import.rows_refused.to_string(),
            or_dash(import.tenant.as_ref()),
            import.created_at.to_string(),
        ]
    })
}

pub(super) async fn show(args: &ShowArgs, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let path = with_segment(PATH, &args.import.to_string());
    if !args.rows && args.verdict.is_none() {
        let import: ImportView = api.get(&path).await?;
        output.show(&import, ["import", ""], facts)?;
        return Ok(Exit::Done);
    }
    let filters = [("verdict", args.verdict.clone())];
    let items: Listing<ItemView> =
        listing::fetch(api, &format!("{path}/items"), &filters, &args.listing).await?;
    listing::show(output, &items, ["line", "verdict", "tenant", "external id", "names", "told"], |item| {
        let told = item.errors.first().map(|fault| fault.detail.clone()).or_else(|| item.rollback.clone());
        [
            item.line.to_string(),
            or_dash(item.verdict.as_ref()),
            item.tenant.clone(),
            item.external_id.clone(),
            item.names.join(" "),
            or_dash(told),
        ]
    })
}

/// Asks for `commit`, `cancel` or `rollback`, and follows what comes of it.
pub(super) async fn wish(
    args: &JobArgs,
    what: &str,
    api: &ApiClient,
    output: Output,
) -> Result<Exit, CliError> {
    let path = format!("{}/{what}", with_segment(PATH, &args.import.to_string()));
    let begun: ImportView = api.post(&path).await?;
    let import = follow(&begun, api).await?;
    output.show(&import, ["import", ""], facts)?;
    Ok(exit_of(&import))
}

pub(super) async fn errors(args: &ErrorsArgs, api: &ApiClient) -> Result<Exit, CliError> {
    let path = format!("{}/errors?format={}", with_segment(PATH, &args.import.to_string()), args.format);
    let mut stdout = std::io::stdout();
    let printed = api.download(&path, |piece| stdout.write_all(piece)).await?;
    match printed.and_then(|()| stdout.flush()) {
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(CliError::Output(error)),
        _ => Ok(Exit::Done),
    }
}

/// Looks until it rests, or waits for somebody.
async fn follow(begun: &ImportView, api: &ApiClient) -> Result<ImportView, CliError> {
    let path = with_segment(PATH, &begun.id.to_string());
    let bar = bar("{bar:40} {msg} {percent}% {elapsed}");
    bar.set_length(1_000);
    let mut import = begun.clone();
    while ["receiving", "checking", "running", "rolling_back"].contains(&import.status.as_str()) {
        bar.set_message(import.status.clone());
        bar.set_position((import.progress * 1_000.0) as u64);
        tokio::time::sleep(LOOK_EVERY).await;
        import = api.get(&path).await?;
    }
    bar.finish_and_clear();
    Ok(import)
}

/// As compilers do it, so that an editor can jump there.
async fn tell_refused(file: &str, import: &ImportView, api: &ApiClient) -> Result<(), CliError> {
    let path = format!("{}/items", with_segment(PATH, &import.id.to_string()));
    let refused = [("verdict", Some("refused".to_owned()))];
    let most = ListingArgs { limit: REFUSED_SHOWN_MAX, cursor: None };
    let found: Listing<ItemView> = listing::fetch(api, &path, &refused, &most).await?;
    for item in &found.data {
        for fault in &item.errors {
            notice(&format!("{file}:{}:{}: {}", item.line, fault.column, fault.detail));
        }
    }
    if found.has_more {
        notice(&format!("{file}: and more: lockkeeper import errors {}", import.id));
    }
    Ok(())
}

fn exit_of(import: &ImportView) -> Exit {
    let rows = |count: i32| u64::from(count.unsigned_abs());
    match import.status.as_str() {
        "failed" => Exit::Failure,
        "rolled_back" if import.rows_left > 0 => Exit::Partial,
        "rolled_back" | "cancelled" => Exit::Done,
        _ => {
            let there =
                [import.rows_created, import.rows_changed, import.rows_unchanged, import.rows_repeated];
            exit_by(there.into_iter().map(rows).sum(), rows(import.rows_refused))
        }
    }
}

fn percent(import: &ImportView) -> String {
    format!("{:.0} %", import.progress * 100.0)
}

fn facts(import: &ImportView) -> Vec<[String; 2]> {
    let mut facts = vec![
        ["id".to_owned(), import.id.to_string()],
        ["status".to_owned(), import.status.clone()],
        ["done".to_owned(), percent(import)],
    ];
    let counts = [
        ("created", import.rows_created),
        ("changed", import.rows_changed),
        ("unchanged", import.rows_unchanged),
        ("repeated", import.rows_repeated),
        ("refused", import.rows_refused),
        ("total", import.rows_total),
    ];
    facts.extend(counts.map(|(what, rows)| [what.to_owned(), rows.to_string()]));
    let taken_back = [("taken back", import.rows_removed), ("left", import.rows_left)];
    let told = taken_back.into_iter().filter(|(_, rows)| *rows > 0);
    facts.extend(told.map(|(what, rows)| [what.to_owned(), rows.to_string()]));
    if let Some(fault) = &import.fault {
        facts.push(["fault".to_owned(), fault.clone()]);
    }
    facts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_exit_code_says_how_it_ended() {
        let import = |status: &str, created: i32, refused: i32, left: i32| -> ImportView {
            serde_json::from_value(json!({
                "id": "imp_00000000000000000000000000", "tenant_id": null, "tenant": null, "source": "csv",
                "lane": "bulk", "mode": "commit", "status": status, "progress": 1.0, "sha256": null, "bytes": 0,
                "rows_total": created + refused, "rows_created": created, "rows_changed": 0, "rows_unchanged": 0,
                "rows_repeated": 0, "rows_refused": refused, "orders_created": 0, "orders_hastened": 0,
                "rows_removed": 0, "rows_left": left, "fault": null, "created_at": "2026-11-21T10:00:00Z",
                "received_at": null, "committed_at": null, "ended_at": null, "rows_kept_until": null
            }))
            .expect("a view")
        };
        for (view, code) in [
            (import("completed", 3, 0, 0), 0),
            (import("preview", 3, 1, 0), 5),
            (import("completed", 0, 1, 0), 1),
            (import("failed", 3, 0, 0), 1),
            (import("rolled_back", 3, 1, 0), 0),
            (import("rolled_back", 3, 0, 1), 5),
            (import("cancelled", 3, 0, 0), 0),
        ] {
            assert_eq!(exit_of(&view).code(), code, "{view:?}");
        }
    }
}
