//! What is remembered of hostnames that failed.

use issuance::backoff::HostnameBackoff;
use issuance::identifier::Hostname;
use issuance::ids::AccountId;
use sqlx::PgExecutor;

use super::{Store, StoreError};

/// A name's backoff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedFailure {
    pub hostname: Hostname,
    pub backoff: HostnameBackoff,
}

impl Store {
    /// Those of `names` that are remembered, by validation target.
    pub async fn remembered_failures(
        &self,
        account: AccountId,
        names: &[String],
    ) -> Result<Vec<RememberedFailure>, StoreError> {
        read(self.pool(), account, names).await
    }
}

pub(super) async fn read(
    executor: impl PgExecutor<'_>,
    account: AccountId,
    names: &[String],
) -> Result<Vec<RememberedFailure>, StoreError> {
    let rows = sqlx::query!(
        "select hostname, failures, blocked_until, at_ca
         from hostname_backoffs where account_id = $1 and hostname = any($2)",
        account.0,
        names
    )
    .fetch_all(executor)
    .await
    .map_err(StoreError::of("backoffs.read"))?;
    rows.into_iter()
        .map(|row| {
            let hostname = Hostname::parse(&row.hostname).map_err(|error| StoreError::Inconsistent {
                table: "hostname_backoffs",
                what: format!("{}: {error}", row.hostname),
            })?;
            Ok(RememberedFailure {
                hostname,
                backoff: HostnameBackoff {
                    failures: u32::try_from(row.failures).unwrap_or(0),
                    until: row.blocked_until.into(),
                    at_ca: row.at_ca,
                },
            })
        })
        .collect()
}
