//! `PATCH /v1/campaigns/{campaign}` and `DELETE /v1/campaigns/{campaign}`

use axum::extract::State;
use axum::response::Response;
use issuance::ids::CampaignId;

use super::granted;
use super::wanted::WantedCampaignChange;
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::campaigns::view::CampaignView;
use crate::store::campaigns::wish;
use crate::store::scope::Scope;

/// Pauses a campaign, lets it go on, or gives it another deadline or rate. What is under way goes on.
#[utoipa::path(
    patch,
    path = "/v1/campaigns/{campaign}",
    tag = "campaigns",
    security(("bearer" = ["certificates:write"])),
    params(("campaign" = CampaignId, Path, description = "Its id, `cmp_…`")),
    request_body = WantedCampaignChange,
    responses((status = 200, description = "As it is now", body = CampaignView), Problems)
)]
#[tracing::instrument(name = "api.campaigns.change", skip_all, fields(campaign.id = %id))]
pub(in crate::api) async fn change(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CampaignId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::CertificatesWrite)?;
    let wanted: WantedCampaignChange = request.json()?;
    let change = wanted.read(api.clock.now()).map_err(Problem::body_invalid)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let view = granted(&api, wish::change(&mut write.work, id, change).await?)?;
    write.finish(Answer::ok(&view)).await
}

/// Calls a campaign off: nothing more is ordered for it. What is under way goes on to its end, and what was replaced stays.
#[utoipa::path(
    delete,
    path = "/v1/campaigns/{campaign}",
    tag = "campaigns",
    security(("bearer" = ["certificates:write"])),
    params(("campaign" = CampaignId, Path, description = "Its id, `cmp_…`")),
    responses((status = 200, description = "It is called off", body = CampaignView), Problems)
)]
#[tracing::instrument(name = "api.campaigns.cancel", skip_all, fields(campaign.id = %id))]
pub(in crate::api) async fn cancel(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CampaignId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::CertificatesWrite)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let view = granted(&api, wish::cancel(&mut write.work, id).await?)?;
    write.finish(Answer::ok(&view)).await
}
