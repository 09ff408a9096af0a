//! Orders as tenants and the operator see them: every fact that is no secret.

use issuance::ids::{AccountId, CertificateId, OrderId, TenantId};
use issuance::order::Stage;
use issuance::profile::CaProfile;
use issuance::time::Timestamp;
use issuance::waiting;
use serde::{Deserialize, Serialize};
use sqlx::types::Uuid;
use utoipa::ToSchema;

use super::authorizations_view::{self, AuthorizationView};
use super::faults::FaultView;
use super::page::{Listing, Page};
use super::viewer::Viewer;
use super::{Store, StoreError};
use crate::telemetry::traces::OrderTrace;

/// By number.
pub const LANES: [&str; 4] = ["urgent", "interactive", "renewal", "bulk"];

/// One order and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderView {
    pub id: OrderId,
    pub tenant_id: TenantId,
    /// The tenant's slug.
    pub tenant: String,
    pub certificate_id: CertificateId,
    pub account_id: AccountId,
    pub names: Vec<String>,
    pub profile: Option<String>,
    pub replaces: Option<String>,
    pub lane: String,
    pub stage: String,
    /// `None`: at rest.
    pub next_attempt_at: Option<Timestamp>,
    pub lease_expires_at: Option<Timestamp>,
    pub rescues: i32,
    pub looks: i32,
    pub proven_at: Option<Timestamp>,
    pub admitted_at: Option<Timestamp>,
    pub hold_until: Option<Timestamp>,
    pub reserved_authorizations: i32,
    /// New-order requests sent for it.
    pub asks: i32,
    pub ca_order_url: Option<String>,
    pub ca_expires_at: Option<Timestamp>,
    pub certificate_url: Option<String>,
    pub fault: Option<FaultView>,
    /// What it waits for before it may go to the CA; `null` where it waits for no limit.
    #[serde(default)]
    pub waits_for: Option<WaitView>,
    pub accepted_at: Timestamp,
    /// Somebody wants it to end.
    pub cancel_requested_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// The id of its trace (W3C Trace Context), wherever traces are collected; the log has it too.
    #[serde(default)]
    pub trace_id: String,
    /// Present where one order was asked for; a list leaves them out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorizations: Option<Vec<AuthorizationView>>,
}

/// What keeps an order whose names are ready from the CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitView {
    /// One of a small set, or the name of one of the CA's limits.
    pub reason: String,
    /// In plain words.
    pub detail: String,
    /// When it is asked for again at the latest.
    pub until: Option<Timestamp>,
}

impl WaitView {
    /// `closed_until`: when the gate lets anybody through again.
    fn of(
        deferred_as: Option<&str>,
        in_line: bool,
        due_at: Option<Timestamp>,
        closed_until: Option<Timestamp>,
    ) -> Option<Self> {
        let reason = match deferred_as.and_then(waiting::last_reason) {
            Some(reason) => reason,
            None if in_line => waiting::IN_LINE,
            None => return None,
        };
        let until = if in_line { due_at.max(closed_until) } else { due_at };
        Some(Self { reason: reason.to_owned(), detail: waiting::sentence(reason).to_owned(), until })
    }
}

impl OrderView {
    /// With what will happen to its open authorizations at a CA like this.
    #[must_use]
    pub fn foretold(mut self, profile: &CaProfile) -> Self {
        let foretold =
            |all: Vec<AuthorizationView>| all.into_iter().map(|one| one.foretold(profile)).collect();
        self.authorizations = self.authorizations.map(foretold);
        self
    }
}

/// Which orders; a field that is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderFilter {
    /// One of [`issuance::order::Stage::NAMES`].
    pub stage: Option<&'static str>,
    /// A tenant's slug.
    pub tenant: Option<String>,
    pub certificate: Option<CertificateId>,
    /// One of [`LANES`].
    pub lane: Option<&'static str>,
    /// Nothing is left to do for it, or something is.
    pub resting: Option<bool>,
}

impl OrderFilter {
    /// Only what has ended rests: of other stages it is known, and those that do not rest are found by an index.
    fn resting_or_known(&self) -> Option<bool> {
        let goes_on = self.stage.is_some_and(|stage| !Stage::ENDED.contains(&stage));
        self.resting.or(goes_on.then_some(false))
    }
}

pub async fn list(
    store: &Store,
    viewer: Viewer,
    filter: &OrderFilter,
    page: &Page,
) -> Result<Listing<OrderView>, StoreError> {
    let found = select(store, viewer, None, filter, page.after(), page.rows_to_read()).await?;
    Ok(page.listing(found, |order| order.id.0))
}

