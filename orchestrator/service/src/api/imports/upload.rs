//! `POST /v1/imports` with a mode: the rows go to the database as they arrive, and a job does the rest.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use issuance::fairness::Lane;
use issuance::ids::ImportId;
use metrics::{counter, describe_counter};
use sha2::{Digest as _, Sha256};

use super::inflate::{Encoding, Inflater};
use super::{OTHER_TENANT, not_own, request_name};
use crate::adopt::csv::{Field, ROWS_MAX, Row, RowFault};
use crate::adopt::stream::{Format, Read, RowStream};
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::Problem;
use crate::api::write::{Answer, Begun, begin, idempotency_key};
use crate::store::imports::staging::{self, Batch, Fault, Item, Opening, Received};
use crate::store::imports::wish::tell_created;
use crate::store::tenants;
use crate::store::viewer::Viewer;

/// The most a file may have once it is inflated: a thousand bytes for each of a million rows.
const BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Rows are taken out of so much of a file at once: some thousands.
const PIECE: usize = 256 * 1024;
/// The same of a file that is sent in gzip.
const PIECE_OF_GZIP: usize = 16 * 1024;
/// An upload that sends nothing for this long is given up.
const STILL_MAX: Duration = Duration::from_secs(30);

const UPLOADS: &str = "lockkeeper_import_uploads_total";

/// What is to become of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) format: Format,
    pub(super) lane: Lane,
    pub(super) commits: bool,
}

/// All counts at zero, so that a rate can be taken from the first one on.
pub(in crate::api) fn describe_metrics() {
    describe_counter!(UPLOADS, "Import files that came with a mode, by what became of them.");
    for outcome in ["received", "repeated", "refused"] {
        counter!(UPLOADS, "outcome" => outcome).increment(0);
    }
}

/// Receives a file, and has it worked on.
pub(super) async fn create(
    api: &ApiState,
    caller: &Caller,
    wanted: Wanted,
    headers: &HeaderMap,
    uri: &Uri,
    body: Body,
) -> Result<Response, Problem> {
    let key = idempotency_key(headers)?;
    let encoding = Encoding::of(headers)?;
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > BYTES_MAX as u64) {
        return Err(Problem::file_too_large(BYTES_MAX));
    }
    let own = match caller.viewer {
        Viewer::Operator => None,
        Viewer::Tenant(tenant) => Some(tenants::slug_of(&api.store, tenant).await?.unwrap_or_default()),
    };
    let _seat = api.upload_seats.acquire().await.expect("nobody closes the seats");
    let opening = Opening {
        viewer: caller.viewer,
        account: api.account,
        lane: wanted.lane,
        source: wanted.format.as_str(),
        commits: wanted.commits,
    };
    let import = staging::open(&api.store, api.clock.now(), &opening).await?;
    let rows = RowStream::new(wanted.format, api.profile.names_max, own.clone(), ROWS_MAX);
    let intake = Intake {
        inflater: Inflater::new(encoding, BYTES_MAX),
        rows,
        own,
        digest: Sha256::new(),
        bytes: 0,
        read: Vec::new(),
        batch: Batch::new(import),
    };
    let piece = if encoding == Encoding::Gzip { PIECE_OF_GZIP } else { PIECE };
    let settled = async {
        let received = receive(api, import, intake, piece, body).await?;
        let name = key.map(|key| request_name(caller, uri, key, &received.sha256));
        let mut write = match begin(api, caller, name).await? {
            Begun::Fresh(write) => write,
            Begun::Answered(response) => return Ok((response, "repeated")),
        };
        if !staging::conclude(&mut write.work, import, &received).await? {
            return Err(Problem::upload_broken());
        }
        let view = tell_created(&mut write.work, import).await?;
        let response = write.finish(Answer::accepted(&*view, format!("/v1/imports/{import}"))).await?;
        Ok((response, "received"))
    }
    .await;
    let outcome = settled.as_ref().map_or("refused", |(_, outcome)| *outcome);
    counter!(UPLOADS, "outcome" => outcome).increment(1);
    if outcome != "received" {
        // Where that fails too, its deadline does it.
        staging::discard(&api.store, api.clock.now(), import).await.ok();
    }
    api.import_bell.notify_one();
    settled.map(|(response, _)| response)
}

