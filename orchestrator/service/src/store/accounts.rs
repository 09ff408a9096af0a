//! ACME accounts. The key is committed before the CA is asked for the account: a crash in between leaves a
//! key that asks again, never an account without a key.

use issuance::ids::AccountId;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::mint::Mint;
use super::work::Work;
use super::{Store, StoreError, sql_instant};
use crate::mishaps::reach_write;

/// An account as it stands.
#[derive(Debug, Clone)]
pub struct AccountRecord {
    pub account: AccountId,
    pub ca: String,
    pub directory_url: String,
    /// `None` until the CA has answered.
    pub account_url: Option<String>,
    pub key_sealed: Vec<u8>,
    /// Of the key (RFC 7638).
    pub key_thumbprint: String,
    pub stopped_reason: Option<String>,
}

/// An account as the operator sees it: every fact that is no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountView {
    pub id: AccountId,
    /// What logs and metrics call the CA.
    pub ca: String,
    pub directory_url: String,
    /// `None` until the CA has answered.
    pub account_url: Option<String>,
    /// Of the account's key (RFC 7638), which web servers that answer challenges by themselves are given.
    pub key_thumbprint: String,
    pub contacts: Vec<String>,
    pub stopped_reason: Option<String>,
    /// Nothing new is ordered before then, as the CA has asked. `null`: it has not.
    pub held_until: Option<Timestamp>,
    /// Nothing new is ordered before then, as the operator wishes. `null`: he does not.
    pub paused_until: Option<Timestamp>,
    /// Authorizations that may be pending at a time, as configured; of these, so many are kept for asking again.
    pub pending_authorizations_max: u32,
    pub recovery_reserve: u32,
    /// The operator's, for people.
    pub note: String,
    pub created_at: Timestamp,
    /// `null`: never changed.
    pub updated_at: Option<Timestamp>,
    /// Whether the service that was asked orders with it.
    pub current: bool,
    /// One up at each change of the operator's; the `ETag` of it.
    pub version: i64,
}

/// What the operator says of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountTerms {
    pub note: String,
    pub paused_until: Option<Timestamp>,
}

impl AccountView {
    pub fn terms(&self) -> AccountTerms {
        AccountTerms { note: self.note.clone(), paused_until: self.paused_until }
    }
}

/// What a new account starts with.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Chosen by the caller, because the key is sealed for it.
    pub account: AccountId,
    pub ca: String,
    pub directory_url: String,
    pub key_sealed: Vec<u8>,
    pub key_thumbprint: String,
    pub contacts: Vec<String>,
    pub pending_authorizations_max: u32,
    pub recovery_reserve: u32,
}

/// The account as it is now, and until this work ends.
pub async fn hold(
    work: &mut Work,
    id: AccountId,
    current: AccountId,
) -> Result<Option<AccountView>, StoreError> {
    sqlx::query!("select account_id from accounts where account_id = $1 for no key update", id.0)
        .fetch_optional(work.conn())
        .await
        .map_err(StoreError::of("accounts.hold"))?;
    let now = work.at();
    Ok(select(work.conn(), Some(id), current, now).await?.pop())
}

/// Has the account be as the operator says. It is held by this work.
pub async fn change(
    work: &mut Work,
    id: AccountId,
    current: AccountId,
    terms: &AccountTerms,
) -> Result<AccountView, StoreError> {
    let now = work.at();
    sqlx::query!(
        "update accounts set note = $2, paused_until = $3, version = version + 1, updated_at = $4 where account_id = $1",
        id.0,
        terms.note,
        terms.paused_until.map(sql_instant),
        sql_instant(now)
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("accounts.change"))?;
    let changed = select(work.conn(), Some(id), current, now).await?.pop();
    changed.ok_or_else(|| StoreError::Inconsistent { table: "accounts", what: format!("{id} is gone") })
}

