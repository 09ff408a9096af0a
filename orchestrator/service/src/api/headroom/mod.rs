pub mod answer;
mod fleet;
pub mod forecast;
mod read;

pub use fleet::Fleet;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read::read)).routes(routes!(forecast::create))
}
