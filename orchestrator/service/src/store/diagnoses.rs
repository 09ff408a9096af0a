//! What an examination of the installation asks of the database.

use issuance::time::Timestamp;

use super::{Store, StoreError};

/// How an account stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountStanding {
    /// `None`: not registered yet.
    pub url: Option<String>,
    /// Why the CA refuses it.
    pub stopped: Option<String>,
    pub held_until: Option<Timestamp>,
}

impl Store {
    /// The server's settings that decide whether an acknowledged commit outlives a crash, as this session has them.
    pub async fn durability(&self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query!(
            r#"select name as "name!", setting as "setting!" from pg_settings
               where name in ('fsync', 'full_page_writes', 'synchronous_commit') order by name"#
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("diagnoses.durability"))?;
        Ok(rows.into_iter().map(|row| (row.name, row.setting)).collect())
    }

    /// The account at a directory; `None` where there is none.
    pub async fn account_standing(&self, directory_url: &str) -> Result<Option<AccountStanding>, StoreError> {
        let row = sqlx::query!(
            "select account_url, stopped_reason, held_until from accounts where directory_url = $1",
            directory_url
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("diagnoses.account"))?;
        Ok(row.map(|row| AccountStanding {
            url: row.account_url,
            stopped: row.stopped_reason,
            held_until: row.held_until.map(Timestamp::from),
        }))
    }
}
