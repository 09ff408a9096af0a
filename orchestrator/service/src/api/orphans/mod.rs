//! `/v1/orphans`: what was found at the CA and is in no row of the ledger yet. The operator's.

mod list;
mod wish;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(wish::look)).routes(routes!(wish::settle))
}
