//! Private keys of certificates that were removed. Nobody may ask for them any more, so they are erased: at once, but where an
//! order is still under way, which is finalized with its key or ends. Of orders that somebody holds the key is in his hands,
//! and is written again with the order: those wait until he has let go.

use issuance::ids::{AccountId, CertificateId};
use issuance::time::Timestamp;

use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// Erases what can be erased of one that this work has removed.
pub(super) async fn erase(work: &mut Work, certificate: CertificateId) -> Result<(), StoreError> {
    sqlx::query!(
        "with versions as (
             update issued_certificates set key_sealed = null where certificate_id = $1 and key_sealed is not null
         )
         update orders set key_sealed = null
         where certificate_id = $1 and ended_at is not null and lease_expires_at is null and key_sealed is not null",
        certificate.0
    )
    .execute(work.conn())
    .await
    .map(drop)
    .map_err(StoreError::of("key_erasures.erase"))
}

impl Store {
    /// Erases what is left of up to `limit` certificates whose orders have ended. Returns how many hold no key any more: those
    /// are not looked at again.
    pub async fn erase_keys(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: u16,
    ) -> Result<u64, StoreError> {
        sqlx::query_file!("queries/key_erasures_rest.sql", account.0, i64::from(limit))
            .execute(self.pool())
            .await
            .map_err(StoreError::of("key_erasures.rest"))?;
        // A statement of its own, so that it sees what the first one has left.
        sqlx::query_file!("queries/key_erasures_conclude.sql", account.0, sql_instant(now), i64::from(limit))
            .execute(self.pool())
            .await
            .map(|done| done.rows_affected())
            .map_err(StoreError::of("key_erasures.conclude"))
    }
}
