//! Which key the next certificate is for: its tenant's, the one before, or a new one.

use std::time::Duration;

use issuance::ids::{CertificateId, OrderId};
use issuance::key_kind::KeyKind;
use issuance::time::Timestamp;

use sqlx::PgConnection;

use super::work::Work;
use super::{Store, StoreError};

const DAY: Duration = Duration::from_hours(24);

/// What an order of a certificate is finalized with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlan {
    /// Exactly this request, in DER: its tenant keeps the key.
    Sent(Vec<u8>),
    /// The tenant keeps the key, and its request has served its time.
    Spent { reason: &'static str },
    /// A key that is made here. `kind`: `None` as the service is set up; `kept`: the one before, if it may go on.
    Ours { kind: Option<KeyKind>, kept: Option<KeptKey> },
}

/// A key that was made for an earlier order.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptKey {
    /// Whose seal it is under.
    pub order: OrderId,
    pub key_sealed: Vec<u8>,
}

impl std::fmt::Debug for KeptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptKey").field("order", &self.order).finish_non_exhaustive()
    }
}

impl Store {
    /// By what is wished now. A key whose certificate was revoked because it was compromised, or
    /// that a campaign replaces, is never kept.
    pub async fn key_plan(&self, certificate: CertificateId, now: Timestamp) -> Result<KeyPlan, StoreError> {
        let mut conn = self.connection().await?;
        let plan = find(&mut conn, certificate, now).await?;
        plan.ok_or_else(|| StoreError::Inconsistent {
            table: "certificates",
            what: format!("{certificate} is not there"),
        })
    }
}

/// The same, in the middle of a change.
pub async fn within(work: &mut Work, certificate: CertificateId) -> Result<Option<KeyPlan>, StoreError> {
    let now = work.at();
    find(work.conn(), certificate, now).await
}

/// `None` where there is no such certificate.
async fn find(
    conn: &mut PgConnection,
    certificate: CertificateId,
    now: Timestamp,
) -> Result<Option<KeyPlan>, StoreError> {
    let row = sqlx::query_file!("queries/key_plans_find.sql", certificate.0)
        .fetch_optional(conn)
        .await
        .map_err(StoreError::of("key_plans.find"))?;
    let Some(row) = row else { return Ok(None) };
    let days = row.key_days_max.and_then(|days| u32::try_from(days).ok());
    let is_too_old = |since: Timestamp| days.is_some_and(|days| since.after(DAY * days) <= now);
    if let (Some(der), Some(received_at)) = (row.csr_der, row.csr_received_at) {
        let received_at = Timestamp::from(received_at);
        return Ok(Some(if row.csr_is_compromised {
            KeyPlan::Spent {
                reason: "its key is not to be used again: it was compromised, or a campaign replaces it",
            }
        } else if row.csr_was_used && !row.reuse_key {
            KeyPlan::Spent { reason: "the request was used once, and is not to be used again (reuse_key)" }
        } else if is_too_old(received_at) {
            KeyPlan::Spent { reason: "the request is older than the certificate allows (key_days_max)" }
        } else {
            KeyPlan::Sent(der)
        }));
    }
    let kept = row.order_id.zip(row.key_sealed).filter(|_| row.reuse_key && !row.is_compromised);
    let kept = kept.filter(|_| row.first_at.is_none_or(|at| !is_too_old(at.into())));
    Ok(Some(KeyPlan::Ours {
        kind: row.key_type.as_deref().and_then(KeyKind::parse),
        kept: kept.map(|(order, key_sealed)| KeptKey { order: OrderId(order), key_sealed }),
    }))
}
