//! `/v1/bundles` and what all bundles share: how they are opened, named and rendered.

mod list;
pub(super) mod open;
pub(super) mod watch;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list::list))
}