async fn select(
    conn: &mut PgConnection,
    id: Option<AccountId>,
    current: AccountId,
    now: Timestamp,
) -> Result<Vec<AccountView>, StoreError> {
    let rows = sqlx::query!(
        "select account_id, ca, directory_url, account_url, key_thumbprint, contacts, stopped_reason, held_until,
             paused_until, pending_authorizations_max, recovery_reserve, note, created_at, updated_at, version
         from accounts
         where $1::uuid is null or account_id = $1
         order by account_id",
        id.map(|id| id.0)
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("accounts.list"))?;
    let number = |count: i32| u32::try_from(count).unwrap_or_default();
    let views = rows.into_iter().map(|row| AccountView {
        id: AccountId(row.account_id),
        ca: row.ca,
        directory_url: row.directory_url,
        account_url: row.account_url,
        key_thumbprint: row.key_thumbprint,
        contacts: row.contacts,
        stopped_reason: row.stopped_reason,
        held_until: row.held_until.map(Timestamp::from).filter(|until| *until > now),
        paused_until: row.paused_until.map(Timestamp::from).filter(|until| *until > now),
        pending_authorizations_max: number(row.pending_authorizations_max),
        recovery_reserve: number(row.recovery_reserve),
        note: row.note,
        created_at: row.created_at.into(),
        updated_at: row.updated_at.map(Timestamp::from),
        current: row.account_id == current.0,
        version: row.version,
    });
    Ok(views.collect())
}

impl Store {
    /// An id for an account that is about to be.
    pub fn mint_account(&self, now: Timestamp) -> AccountId {
        AccountId(Mint::at(now).uuid())
    }

    pub async fn account_of_directory(
        &self,
        directory_url: &str,
    ) -> Result<Option<AccountRecord>, StoreError> {
        let row = sqlx::query!(
            "select account_id, ca, directory_url, account_url, key_sealed, key_thumbprint, stopped_reason
             from accounts where directory_url = $1",
            directory_url
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("accounts.of_directory"))?;
        Ok(row.map(|row| AccountRecord {
            account: AccountId(row.account_id),
            ca: row.ca,
            directory_url: row.directory_url,
            account_url: row.account_url,
            key_sealed: row.key_sealed,
            key_thumbprint: row.key_thumbprint,
            stopped_reason: row.stopped_reason,
        }))
    }

    /// Every account there ever was, the earliest first; there are as many as directories were configured.
    pub async fn accounts(&self, current: AccountId, now: Timestamp) -> Result<Vec<AccountView>, StoreError> {
        let mut conn = self.connection().await?;
        select(&mut conn, None, current, now).await
    }

    pub async fn account(
        &self,
        id: AccountId,
        current: AccountId,
        now: Timestamp,
    ) -> Result<Option<AccountView>, StoreError> {
        let mut conn = self.connection().await?;
        Ok(select(&mut conn, Some(id), current, now).await?.pop())
    }

    /// Inserts unless another replica was faster; either way the account of that directory comes back.
    pub async fn create_account(
        &self,
        new: &NewAccount,
        now: Timestamp,
    ) -> Result<AccountRecord, StoreError> {
        sqlx::query!(
            "insert into accounts
                (account_id, ca, directory_url, key_sealed, key_thumbprint, contacts,
                 pending_authorizations_max, recovery_reserve, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             on conflict (directory_url) do nothing",
            new.account.0,
            new.ca,
            new.directory_url,
            new.key_sealed,
            new.key_thumbprint,
            &new.contacts,
            i32::try_from(new.pending_authorizations_max).unwrap_or(i32::MAX),
            i32::try_from(new.recovery_reserve).unwrap_or(i32::MAX),
            sql_instant(now)
        )
        .execute(self.pool())
        .await
        .map_err(StoreError::of("accounts.create"))?;
        self.account_of_directory(&new.directory_url).await?.ok_or_else(|| StoreError::Inconsistent {
            table: "accounts",
            what: format!("the account of {} vanished while it was made", new.directory_url),
        })
    }

    /// The CA has answered: the account is there. What had stopped it is over.
    pub async fn account_registered(&self, account: AccountId, account_url: &str) -> Result<(), StoreError> {
        reach_write!(Before, "registration", "accounts.registered");
        sqlx::query!(
            "update accounts set account_url = $2, stopped_at = null, stopped_reason = null where account_id = $1",
            account.0,
            account_url
        )
        .execute(self.pool())
        .await
        .map_err(StoreError::of("accounts.registered"))?;
        reach_write!(After, "registration", "accounts.registered");
        Ok(())
    }

    /// The configured budget is what counts, not the one of the first start.
    pub async fn set_pending_budget(
        &self,
        account: AccountId,
        pending_authorizations_max: u32,
        recovery_reserve: u32,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update accounts set pending_authorizations_max = $2, recovery_reserve = $3
             where account_id = $1 and (pending_authorizations_max, recovery_reserve) <> ($2, $3)",
            account.0,
            i32::try_from(pending_authorizations_max).unwrap_or(i32::MAX),
            i32::try_from(recovery_reserve).unwrap_or(i32::MAX)
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("accounts.set_pending_budget"))
    }
}
