//! What the lists have in common: all pages of them, up to a number of rows.

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::api_client::{ApiClient, ApiError};
use super::error::CliError;
use super::exit::Exit;
use super::notice::notice;
use super::output::Output;
use crate::api::address::with_query;
use crate::store::page::{LIMIT_MAX, Listing};

#[derive(Debug, Clone, Args)]
pub struct ListingArgs {
    /// Rows at the most.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub limit: usize,
    /// Goes on where another list ended: its `next_cursor`.
    #[arg(long)]
    pub cursor: Option<String>,
}

/// Reads every page.
pub(super) async fn fetch_all<T: DeserializeOwned>(
    api: &ApiClient,
    path: &str,
    filters: &[(&str, Option<String>)],
) -> Result<Vec<T>, ApiError> {
    let everything = ListingArgs { limit: usize::MAX, cursor: None };
    Ok(fetch(api, path, filters, &everything).await?.data)
}

/// Reads pages until there are enough rows.
pub(super) async fn fetch<T: DeserializeOwned>(
    api: &ApiClient,
    path: &str,
    filters: &[(&str, Option<String>)],
    args: &ListingArgs,
) -> Result<Listing<T>, ApiError> {
    let mut rows = Vec::new();
    let mut cursor = args.cursor.clone();
    loop {
        let limit = args.limit.saturating_sub(rows.len()).clamp(1, LIMIT_MAX as usize);
        let mut parameters = filters.to_vec();
        parameters.push(("limit", Some(limit.to_string())));
        parameters.push(("cursor", cursor));
        let page: Listing<T> = api.get(&with_query(path, &parameters)).await?;
        rows.extend(page.data);
        cursor = page.next_cursor;
        if !page.has_more || rows.len() >= args.limit {
            return Ok(Listing { data: rows, next_cursor: cursor, has_more: page.has_more });
        }
    }
}

/// Prints a list; one that goes on says so.
pub(super) fn show<T: Serialize, const COLUMNS: usize>(
    output: Output,
    listing: &Listing<T>,
    header: [&str; COLUMNS],
    row: impl Fn(&T) -> [String; COLUMNS],
) -> Result<Exit, CliError> {
    output.show(listing, header, |listing| listing.data.iter().map(row).collect())?;
    if listing.has_more {
        notice("there are more rows: raise --limit, or use -o json and go on with --cursor");
    }
    Ok(Exit::Done)
}

/// A value that may be missing, for a table.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
