//! `GET /v1/campaigns`, `GET /v1/campaigns/{campaign}` and `GET /v1/campaigns/{campaign}/certificates`

use axum::Json;
use axum::extract::State;
use issuance::ids::CampaignId;
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::{self, Parameters, PathId};
use crate::store::campaigns::view::{self, Campaign, CampaignDetail, CampaignView, MemberView};
use crate::store::campaigns::{STATES, STATUSES};
use crate::store::page::Listing;
use crate::store::scope::Scope;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ListParameters {
    /// Rows on a page.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before; absent: the first page.
    cursor: Option<String>,
    /// `running`, `paused`, `done` or `cancelled`.
    status: Option<String>,
}

/// Campaigns.
#[utoipa::path(
    get,
    path = "/v1/campaigns",
    tag = "campaigns",
    security(("bearer" = ["certificates:read"])),
    params(ListParameters),
    responses((status = 200, description = "A page, the earliest first", body = Listing<CampaignView>), Problems)
)]
#[tracing::instrument(name = "api.campaigns.list", skip_all)]
pub(in crate::api) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<Json<Listing<CampaignView>>, Problem> {
    caller.require(Scope::CertificatesRead)?;
    let status = query::one_of("status", asked.status.as_deref(), &STATUSES)?;
    let page = query::page(asked.limit, asked.cursor.as_deref(), &status)?;
    Ok(Json(view::list(&api.store, caller.viewer, status, &page, api.clock.now()).await?))
}

/// One campaign: how far it is, and how it has gone down.
#[utoipa::path(
    get,
    path = "/v1/campaigns/{campaign}",
    tag = "campaigns",
    security(("bearer" = ["certificates:read"])),
    params(("campaign" = CampaignId, Path, description = "Its id, `cmp_…`")),
    responses((status = 200, body = CampaignDetail), Problems)
)]
#[tracing::instrument(name = "api.campaigns.read", skip_all, fields(campaign.id = %id))]
pub(in crate::api) async fn find(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CampaignId>,
) -> Result<Json<CampaignDetail>, Problem> {
    caller.require(Scope::CertificatesRead)?;
    let campaign = seen(&api, &caller, id).await?.view(api.clock.now());
    let burn_down = view::burn_down(&api.store, caller.viewer, id).await?;
    Ok(Json(CampaignDetail { campaign, burn_down }))
}

/// The campaign, if it is there for this caller.
async fn seen(api: &ApiState, caller: &Caller, id: CampaignId) -> Result<Campaign, Problem> {
    let found = view::find(&api.store, caller.viewer, id, api.clock.now()).await?;
    found.ok_or_else(|| Problem::not_found("campaign"))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct MemberParameters {
    /// Rows on a page.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before; absent: the first page.
    cursor: Option<String>,
    /// `waiting`, `queued`, `replaced`, `failed` or `skipped`.
    state: Option<String>,
}

/// The certificates of a campaign, and what has become of each.
#[utoipa::path(
    get,
    path = "/v1/campaigns/{campaign}/certificates",
    tag = "campaigns",
    security(("bearer" = ["certificates:read"])),
    params(("campaign" = CampaignId, Path, description = "Its id, `cmp_…`"), MemberParameters),
    responses((status = 200, description = "A page, the earliest certificates first", body = Listing<MemberView>), Problems)
)]
#[tracing::instrument(name = "api.campaigns.members", skip_all, fields(campaign.id = %id))]
pub(in crate::api) async fn members(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CampaignId>,
    Parameters(asked): Parameters<MemberParameters>,
) -> Result<Json<Listing<MemberView>>, Problem> {
    caller.require(Scope::CertificatesRead)?;
    let state = query::one_of("state", asked.state.as_deref(), &STATES)?;
    let page = query::page(asked.limit, asked.cursor.as_deref(), &(id, state))?;
    seen(&api, &caller, id).await?;
    Ok(Json(view::members(&api.store, caller.viewer, id, state, &page).await?))
}
