//! The ledger as tenants and the operator see it: every fact but tokens and key authorizations.

use issuance::ids::{AccountId, AuthorizationId, CertificateId, OrderId, TenantId};
use issuance::outlook::{OpenFacts, OpenStage, Outlook};
use issuance::profile::CaProfile;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use sqlx::types::Uuid;
use utoipa::ToSchema;

use super::faults::FaultView;
use super::page::{Listing, Page};
use super::viewer::Viewer;
use super::{Store, StoreError};

/// The statuses of RFC 8555 §7.1.6, as the table checks them.
pub const STATUSES: [&str; 6] = ["pending", "valid", "invalid", "deactivated", "expired", "revoked"];

/// One authorization, with the instant of everything that has happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthorizationView {
    pub id: AuthorizationId,
    pub tenant_id: TenantId,
    /// The tenant's slug.
    pub tenant: String,
    pub account_id: AccountId,
    pub certificate_id: CertificateId,
    /// The certificate's, by which the panel knows it.
    pub external_id: String,
    pub order_id: OrderId,
    pub order_stage: String,
    /// When the order is looked at again; `None`: at rest.
    pub next_attempt_at: Option<Timestamp>,
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
    /// By when it is to be settled; `None` where it is.
    pub settle_at: Option<Timestamp>,
    /// The operator wants it settled.
    pub settle_requested_at: Option<Timestamp>,
    /// Why it is open and what comes next; `None` where it is settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlook: Option<Outlook>,
    #[serde(skip)]
    looks: i32,
    #[serde(skip)]
    in_hand: bool,
}

impl AuthorizationView {
    /// What is known of it while it is open.
    pub(super) fn open_facts(&self) -> Option<OpenFacts> {
        self.open.then(|| OpenFacts {
            stage: OpenStage::of(&self.order_stage),
            looks: u32::try_from(self.looks).unwrap_or(0),
            due_at: self.next_attempt_at,
            in_hand: self.in_hand,
            read: self.identifier.is_some(),
            submit_intended: self.submit_intended_at.is_some(),
            deactivate_intended: self.deactivate_intended_at.is_some(),
            requested: self.settle_requested_at.is_some(),
            settle_at: self.settle_at,
        })
    }

    /// With what will happen to it at a CA like this.
    #[must_use]
    pub fn foretold(self, profile: &CaProfile) -> Self {
        let outlook = self.open_facts().map(|facts| facts.outlook(profile));
        Self { outlook, ..self }
    }
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
    /// Open, and its order has ended: nothing but settling is left of it.
    pub orphaned: Option<bool>,
}

pub async fn list(
    store: &Store,
    viewer: Viewer,
    filter: &AuthorizationFilter,
    page: &Page,
) -> Result<Listing<AuthorizationView>, StoreError> {
    let mut conn = store.list_as(viewer).await?;
    let found = select(&mut *conn, viewer, None, filter, page).await?;
    Ok(page.listing(found, |authorization| authorization.id.0))
}

/// `None` where it does not exist, or not for this viewer.
pub async fn find(
    store: &Store,
    viewer: Viewer,
    id: AuthorizationId,
) -> Result<Option<AuthorizationView>, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    read(&mut *conn, viewer, id).await
}

pub(super) async fn read(
    executor: impl PgExecutor<'_>,
    viewer: Viewer,
    id: AuthorizationId,
) -> Result<Option<AuthorizationView>, StoreError> {
    let all = AuthorizationFilter::default();
    Ok(select(executor, viewer, Some(id.0), &all, &Page::largest()).await?.pop())
}

/// All of one order's. An order has no more than a page holds: at most a hundred names, each with the few
/// authorizations that its new-order requests can have made.
pub(super) async fn of_order(
    store: &Store,
    viewer: Viewer,
    order: OrderId,
) -> Result<Vec<AuthorizationView>, StoreError> {
    let filter = AuthorizationFilter { order: Some(order), ..AuthorizationFilter::default() };
    let mut conn = store.read_as(viewer).await?;
    select(&mut *conn, viewer, None, &filter, &Page::largest()).await
}

async fn select(
    executor: impl PgExecutor<'_>,
    viewer: Viewer,
    id: Option<Uuid>,
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
        id,
        filter.orphaned,
    )
    .fetch_all(executor)
    .await
    .map_err(StoreError::of("authorizations.list"))?;
    let views = found.into_iter().map(|row| AuthorizationView {
        id: AuthorizationId(row.authorization_id),
        tenant_id: TenantId(row.tenant_id),
        tenant: row.tenant,
        account_id: AccountId(row.account_id),
        certificate_id: CertificateId(row.certificate_id),
        external_id: row.external_id,
        order_id: OrderId(row.order_id),
        order_stage: row.stage,
        next_attempt_at: row.due_at.map(Timestamp::from),
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
        settle_at: row.settle_at.filter(|_| row.settled_at.is_none()).map(Timestamp::from),
        settle_requested_at: row.settle_requested_at.map(Timestamp::from),
        outlook: None,
        looks: row.looks,
        in_hand: row.lease_expires_at.is_some(),
    });
    Ok(views.collect())
}
