//! What went wrong last with a certificate, in the CA's own words where it was the CA.

use super::certificates::{CertificateView, LastError};
use super::order_problems::CaDocument;
use super::viewer::Viewer;
use super::{Store, StoreError};

/// What the CA has said of late; the last one that says what the fault says is where the fault is from.
const LOOKED_AT_MAX: i64 = 20;

pub async fn of_certificate(
    store: &Store,
    viewer: Viewer,
    view: &CertificateView,
) -> Result<Option<LastError>, StoreError> {
    let Some(fault) = &view.last_fault else { return Ok(None) };
    let rows = sqlx::query!(
        "select problem, order_problems.first_at, order_problems.last_at, times
         from orders
         join order_problems using (order_id)
         where orders.certificate_id = $1 and ($2::uuid is null or orders.tenant_id = $2)
         order by order_problems.last_at desc
         limit $3",
        view.id.0,
        viewer.tenant_id(),
        LOOKED_AT_MAX
    )
    .fetch_all(&mut *store.read_as(viewer).await?)
    .await
    .map_err(StoreError::of("last_errors.of_certificate"))?;
    let said = rows.into_iter().find_map(|row| {
        let document: CaDocument = serde_json::from_value(row.problem).ok()?;
        // A fault holds the beginning of what was said.
        document.detail.starts_with(&fault.detail).then_some((document, row.first_at, row.last_at, row.times))
    });
    let (acme, first_seen, last_seen, count) = match said {
        Some((document, first_at, last_at, times)) => {
            (Some(document), Some(first_at.into()), Some(last_at.into()), u32::try_from(times).ok())
        }
        None => (None, None, None, None),
    };
    Ok(Some(LastError {
        class: fault.class,
        summary: fault.detail.clone(),
        identifier: fault.hostname.clone(),
        actor: fault.actor,
        advice: fault.advice.clone(),
        acme,
        first_seen,
        last_seen,
        count,
    }))
}
