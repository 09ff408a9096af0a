//! `POST /v1/imports`

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use issuance::fairness::Lane;
use issuance::ids::ImportId;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Caller;
use super::body::receive;
use super::problem::{Problem, Problems};
use super::query::Parameters;
use crate::adopt::csv::{FILE_BYTES_MAX, Field, FileError, Parsed, Row, RowFault, Rows};
use crate::store::imports::{self, Import, Outcome, Reason, Wish};
use crate::store::quotas::Excess;
use crate::store::scope::Scope;
use crate::store::viewer::Viewer;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(create))
}

/// Refused rows named in an answer; the rest are counted.
const REFUSED_SHOWN_MAX: usize = 10_000;

/// What became of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportReport {
    /// `None` where nothing was written: every row was there already, or refused.
    pub id: Option<ImportId>,
    pub rows_total: u64,
    pub rows_created: u64,
    pub rows_changed: u64,
    pub rows_unchanged: u64,
    pub rows_refused: u64,
    pub orders_created: u64,
    /// Orders that waited in a lane behind the one that was asked for, and wait in that one now.
    #[serde(default)]
    pub orders_hastened: u64,
    /// In the order of the lines. A row has an entry for each thing that is wrong with it.
    pub refused: Vec<RefusedRow>,
    /// Entries beyond the 10,000 that an answer holds.
    pub refused_left_out: u64,
}

/// One thing that is wrong with one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedRow {
    /// From 1; the header is line 1.
    pub line: u64,
    /// The character it begins at, from 1.
    pub column: u32,
    /// The column of the header.
    pub field: Option<String>,
    pub code: String,
    /// What is wrong and what to write instead.
    pub detail: String,
}

/// What rows of a file ask for.
pub fn wishes(rows: &[Row]) -> Vec<Wish<'_>> {
    rows.iter()
        .map(|row| Wish {
            tenant: &row.tenant,
            external_id: &row.external_id,
            names: &row.names,
            challenge: row.challenge.as_str(),
            labels: &row.labels,
        })
        .collect()
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateParameters {
    lane: Option<String>,
}

/// The lanes that can be asked for; renewals are the service's own.
pub const LANES: [Lane; 3] = [Lane::Bulk, Lane::Interactive, Lane::Urgent];

impl CreateParameters {
    /// The lane of the new orders: behind all others, unless somebody waits.
    fn lane(&self, viewer: Viewer) -> Result<Lane, Problem> {
        let Some(word) = self.lane.as_deref() else { return Ok(Lane::Bulk) };
        match LANES.into_iter().find(|lane| lane.as_str() == word) {
            Some(Lane::Urgent) if viewer != Viewer::Operator => Err(Problem::bad_parameter(
                Some("lane"),
                "the lane urgent is the operator's: ask for interactive",
            )),
            Some(lane) => Ok(lane),
            None => {
                let words = LANES.map(Lane::as_str).join(", ");
                Err(Problem::bad_parameter(Some("lane"), format!("lane is one of {words}")))
            }
        }
    }
}

/// Takes a CSV of certificates that are to exist: the good rows of it, in one transaction.
#[utoipa::path(
    post,
    path = "/v1/imports",
    tag = "imports",
    params(CreateParameters),
    request_body(content = String, content_type = "text/csv"),
    security(("bearer" = ["imports:write"])),
    responses(
            (status = 201, description = "What became of the rows", body = ImportReport),
            (status = 200, description = "Every row was there already, or refused: nothing was written", body = ImportReport), Problems)
)]
#[tracing::instrument(name = "api.imports.create", skip_all)]
pub(super) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    Parameters(asked): Parameters<CreateParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<ImportReport>), Problem> {
    caller.require(Scope::ImportsWrite)?;
    let viewer = caller.viewer;
    if !is_csv(&headers) {
        return Err(Problem::not_csv());
    }
    let lane = asked.lane(viewer)?;
    let _seat = api.import_seats.acquire().await.expect("nobody closes the seats");
    let file = receive(&headers, body, FILE_BYTES_MAX, Problem::file_too_large).await?;
    let names_max = api.profile.names_max;
    let read = tokio::task::spawn_blocking(move || ReadFile::of(file, names_max))
        .await
        .map_err(|error| Problem::internal(&error))?
        .map_err(|error| Problem::import_invalid(&error))?;
    let outcome = read.record(&api, viewer, lane, api.clock.now()).await?;
    if outcome.orders_created + outcome.orders_hastened > 0 {
        api.wake.notify_one();
    }
    let status = if outcome.import.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(read.report(outcome))))
}

