//! What the CA counts against a hostname: validations that failed, and deactivations that it charged.
//!
//! Counted from the ledger, not remembered beside it: a certificate makes us forget a failure, but not the CA.

use issuance::identifier::Hostname;
use issuance::ids::AccountId;
use issuance::time::Timestamp;

use super::{Store, StoreError, sql_instant};

/// The last instant at which the CA may have counted a failure of a hostname.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastCharge {
    pub hostname: Hostname,
    pub at: Timestamp,
}

impl Store {
    /// Of those of `names` that were charged at all. A deactivation that may be under way counts as of `now`.
    pub async fn last_charges(
        &self,
        account: AccountId,
        names: &[String],
        now: Timestamp,
    ) -> Result<Vec<LastCharge>, StoreError> {
        let rows = sqlx::query_file!("queries/charges_last.sql", account.0, names, sql_instant(now))
            .fetch_all(self.pool())
            .await
            .map_err(StoreError::of("charges.last"))?;
        rows.into_iter()
            .map(|row| {
                let hostname = Hostname::parse(&row.hostname).map_err(|error| StoreError::Inconsistent {
                    table: "authorizations",
                    what: format!("{}: {error}", row.hostname),
                })?;
                Ok(LastCharge { hostname, at: row.at.into() })
            })
            .collect()
    }
}