/// Takes a body until it ends, never more of it than a piece at once: whoever sends faster than the database writes waits.
async fn receive(
    api: &ApiState,
    import: ImportId,
    mut intake: Intake,
    piece_bytes: usize,
    body: Body,
) -> Result<Received, Problem> {
    let mut chunks = body.into_data_stream();
    let mut piece = BytesMut::new();
    loop {
        let chunk = match tokio::time::timeout(STILL_MAX, chunks.next()).await {
            Ok(chunk) => chunk.transpose().map_err(|_| Problem::upload_broken())?,
            Err(_) => return Err(Problem::upload_broken()),
        };
        let ended = chunk.is_none();
        piece.extend_from_slice(&chunk.unwrap_or_default());
        while ended || piece.len() >= piece_bytes {
            let taken = piece.split_to(piece.len().min(piece_bytes)).freeze();
            let last = ended && piece.is_empty();
            // Names are parsed there: that takes longer than other requests should wait for a turn.
            let (back, read) = tokio::task::spawn_blocking(move || {
                let read = intake.take(&taken, last);
                (intake, read)
            })
            .await
            .map_err(|error| Problem::internal(&error))?;
            intake = back;
            read?;
            if !intake.batch.is_empty() {
                if !staging::stage(&api.store, api.clock.now(), import, &intake.batch).await? {
                    return Err(Problem::upload_broken());
                }
                intake.batch.clear();
            }
            if last {
                return Ok(intake.received());
            }
        }
    }
}

/// A file on its way.
#[derive(Debug)]
struct Intake {
    inflater: Inflater,
    rows: RowStream,
    /// The only tenant that there may be.
    own: Option<String>,
    digest: Sha256,
    bytes: u64,
    read: Vec<Read>,
    batch: Batch,
}

impl Intake {
    fn take(&mut self, piece: &Bytes, last: bool) -> Result<(), Problem> {
        self.digest.update(piece);
        self.bytes += piece.len() as u64;
        let Self { inflater, rows, own, read, batch, .. } = self;
        let mut each = |inflated: &[u8]| {
            rows.push(inflated, read).map_err(|error| Problem::import_invalid(&error))?;
            file(batch, own.as_deref(), read);
            Ok(())
        };
        inflater.push(piece, &mut each)?;
        if last {
            inflater.finish(&mut each)?;
            rows.finish(read).map_err(|error| Problem::import_invalid(&error))?;
            file(batch, own.as_deref(), read);
        }
        Ok(())
    }

    fn received(self) -> Received {
        Received { sha256: self.digest.finalize().into(), bytes: self.bytes, lines: self.rows.line() }
    }
}

/// Puts what was read into the batch.
fn file(batch: &mut Batch, own: Option<&str>, read: &mut Vec<Read>) {
    for one in read.drain(..) {
        match one {
            Read::Row(row) if own.is_some_and(|own| own != row.tenant) => {
                let detail = not_own(&row.tenant);
                let field = Some(Field::Tenant.as_str());
                let fault = Fault { column: row.tenant_column(), field, code: OTHER_TENANT, detail: &detail };
                batch.refuse(row.line, &[fault]);
            }
            Read::Row(row) => batch.push(&item(&row)),
            Read::Refused { line, faults } => {
                let faults: Vec<Fault<'_>> = faults.iter().map(fault).collect();
                batch.refuse(line, &faults);
            }
        }
    }
}

fn item(row: &Row) -> Item<'_> {
    Item {
        line: row.line,
        tenant: &row.tenant,
        external_id: &row.external_id,
        names: &row.names,
        challenge: row.challenge.as_str(),
        labels: &row.labels,
        tenant_column: row.tenant_column(),
        external_id_column: row.external_id_column(),
        name_columns: row.name_columns(),
    }
}

fn fault(fault: &RowFault) -> Fault<'_> {
    Fault {
        column: fault.column,
        field: fault.field.map(Field::as_str),
        code: fault.code.as_str(),
        detail: &fault.detail,
    }
}
