//! The audit's place in the ledger, and what it writes there.

use issuance::authorization::{Authorization, ValidationMethod};
use issuance::ids::{AccountId, AuthorizationId, OrderId};
use issuance::time::Timestamp;
use sqlx::types::Uuid;

use super::mint::Mint;
use super::order_row::{self, AuthorizationRow};
use super::{Store, StoreError, sql_instant, strays};

/// A row of the ledger to be compared with the CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    pub id: AuthorizationId,
    pub order: OrderId,
    /// How its order proves names.
    pub method: ValidationMethod,
    pub authorization: Authorization,
}

/// Which rows are worth a look now.
#[derive(Debug, Clone, Copy)]
pub struct AuditWindow {
    pub now: Timestamp,
    /// An order that looks at the CA by itself before this is left alone.
    pub looks_before: Timestamp,
    /// What ended later is left alone: a replica of the CA may not know of it yet.
    pub ended_before: Timestamp,
    /// Rows written before this are of no interest any more.
    pub opened_after: Timestamp,
}

impl Store {
    /// The next rows to look at, up to `limit`: the ones that were looked at longest ago.
    pub async fn audit_sample(
        &self,
        account: AccountId,
        window: &AuditWindow,
        limit: u16,
    ) -> Result<Vec<Audited>, StoreError> {
        let audited_up_to =
            sqlx::query_scalar!("select audited_up_to from ledger_audits where account_id = $1", account.0)
                .fetch_optional(self.pool())
                .await
                .map_err(StoreError::of("audits.place"))?;
        // Ids begin with the instant they were made at.
        let floor = Mint::floor(window.opened_after);
        let start = audited_up_to.unwrap_or(floor).max(floor);
        let mut sample = self.rows_after(account, start, window, limit).await?;
        let missing = limit.saturating_sub(u16::try_from(sample.len()).unwrap_or(u16::MAX));
        if missing > 0 && start > floor {
            // Round again from the beginning, up to where it began.
            let rest = self.rows_after(account, floor, window, missing).await?;
            sample.extend(rest.into_iter().filter(|row| row.id.0 <= start));
        }
        Ok(sample)
    }

    async fn rows_after(
        &self,
        account: AccountId,
        after: Uuid,
        window: &AuditWindow,
        limit: u16,
    ) -> Result<Vec<Audited>, StoreError> {
        let rows = sqlx::query_file!(
            "queries/audits_sample.sql",
            account.0,
            after,
            sql_instant(window.now),
            sql_instant(window.looks_before),
            sql_instant(window.ended_before),
            i64::from(limit)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("audits.sample"))?;
        rows.into_iter()
            .map(|row| {
                let inconsistent = |what| StoreError::Inconsistent { table: "authorizations", what };
                let method = order_row::method(&row.challenge).map_err(inconsistent)?;
                let (id, order) = (AuthorizationId(row.authorization_id), OrderId(row.order_id));
                let columns = AuthorizationRow {
                    order_id: row.order_id,
                    url: row.url,
                    identifier: row.identifier,
                    wildcard: row.wildcard,
                    status: row.status,
                    challenge_type: row.challenge_type,
                    challenge_url: row.challenge_url,
                    token: row.token,
                    key_authorization: row.key_authorization,
                    opened_at: row.opened_at,
                    expires_at: row.expires_at,
                    settle_at: row.settle_at,
                    settle_requested_at: row.settle_requested_at,
                    submit_intended_at: row.submit_intended_at,
                    submitted_at: row.submitted_at,
                    deactivate_intended_at: row.deactivate_intended_at,
                    final_at: row.final_at,
                    fault_class: row.fault_class,
                    fault_detail: row.fault_detail,
                };
                Ok(Audited {
                    id,
                    order,
                    method,
                    authorization: columns.authorization().map_err(inconsistent)?,
                })
            })
            .collect()
    }

    /// How far the audit has come.
    pub async fn audited_up_to(
        &self,
        account: AccountId,
        last: AuthorizationId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into ledger_audits (account_id, audited_up_to, audited_at)
             values ($1, $2, $3)
             on conflict (account_id) do update
             set audited_up_to = excluded.audited_up_to, audited_at = excluded.audited_at",
            account.0,
            last.0,
            sql_instant(now)
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("audits.note"))
    }

    /// Writes an authorization as the CA says it is, and makes the order due that has to do with it. False, and
    /// nothing is written, where the row is no longer the one that was compared, or somebody works on its order.
    ///
    /// The order's epoch goes up, so that no worker whose lease ran out writes over it.
    pub async fn correct(
        &self,
        compared: &Audited,
        corrected: &Authorization,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin("audits.correct").await?;
        let stage = sqlx::query_scalar!(
            "update orders
             set lease_epoch = lease_epoch + 1, lease_expires_at = null, lease_holder = null,
                 due_at = case when stage = 'issued' then null else $2::timestamptz end
             where order_id = $1 and (lease_expires_at is null or lease_expires_at <= $2)
             returning stage",
            compared.order.0,
            sql_instant(now)
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(StoreError::of("audits.fence"))?;
        let Some(stage) = stage else { return Ok(false) };
        let before = &compared.authorization;
        let written = sqlx::query!(
            "update authorizations
             set status = $4, submit_intended_at = $5, submitted_at = $6, deactivate_intended_at = $7,
                 settled_at = $8, final_at = $9
             where authorization_id = $1 and status = $2 and final_at is not distinct from $3",
            compared.id.0,
            before.status.as_str(),
            before.final_at.map(sql_instant),
            corrected.status.as_str(),
            corrected.submit_intended_at.map(sql_instant),
            corrected.submitted_at.map(sql_instant),
            corrected.deactivate_intended_at.map(sql_instant),
            corrected.settled_at().map(sql_instant),
            corrected.final_at.map(sql_instant)
        )
        .execute(&mut *tx)
        .await
        .map_err(StoreError::of("audits.write"))?;
        if written.rows_affected() == 0 {
            return Ok(false);
        }
        if stage == "issued" && corrected.holds_budget() {
            let stray = strays::insert(&mut tx, compared.order, None, now).await?;
            strays::move_unsettled(&mut tx, compared.order, stray).await?;
        }
        tx.commit().await.map_err(StoreError::of("audits.correct"))?;
        Ok(true)
    }
}
