//! `POST /v1/imports` without a mode: a CSV that is committed in one transaction, and answered with what became of it.

use axum::body::Body;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use bytes::Bytes;
use issuance::fairness::Lane;
use issuance::ids::ImportId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::inflate::Encoding;
use super::request_name;
use crate::adopt::csv::{FILE_BYTES_MAX, Field, FileError, Parsed, Row, RowFault, Rows};
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::body::receive;
use crate::api::problem::Problem;
use crate::api::write::{Answer, begin, idempotency_key, or_answered};
use crate::store::events::Event;
use crate::store::imports::{self, Import, Outcome, Reason, Wish};
use crate::store::quotas::Excess;
use crate::store::viewer::Viewer;
use crate::store::work::Work;

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

/// Takes a CSV of certificates that are to exist: the good rows of it, in one transaction.
pub(super) async fn create(
    api: &ApiState,
    caller: &Caller,
    lane: Lane,
    headers: &HeaderMap,
    uri: &Uri,
    body: Body,
) -> Result<Response, Problem> {
    let key = idempotency_key(headers)?;
    let _seat = api.import_seats.acquire().await.expect("nobody closes the seats");
    let file = receive(headers, body, FILE_BYTES_MAX, Problem::file_too_large).await?;
    let name = key.map(|key| request_name(caller, uri, key, &Sha256::digest(&file).into()));
    let encoding = Encoding::of(headers)?;
    let names_max = api.profile.names_max;
    let read = tokio::task::spawn_blocking(move || {
        let file = encoding.inflated(file, FILE_BYTES_MAX)?;
        ReadFile::of(file, names_max).map_err(|error| Problem::import_invalid(&error))
    })
    .await
    .map_err(|error| Problem::internal(&error))??;
    let mut write = or_answered!(begin(api, caller, name).await?);
    let outcome = read.record(&mut write.work, api, caller.viewer, lane).await?;
    let report = read.report(outcome);
    if let Some(id) = report.id {
        let after = json!({
            "mode": "commit",
            "source": "csv",
            "lane": lane.as_str(),
            "rows_total": report.rows_total,
            "rows_created": report.rows_created,
            "rows_changed": report.rows_changed,
            "rows_unchanged": report.rows_unchanged,
            "rows_refused": report.rows_refused,
            "orders_created": report.orders_created,
        });
        let tenant = match caller.viewer {
            Viewer::Operator => None,
            Viewer::Tenant(tenant) => Some(tenant),
        };
        let data = json!({ "before": null, "after": after });
        let event =
            Event { kind: "import.completed", tenant, certificate: None, subject: id.to_string(), data };
        write.work.tell(event).await?;
    }
    let made_due = report.orders_created + report.orders_hastened > 0;
    let answer = match report.id {
        Some(id) => Answer::created(&report, format!("/v1/imports/{id}")),
        None => Answer::ok(&report),
    };
    let response = write.finish(answer).await?;
    if made_due {
        api.wake.notify_one();
    }
    Ok(response)
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
        work: &mut Work,
        api: &ApiState,
        viewer: Viewer,
        lane: Lane,
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
        Ok(imports::record(work, &import).await?)
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
        Reason::OtherTenant => {
            (row.tenant_column(), Field::Tenant, super::OTHER_TENANT, super::not_own(&row.tenant))
        }
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
