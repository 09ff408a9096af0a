//! The ledger as tenants and the operator see it: every fact but tokens and key authorizations.

use issuance::ids::{AccountId, AuthorizationId, OrderId, TenantId};
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::faults::FaultView;
use super::page::{Listing, Page};
use super::viewer::Viewer;
use super::{Store, StoreError};

/// The statuses of RFC 8555 §7.1.6, as the table checks them.
pub const STATUSES: [&str; 6] = ["pending", "valid", "invalid", "deactivated", "expired", "revoked"];

/// One authorization, with the instant of everything that has happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationView {
    pub id: AuthorizationId,
    pub tenant_id: TenantId,
    /// The tenant's slug.
    pub tenant: String,
    pub account_id: AccountId,
    pub order_id: OrderId,
    pub url: String,
    /// `None` until it has been read at the CA.
    pub identifier: Option<String>,
    pub wildcard: bool,
    /// As the CA last said it.
    pub status: String,
    /// Neither submitted nor deactivated nor final: the promise is that none stays so.
    pub open: bool,
    pub origin: String,
    pub challenge_type: Option<String>,
    pub opened_at: Timestamp,
    pub submit_intended_at: Option<Timestamp>,
    pub submitted_at: Option<Timestamp>,
    pub deactivate_intended_at: Option<Timestamp>,
    pub settled_at: Option<Timestamp>,
    pub final_at: Option<Timestamp>,
    pub expires_at: Timestamp,
    pub fault: Option<FaultView>,
}

/// Which authorizations; a field that is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthorizationFilter {
    pub open: Option<bool>,
    /// One of [`STATUSES`].
    pub status: Option<&'static str>,
    /// A tenant's slug.
    pub tenant: Option<String>,
    pub order: Option<OrderId>,
}

pub async fn list(
    store: &Store,
    viewer: Viewer,
    filter: &AuthorizationFilter,
    page: &Page,
) -> Result<Listing<AuthorizationView>, StoreError> {
    let found = select(store, viewer, filter, page).await?;
    Ok(page.listing(found, |authorization| authorization.id.0))
}

/// All of one order's. An order has no more than a page holds: at most a hundred names, each with the few
/// authorizations that its new-order requests can have made.
pub(super) async fn of_order(
    store: &Store,
    viewer: Viewer,
    order: OrderId,
) -> Result<Vec<AuthorizationView>, StoreError> {
    let filter = AuthorizationFilter { order: Some(order), ..AuthorizationFilter::default() };
    select(store, viewer, &filter, &Page::largest()).await
}

async fn select(
    store: &Store,
    viewer: Viewer,
    filter: &AuthorizationFilter,
    page: &Page,
) -> Result<Vec<AuthorizationView>, StoreError> {
    let found = sqlx::query_file!(
        "queries/authorizations_list.sql",
        viewer.tenant_id(),
        page.after(),
        page.rows_to_read(),
        filter.order.map(|order| order.0),
        filter.tenant.as_deref(),
        filter.open,
        filter.status,
    )
    .fetch_all(store.pool())
    .await
    .map_err(StoreError::of("authorizations.list"))?;
    let views = found.into_iter().map(|row| AuthorizationView {
        id: AuthorizationId(row.authorization_id),
        tenant_id: TenantId(row.tenant_id),
        tenant: row.tenant,
        account_id: AccountId(row.account_id),
        order_id: OrderId(row.order_id),
        url: row.url,
        fault: FaultView::of(row.fault_class.as_deref(), row.fault_detail, row.identifier.clone()),
        identifier: row.identifier,
        wildcard: row.wildcard,
        status: row.status,
        open: row.settled_at.is_none(),
        origin: row.origin,
        challenge_type: row.challenge_type,
        opened_at: row.opened_at.into(),
        submit_intended_at: row.submit_intended_at.map(Timestamp::from),
        submitted_at: row.submitted_at.map(Timestamp::from),
        deactivate_intended_at: row.deactivate_intended_at.map(Timestamp::from),
        settled_at: row.settled_at.map(Timestamp::from),
        final_at: row.final_at.map(Timestamp::from),
        expires_at: row.expires_at.into(),
    });
    Ok(views.collect())
}
