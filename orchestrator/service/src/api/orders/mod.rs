//! Orders.

pub mod cancel;
pub(super) mod fetches;
pub(super) mod list;
pub(super) mod read;
pub(super) mod timeline;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(read::read))
        .routes(routes!(fetches::list))
        .routes(routes!(timeline::read))
        .routes(routes!(cancel::create))
}
