//! `GET /v1/imports/{import}/errors`: everything that is wrong with rows, to be opened beside the file.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use issuance::ids::ImportId;
use serde::Deserialize;

use super::read::seen;
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::{self, Parameters, PathId};
use crate::store::imports::view::{self, FaultsAfter, ItemFault};
use crate::store::scope::Scope;
use crate::store::{Store, StoreError};

/// Read and sent at once.
const AT_ONCE: u16 = 1_000;
const FORMATS: [&str; 2] = ["csv", "ndjson"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ErrorParameters {
    format: Option<String>,
}

/// In the order of the lines, one a line.
#[utoipa::path(
    get,
    path = "/v1/imports/{import}/errors",
    tag = "imports",
    security(("bearer" = ["imports:write"])),
    params(
        ("import" = ImportId, Path, description = "Its id: imp_…"),
        ("format" = Option<String>, Query, description = "`csv` or `ndjson`; absent: what `Accept` prefers, or CSV")
    ),
    responses(
        (status = 200, content((String = "text/csv"), (String = "application/x-ndjson"))),
        Problems
    )
)]
#[tracing::instrument(name = "api.imports.errors", skip_all, fields(import.id = %id))]
pub(super) async fn download(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<ImportId>,
    Parameters(asked): Parameters<ErrorParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Scope::ImportsWrite)?;
    let asked = query::one_of("format", asked.format.as_deref(), &FORMATS)?;
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_csv = asked.map_or(!accepts.contains("ndjson"), |format| format == "csv");
    seen(&api, &caller, id).await?;
    let start = if is_csv { "line,column,field,code,detail\r\n" } else { "" };
    let body =
        Progress { store: api.store.clone(), id, is_csv, start: Some(start), after: FaultsAfter::default() };
    let mut response = Response::new(Body::from_stream(stream::try_unfold(body, Progress::next)));
    let (kind, ending) =
        if is_csv { ("text/csv; charset=utf-8", "csv") } else { ("application/x-ndjson", "ndjson") };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let disposition = format!("attachment; filename=\"{id}-errors.{ending}\"");
    headers.insert(CONTENT_DISPOSITION, HeaderValue::try_from(disposition).expect("an id is ASCII"));
    Ok(response)
}

/// How far a download is.
struct Progress {
    store: Store,
    id: ImportId,
    is_csv: bool,
    start: Option<&'static str>,
    after: FaultsAfter,
}

impl Progress {
    /// A failure half-way breaks the connection: what has arrived must not look complete.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        if let Some(start) = self.start.take().filter(|start| !start.is_empty()) {
            return Ok(Some((Bytes::from_static(start.as_bytes()), self)));
        }
        let faults = view::faults(&self.store, self.id, &mut self.after, AT_ONCE).await?;
        if faults.is_empty() {
            return Ok(None);
        }
        let mut text = String::new();
        for fault in &faults {
            if self.is_csv {
                csv_line(&mut text, fault);
            } else {
                text.push_str(&serde_json::to_string(fault).expect("texts and numbers serialize"));
                text.push('\n');
            }
        }
        Ok(Some((text.into(), self)))
    }
}

fn csv_line(out: &mut String, fault: &ItemFault) {
    let numbers = [fault.line.unwrap_or_default(), i64::from(fault.column)].map(|number| number.to_string());
    let fields =
        [&numbers[0], &numbers[1], fault.field.as_deref().unwrap_or_default(), &fault.code, &fault.detail];
    for (nr, field) in fields.into_iter().enumerate() {
        if nr > 0 {
            out.push(',');
        }
        cell(out, field);
    }
    out.push_str("\r\n");
}

/// A field by RFC 4180 that no spreadsheet takes for a formula: what quotes a file of somebody else begins with whatever he
/// has written there (OWASP, "CSV Injection").
fn cell(out: &mut String, text: &str) {
    let dangerous =
        |c: char| matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠');
    // Spreadsheets cut off what stands before the formula: blanks, and quotes.
    let first = text.trim_start_matches([' ', '\'', '"', '\u{a0}', '\u{feff}']).chars().next();
    let guard = if first.is_some_and(dangerous) { "'" } else { "" };
    if guard.is_empty() && !text.contains(['"', ',', '\n', '\r']) {
        out.push_str(text);
        return;
    }
    out.push('"');
    out.push_str(guard);
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        let shown = |text: &str| {
            let mut out = String::new();
            cell(&mut out, text);
            out
        };
        assert_eq!(shown("shop.com is taken"), "shop.com is taken");
        assert_eq!(shown("a, b"), "\"a, b\"");
        for (text, cell) in [
            ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("\"=1+1\" is no tenant", "\"'\"\"=1+1\"\" is no tenant\""),
            ("＝1", "\"'＝1\""),
        ] {
            assert_eq!(shown(text), cell);
        }
    }
}
