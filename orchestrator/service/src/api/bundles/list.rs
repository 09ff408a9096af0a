//! `GET /v1/bundles`: what a server needs, in which version.
//!
//! With `If-None-Match` and `Prefer: wait=N` (RFC 7240) the answer is held until something changes.

#![expect(unused_qualifications, reason = "the description of a route qualifies what it names")]

use std::time::Duration;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use issuance::hexadecimal::hexadecimal;
use issuance::ids::{CertificateId, VersionId};
use issuance::selector::Selector;
use issuance::time::Timestamp;
use metrics::{counter, gauge};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};
use utoipa::{IntoParams, ToSchema};

use super::open::{etag, is_known};
use super::watch::LOOK_EVERY;
use crate::api::ApiState;
use crate::api::delivery_instruments::{BUNDLE_LISTS, BUNDLE_WAITS};
use crate::api::prefer::wait_of;
use crate::api::problem::{Problem, Problems};
use crate::api::query::Parameters;
use crate::api::recipient::Recipient;
use crate::store::bundles::{self, Audience};
use crate::store::scope::Scope;

/// A server with more has them by other labels.
const BUNDLES_MAX: usize = 20_000;
/// What no issuance wakes anybody for: a label that was put on or taken off. Seen after so long.
const LOOK_ANYWAY_EVERY: Duration = Duration::from_secs(15);

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Labels that each certificate has, as in `server=web17,tier=shop`. Absent: those of the key.
    selector: Option<String>,
}

/// What a server needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct BundleList {
    data: Vec<BundleItem>,
}

/// One certificate of it, in its current version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct BundleItem {
    certificate_id: CertificateId,
    version_id: VersionId,
    external_id: String,
    names: Vec<String>,
    /// Of the bundle as JSON; another one says that there is another version.
    etag: String,
    /// SHA-256 of the leaf, lower-case hexadecimal.
    fingerprint_sha256: String,
    not_after: Timestamp,
    /// Whether the bundle has a private key.
    has_key: bool,
    /// Where the bundle is fetched.
    url: String,
}

/// 304 where nothing is other than what `If-None-Match` names, at once or after the wait.
#[utoipa::path(
    get,
    path = "/v1/bundles",
    tag = "delivery",
    security(("bearer" = ["bundles:read"])),
    params(
        Asked,
        ("If-None-Match" = Option<String>, Header, description = "The list that is known"),
        ("Prefer" = Option<String>, Header, description = "wait=N: how many seconds to wait for another one, 60 at the most"),
    ),
    responses((status = 200, body = BundleList), (status = 304, description = "It is what is known"), Problems)
)]
#[tracing::instrument(name = "api.bundles.list", skip_all)]
pub(super) async fn list(
    State(api): State<ApiState>,
    recipient: Recipient,
    Parameters(asked): Parameters<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    recipient.caller.require(Scope::BundlesRead)?;
    let audience = audience(&recipient, asked.selector.as_deref())?;
    let wait = wait_of(&headers);
    let deadline = Instant::now() + wait;
    // Before the first look, so that nothing falls in between.
    let mut issued = api.bundle_watch.listen();
    let mut waiting = None;
    loop {
        let found = read(&api, audience.as_ref()).await?;
        let is_over = Instant::now() >= deadline || api.stop.is_cancelled();
        if !is_known(&headers, &found.etag) {
            counter!(BUNDLE_LISTS, "outcome" => "changed").increment(1);
            return Ok(found.into_response());
        }
        if is_over {
            counter!(BUNDLE_LISTS, "outcome" => "same").increment(1);
            return Ok((StatusCode::NOT_MODIFIED, [(ETAG, found.etag)]).into_response());
        }
        waiting.get_or_insert_with(Waiting::begin);
        let look_anyway = deadline.min(Instant::now() + LOOK_ANYWAY_EVERY);
        loop {
            let next = look_anyway.min(Instant::now() + LOOK_EVERY);
            tokio::select! {
                () = api.stop.cancelled() => break,
                one = issued.recv() => match one {
                    Ok(one) if audience.as_ref().is_some_and(|own| own.includes(one.tenant, &one.labels)) => break,
                    Ok(_) => {}
                    // Too much has happened to tell whether it is of interest.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => break,
                },
                () = sleep_until(next) => {
                    if Instant::now() >= look_anyway {
                        break;
                    }
                    api.bundle_watch.look(&api.store, api.clock.now()).await?;
                }
            }
        }
    }
}

/// For whom it is; `None`: nothing can have the labels asked for and those of the key.
fn audience(recipient: &Recipient, selector: Option<&str>) -> Result<Option<Audience>, Problem> {
    let Some(text) = selector else {
        if recipient.audience.selector.is_some() {
            return Ok(Some(recipient.audience.clone()));
        }
        let detail = "say which certificates: selector=server%3Dweb17, as key=value separated by commas";
        return Err(Problem::bad_parameter(Some("selector"), detail));
    };
    let wanted =
        Selector::parse(text).map_err(|error| Problem::bad_parameter(Some("selector"), error.to_string()))?;
    Ok(recipient.audience.narrowed(&wanted))
}

/// A list as it is sent.
struct Found {
    etag: String,
    body: Vec<u8>,
}

impl Found {
    fn into_response(self) -> Response {
        let headers = [
            (CONTENT_TYPE, "application/json".to_owned()),
            (CACHE_CONTROL, "private, no-cache".to_owned()),
            (ETAG, self.etag),
        ];
        (headers, self.body).into_response()
    }
}

async fn read(api: &ApiState, audience: Option<&Audience>) -> Result<Found, Problem> {
    let listed = match audience {
        Some(audience) => bundles::list(&api.store, audience, BUNDLES_MAX).await?,
        None => Vec::new(),
    };
    if listed.len() > BUNDLES_MAX {
        return Err(Problem::selector_too_wide(BUNDLES_MAX));
    }
    let items = listed.into_iter().map(|one| BundleItem {
        certificate_id: one.certificate,
        version_id: one.version,
        external_id: one.external_id,
        names: one.names,
        etag: etag(&one.fingerprint_sha256, "json", one.has_key),
        fingerprint_sha256: hexadecimal(&one.fingerprint_sha256),
        not_after: one.not_after,
        has_key: one.has_key,
        url: format!("/v1/certificates/{}/bundle", one.certificate),
    });
    let list = BundleList { data: items.collect() };
    let body = serde_json::to_vec(&list).map_err(|error| Problem::internal(&error))?;
    let digest = hexadecimal(&Sha256::digest(&body));
    Ok(Found { etag: format!("\"{}\"", &digest[..32]), body })
}

/// Counted as long as it lives.
struct Waiting;

impl Waiting {
    fn begin() -> Self {
        gauge!(BUNDLE_WAITS).increment(1);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        gauge!(BUNDLE_WAITS).decrement(1);
    }
}
