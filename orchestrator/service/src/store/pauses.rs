//! Names that the CA has paused, and a person's word that it goes on with them.

use issuance::ids::AccountId;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// One name that the CA has paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PausedView {
    pub hostname: String,
    /// What a person opens to have the CA go on with it; the CA goes on with all of the account's names then.
    pub unpause_url: Option<String>,
    pub learnt_at: Timestamp,
}

/// All of an account, by name.
pub async fn list(store: &Store, account: AccountId) -> Result<Vec<PausedView>, StoreError> {
    let rows = sqlx::query!(
        "select hostname, unpause_url, learnt_at from paused_names where account_id = $1 order by hostname",
        account.0
    )
    .fetch_all(store.pool())
    .await
    .map_err(StoreError::of("pauses.list"))?;
    let view = |(hostname, unpause_url, learnt_at)| PausedView { hostname, unpause_url, learnt_at };
    Ok(rows.into_iter().map(|row| view((row.hostname, row.unpause_url, row.learnt_at.into()))).collect())
}

/// Lets what waits for `hostname` go on at once, or for any name where there is none. Returns the names.
pub async fn release(
    work: &mut Work,
    account: AccountId,
    hostname: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let now = work.at();
    sqlx::query_file_scalar!("queries/pauses_release.sql", account.0, hostname, sql_instant(now))
        .fetch_all(work.conn())
        .await
        .map_err(StoreError::of("pauses.release"))
}
