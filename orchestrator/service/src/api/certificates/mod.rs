//! Certificates.

mod bundle;
mod chain;
mod list;
mod read;
mod versions;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(read::read))
        .routes(routes!(chain::read))
        .routes(routes!(versions::list))
        .routes(routes!(bundle::read, bundle::create))
}
