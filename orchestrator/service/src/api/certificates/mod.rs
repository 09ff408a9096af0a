//! Certificates.

pub mod actions;
mod bundle;
mod chain;
pub mod change;
pub mod create;
mod list;
mod read;
mod versions;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{ETAG, LOCATION};
use axum::response::{IntoResponse as _, Response};
use issuance::ids::{CertificateId, OrderId, TenantId};
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::etag::Etag;
use super::prefer::Wait;
use super::problem::Problem;
use crate::store::certificates::{self, CertificateView};
use crate::store::events::Event;
use crate::store::viewer::Viewer;
use crate::store::work::Work;
use crate::store::{claims, last_errors, positions};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(create::batch))
        .routes(routes!(read::read, change::change, change::delete))
        .routes(routes!(chain::read))
        .routes(routes!(versions::list))
        .routes(routes!(bundle::read, bundle::create))
        .routes(routes!(actions::renew))
        .routes(routes!(actions::retry))
        .routes(routes!(actions::pause))
        .routes(routes!(actions::resume))
        .routes(routes!(actions::revoke))
}

/// As it is in the middle of a change.
async fn within(api: &ApiState, work: &mut Work, id: CertificateId) -> Result<CertificateView, Problem> {
    let found = certificates::find_within(work, id, api.clock.now()).await?;
    found.ok_or_else(|| Problem::not_found("certificate"))
}

/// With what only one certificate by itself is told of: what went wrong last. Where it stands in line is not part of its
/// version: [`lined_up`].
async fn found(api: &ApiState, viewer: Viewer, id: CertificateId) -> Result<CertificateView, Problem> {
    let found = certificates::find(&api.store, viewer, api.clock.now(), id).await?;
    let mut view = found.ok_or_else(|| Problem::not_found("certificate"))?;
    view.last_error = last_errors::of_certificate(&api.store, viewer, &view).await?;
    Ok(view)
}

async fn lined_up(api: &ApiState, mut view: CertificateView) -> Result<CertificateView, Problem> {
    if let Some(order) = view.order_id.filter(|_| view.stage.as_deref() == Some("accepted")) {
        let now = api.clock.now();
        view.queue = positions::of_order(&api.store, api.account, &api.profile, order, now).await?;
    }
    Ok(view)
}

/// The answer to a change, held until there is something to tell. `told`: the status where there is.
async fn waited(
    api: &ApiState,
    viewer: Viewer,
    id: CertificateId,
    wait: Wait,
    told: StatusCode,
) -> Result<Response, Problem> {
    let view = wait.until(api, || found(api, viewer, id), |view| view.status.is_settled()).await?;
    let status = if view.status.is_settled() { told } else { StatusCode::ACCEPTED };
    let tag = Etag::of(view.version, &view);
    let view = lined_up(api, view).await?;
    let headers = [(LOCATION, format!("/v1/certificates/{id}")), (ETAG, tag.as_str().to_owned())];
    Ok(wait.applied((status, headers, Json(view)).into_response()))
}

/// Whom a request is for: `slug` is whom it names.
pub(super) async fn tenant(work: &mut Work, slug: Option<&str>) -> Result<TenantId, Problem> {
    create::owned(&claims::owner(work, slug).await?)
}

/// Tells of orders that are over at their owner's wish without having been to the CA.
pub(super) async fn tell_over(
    work: &mut Work,
    tenant: TenantId,
    certificate: CertificateId,
    orders: &[OrderId],
) -> Result<(), Problem> {
    for order in orders {
        work.tell(Event {
            kind: "order.cancelled",
            tenant: Some(tenant),
            certificate: Some(certificate),
            subject: order.to_string(),
            data: json!({ "order_id": order }),
        })
        .await?;
    }
    Ok(())
}