/// With its authorizations. `None` where it does not exist, or not for this viewer.
pub async fn find(store: &Store, viewer: Viewer, id: OrderId) -> Result<Option<OrderView>, StoreError> {
    let found = select(store, viewer, Some(id.0), &OrderFilter::default(), None, 1).await?;
    let Some(mut order) = found.into_iter().next() else {
        return Ok(None);
    };
    order.authorizations = Some(authorizations_view::of_order(store, viewer, id).await?);
    Ok(Some(order))
}

/// Whether it exists, for this viewer.
pub async fn exists(store: &Store, viewer: Viewer, id: OrderId) -> Result<bool, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    sqlx::query_scalar!(
        r#"select exists (
               select from orders where order_id = $1 and ($2::uuid is null or tenant_id = $2)
           ) as "exists!""#,
        id.0,
        viewer.tenant_id()
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(StoreError::of("orders.exists"))
}

async fn select(
    store: &Store,
    viewer: Viewer,
    id: Option<Uuid>,
    filter: &OrderFilter,
    after: Option<Uuid>,
    rows: i64,
) -> Result<Vec<OrderView>, StoreError> {
    let mut conn = store.list_as(viewer).await?;
    let found = sqlx::query_file!(
        "queries/orders_list.sql",
        viewer.tenant_id(),
        after,
        rows,
        id,
        filter.tenant.as_deref(),
        filter.certificate.map(|certificate| certificate.0),
        filter.stage,
        filter.lane.and_then(|lane| LANES.iter().position(|one| *one == lane)).map(|place| place as i16),
        filter.resting_or_known(),
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(StoreError::of("orders.list"))?;
    let views = found.into_iter().map(|row| {
        // While a worker has it, no limit keeps it; and what is not proven yet was not denied anything.
        let may_wait = row.stage == "accepted" && row.proven_at.is_some() && row.lease_expires_at.is_none();
        let (due_at, closed_until) = (row.due_at.map(Timestamp::from), row.closed_until.map(Timestamp::from));
        let waits_for = may_wait
            .then(|| WaitView::of(row.deferred_as.as_deref(), row.in_line, due_at, closed_until))
            .flatten();
        OrderView {
            id: OrderId(row.order_id),
            tenant_id: TenantId(row.tenant_id),
            tenant: row.tenant,
            certificate_id: CertificateId(row.certificate_id),
            account_id: AccountId(row.account_id),
            names: row.names,
            profile: row.profile,
            replaces: row.replaces,
            lane: LANES[usize::try_from(row.lane).unwrap_or_default().min(LANES.len() - 1)].to_owned(),
            stage: row.stage,
            next_attempt_at: row.due_at.map(Timestamp::from),
            lease_expires_at: row.lease_expires_at.map(Timestamp::from),
            rescues: row.rescues,
            looks: row.looks,
            proven_at: row.proven_at.map(Timestamp::from),
            admitted_at: row.admitted_at.map(Timestamp::from),
            hold_until: row.hold_until.map(Timestamp::from),
            reserved_authorizations: row.reserved_authorizations,
            asks: row.asks,
            ca_order_url: row.ca_order_url,
            ca_expires_at: row.ca_expires_at.map(Timestamp::from),
            certificate_url: row.certificate_url,
            fault: FaultView::of(row.fault_class.as_deref(), row.fault_detail, row.fault_hostname),
            waits_for,
            accepted_at: row.accepted_at.into(),
            cancel_requested_at: row.cancel_requested_at.map(Timestamp::from),
            ended_at: row.ended_at.map(Timestamp::from),
            trace_id: OrderTrace::of(OrderId(row.order_id)).id.to_string(),
            authorizations: None,
        }
    });
    Ok(views.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_waits_for_the_last_thing_that_it_was_denied() {
        let at = |seconds| Some(Timestamp::from_unix_seconds(seconds));
        let wait = WaitView::of(Some("backoff new_orders"), false, at(60), at(90)).expect("it waits");
        assert_eq!((wait.reason.as_str(), wait.until), ("new_orders", at(60)), "its own instant");
        let wait = WaitView::of(None, true, at(60), at(90)).expect("it waits");
        assert_eq!((wait.reason.as_str(), wait.until), ("in_line", at(90)), "when the gate opens");
        assert_eq!(WaitView::of(None, false, at(60), None), None);
    }
}