fn is_csv(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/csv"))
        && parts.all(|parameter| {
            let charset = parameter.get(..8).filter(|name| name.eq_ignore_ascii_case("charset="));
            charset.is_none() || parameter[8..].trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
}

/// A file, sorted into what can be wished for and what cannot.
#[derive(Debug, Default)]
struct ReadFile {
    rows: Vec<Row>,
    repeated: u64,
    rows_refused: u64,
    refused: Vec<RefusedRow>,
    refused_left_out: u64,
}

impl ReadFile {
    fn of(file: Bytes, names_max: u32) -> Result<Self, FileError> {
        let mut read = Self::default();
        for parsed in Rows::new(file, names_max)? {
            match parsed {
                Parsed::Row(row) => read.rows.push(*row),
                Parsed::Repeat { .. } => read.repeated += 1,
                Parsed::Refused(faults) => {
                    read.rows_refused += 1;
                    for fault in faults {
                        read.refuse(fault.into());
                    }
                }
            }
        }
        Ok(read)
    }

    fn refuse(&mut self, row: RefusedRow) {
        if self.refused.len() < REFUSED_SHOWN_MAX {
            self.refused.push(row);
        } else {
            self.refused_left_out += 1;
        }
    }

    async fn record(
        &self,
        api: &ApiState,
        viewer: Viewer,
        lane: Lane,
        now: Timestamp,
    ) -> Result<Outcome, Problem> {
        let wishes = wishes(&self.rows);
        let import = Import {
            viewer,
            account: api.account,
            lane,
            source: "csv",
            wishes: &wishes,
            rows_repeated: self.repeated,
            rows_refused: self.rows_refused,
        };
        Ok(imports::record(&api.store, now, &import).await?)
    }

    fn report(mut self, outcome: Outcome) -> ImportReport {
        let rows_total = self.rows.len() as u64 + self.repeated + self.rows_refused;
        let rows_refused = self.rows_refused + outcome.refusals.len() as u64;
        for refusal in outcome.refusals {
            let refused = refused_by_owner(&self.rows[refusal.wish], &refusal.reason);
            self.refuse(refused);
        }
        self.refused.sort_by_key(|row| (row.line, row.column));
        ImportReport {
            id: outcome.import,
            rows_total,
            rows_created: outcome.rows_created,
            rows_changed: outcome.rows_changed,
            rows_unchanged: outcome.rows_unchanged,
            rows_refused,
            orders_created: outcome.orders_created,
            orders_hastened: outcome.orders_hastened,
            refused: self.refused,
            refused_left_out: self.refused_left_out,
        }
    }
}

fn refused_by_owner(row: &Row, reason: &Reason) -> RefusedRow {
    let (column, field, code, detail) = match reason {
        Reason::OtherTenant => (
            row.tenant_column(),
            Field::Tenant,
            "other_tenant",
            format!("this token imports for its own tenant alone, not for {}", row.tenant),
        ),
        Reason::HostnameOwnedByOtherTenant(name) => (
            row.column_of(name).unwrap_or(1),
            Field::Names,
            "hostname_owned_by_other_tenant",
            format!(
                "{name} belongs to another tenant: it must be released there first, or asked for with a proof"
            ),
        ),
        Reason::Quota(Excess::Suspended) => {
            (row.tenant_column(), Field::Tenant, "tenant_suspended", Excess::Suspended.to_string())
        }
        Reason::Quota(excess) => {
            (row.tenant_column(), Field::Tenant, "tenant_quota_exceeded", excess.to_string())
        }
    };
    RefusedRow {
        line: row.line,
        column,
        field: Some(field.as_str().to_owned()),
        code: code.to_owned(),
        detail,
    }
}

impl From<RowFault> for RefusedRow {
    fn from(fault: RowFault) -> Self {
        Self {
            line: fault.line,
            column: fault.column,
            field: fault.field.map(|field| field.as_str().to_owned()),
            code: fault.code.as_str().to_owned(),
            detail: fault.detail,
        }
    }
}
