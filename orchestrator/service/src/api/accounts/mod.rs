//! `/v1/accounts`: the accounts at CAs. The operator's.

mod change;
mod list;
mod read;

pub use change::AccountChange;
pub use list::Accounts;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(read::read, change::change))
}
