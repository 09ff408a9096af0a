//! `POST /v1/api-keys/{key}/rotate`

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use issuance::ids::ApiKeyId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MadeKey, require_no_more, told};
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, ProblemEntry, Problems};
use crate::api::query::PathId;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::keyring::{self, RotationRefusal};
use crate::store::scope::Scope;

/// Who takes a day to bring the new key to all servers is not locked out.
const OVERLAP: Duration = Duration::from_hours(24);
const OVERLAP_MAX: Duration = Duration::from_hours(30 * 24);

/// How a key is replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedRotation {
    /// How long the old one is still good. Absent: a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_seconds: Option<u64>,
}

/// Makes a successor with the same terms, whose text is told in this answer and never again. Both are good until the
/// overlap is over.
#[utoipa::path(
    post, path = "/v1/api-keys/{key}/rotate", tag = "api-keys",
    params(("key" = ApiKeyId, Path, description = "The key's id, `key_…`")), request_body = WantedRotation,
    security(("bearer" = ["keys:manage"])),
    responses((status = 201, description = "Its text is told this once", body = MadeKey), Problems)
)]
#[tracing::instrument(name = "api.api_keys.rotate", skip_all, fields(key.id = %id))]
pub(super) async fn rotate(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<ApiKeyId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::KeysManage)?;
    let wanted: WantedRotation = request.json_or_default()?;
    let overlap = wanted.overlap_seconds.map_or(OVERLAP, Duration::from_secs);
    if overlap > OVERLAP_MAX {
        let detail = format!("an overlap is 0 to {} s", OVERLAP_MAX.as_secs());
        return Err(Problem::body_invalid(vec![ProblemEntry::at(
            "/overlap_seconds",
            "out-of-range",
            detail,
        )]));
    }
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let before = keyring::hold(&mut write.work, id).await?;
    let before = before.ok_or_else(|| Problem::not_found("key"))?;
    require_no_more(&caller, &before)?;
    let (view, token) = match keyring::rotate(&mut write.work, &before, overlap).await? {
        Ok(made) => made,
        Err(RotationRefusal::NotGood) => return Err(Problem::key_not_good()),
        Err(RotationRefusal::UnderWay) => return Err(Problem::rotation_under_way()),
    };
    write.work.tell(told("api_key.rotated", Some(&before), Some(&view))).await?;
    let location = format!("/v1/api-keys/{}", view.id);
    let made = MadeKey { key: token.reveal().to_owned(), view };
    write.finish(Answer::created(&made, location)).await
}
