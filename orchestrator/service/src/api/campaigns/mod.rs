//! `/v1/campaigns`: certificates that are to be replaced by an instant.

mod change;
mod create;
mod preview;
mod read;
mod wanted;

use issuance::ids::CampaignId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::problem::Problem;
use crate::store::campaigns::view::CampaignView;
use crate::store::campaigns::wish::Granted;

pub use self::preview::CampaignPreview;
pub use self::wanted::{WantedCampaign, WantedCampaignChange};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(read::list, create::create))
        .routes(routes!(read::find, change::change, change::cancel))
        .routes(routes!(read::members))
}

fn location(id: CampaignId) -> String {
    format!("/v1/campaigns/{id}")
}

/// What a wish has come to, or why it has not.
fn granted(api: &ApiState, granted: Granted) -> Result<CampaignView, Problem> {
    match granted {
        Granted::Now(campaign) => Ok(campaign.view(api.clock.now())),
        Granted::Ended(campaign) => Err(Problem::campaign_ended(&campaign.status)),
        Granted::NotFound => Err(Problem::not_found("campaign")),
    }
}
