//! `POST /v1/orders/{order}/cancel`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use issuance::ids::OrderId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::certificate_wishes;
use crate::store::events::Event;
use crate::store::order_ends::{self, CancelAnswer};
use crate::store::scope::Scope;

/// What is done about an order that is to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CancelReport {
    pub order_id: OrderId,
    /// It is over. Otherwise its authorizations are settled first.
    pub ended: bool,
    /// What is done, in plain words.
    pub detail: String,
}

/// Ends an order. One that is at the CA is settled first: each of its authorizations is submitted where its response is
/// served, and deactivated otherwise; none is left pending.
#[utoipa::path(
    post,
    path = "/v1/orders/{order}/cancel",
    tag = "orders",
    params(("order" = OrderId, Path, description = "The order's id, `ord_…`")),
    security(("bearer" = ["certificates:write"])),
    responses(
        (status = 200, description = "It is over", body = CancelReport),
        (status = 202, description = "It is settled, and over then", body = CancelReport),
        Problems
    )
)]
#[tracing::instrument(name = "api.orders.cancel", skip_all, fields(order.id = %id))]
pub(in crate::api) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<OrderId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::CertificatesWrite)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let (certificate, ended) = match order_ends::cancel(&mut write.work, id).await? {
        CancelAnswer::Ended { certificate } => (certificate, true),
        CancelAnswer::Requested { certificate } => (certificate, false),
        CancelAnswer::Finalizing => return Err(Problem::order_finalizing()),
        CancelAnswer::AlreadyEnded => return Err(Problem::order_ended()),
        CancelAnswer::Unknown => return Err(Problem::not_found("order")),
    };
    let tenant = certificate_wishes::lock(&mut write.work, certificate).await?.map(|locked| locked.tenant);
    let kind = if ended { "order.cancelled" } else { "order.cancel_requested" };
    let data = json!({ "order_id": id });
    let told = Event { kind, tenant, certificate: Some(certificate), subject: id.to_string(), data };
    write.work.tell(told).await?;
    let (status, detail) = if ended {
        (StatusCode::OK, "it had not been to the CA, and is over")
    } else {
        (
            StatusCode::ACCEPTED,
            "its authorizations are read at the CA: each whose response is served is submitted, any other is deactivated",
        )
    };
    let report = CancelReport { order_id: id, ended, detail: detail.to_owned() };
    let response = write.finish(Answer::of(status, &report)).await?;
    api.wake.notify_one();
    Ok(response)
}
