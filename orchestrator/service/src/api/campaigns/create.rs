//! `POST /v1/campaigns`

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::location;
use super::preview::{CampaignPreview, foresee};
use super::wanted::WantedCampaign;
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, ProblemEntry, Problems};
use crate::api::query::Parameters;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::campaigns::view::CampaignView;
use crate::store::campaigns::wish::{self, NewCampaign};
use crate::store::forecast;
use crate::store::scope::Scope;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct CreateParameters {
    /// Tells what it would be about, what it would cost and when it would be done; writes nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Has certificates replaced by an instant: those of which the latest version fits. They are found and ordered in the
/// background, beside everything else and under the same limits.
#[utoipa::path(
    post,
    path = "/v1/campaigns",
    tag = "campaigns",
    security(("bearer" = ["certificates:write"])),
    params(CreateParameters),
    request_body = WantedCampaign,
    responses(
        (status = 201, description = "It has begun", body = CampaignView),
        (status = 200, description = "A dry run: what it would be", body = CampaignPreview),
        Problems
    )
)]
#[tracing::instrument(name = "api.campaigns.create", skip_all)]
pub(in crate::api) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    Parameters(asked): Parameters<CreateParameters>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::CertificatesWrite)?;
    let wanted: WantedCampaign = request.json()?;
    let own = forecast::own_slug(&api.store, caller.viewer).await?;
    let now = api.clock.now();
    let errors = wanted.errors(own.as_deref(), now);
    if !errors.is_empty() {
        return Err(Problem::body_invalid(errors));
    }
    let preview = foresee(&api, caller.viewer, &wanted, now).await?;
    if asked.dry_run {
        return Ok(Answer::ok(&preview).into_response());
    }
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    if preview.certificates == 0 {
        let detail = format!(
            "nothing that is still in use fits: {} versions that do are superseded, {} removed, {} expired",
            preview.superseded, preview.removed, preview.expired
        );
        return Err(Problem::body_invalid(vec![ProblemEntry::at("/selector", "nothing-selected", detail)]));
    }
    let new = NewCampaign {
        reason: wanted.reason.trim().to_owned(),
        new_keys: wanted.has_new_keys(),
        deadline: wanted.deadline,
        rate_per_hour: wanted.rate_per_hour,
        foreseen_at: preview.finish.map(|finish| finish.p90),
        selector: wanted.selector,
    };
    let campaign = wish::create(&mut write.work, &new).await?;
    let answer = Answer::created(&campaign.view(now), location(campaign.id));
    write.finish(answer).await
}
