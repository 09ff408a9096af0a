//! Wishes to have certificates revoked (RFC 8555 §7.6). A reconciler carries them out: nobody here talks to the CA.

use std::time::Duration;

use issuance::ids::{AccountId, OrderId};
use issuance::problem::Problem;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::certificate_wishes::Locked;
use super::order_problems::CaDocument;
use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// Why a certificate is revoked (RFC 5280 §5.3.1), among what a subscriber may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    #[default]
    Unspecified,
    /// Others may have the key.
    KeyCompromise,
    /// What the certificate says is not true any more.
    AffiliationChanged,
    /// Another one has taken its place.
    Superseded,
    /// The name is not used any more.
    CessationOfOperation,
}

impl Reason {
    pub fn code(self) -> i16 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
        }
    }

    pub fn of_code(code: i16) -> Self {
        match code {
            1 => Self::KeyCompromise,
            3 => Self::AffiliationChanged,
            4 => Self::Superseded,
            5 => Self::CessationOfOperation,
            _ => Self::Unspecified,
        }
    }
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Of that certificate, by its serial number.
    Written { serial: String },
    /// It was written before.
    Known { serial: String },
    /// Nothing was issued, or what was has expired.
    NothingToRevoke,
}

/// Wants the latest certificate issued to be revoked.
pub async fn wish(work: &mut Work, locked: &Locked, reason: Reason) -> Result<Wish, StoreError> {
    let now = work.at();
    let latest = sqlx::query!(
        "select order_id, serial from issued_certificates
         where certificate_id = $1 and not_after > $2
         order by issued_at desc, order_id desc
         limit 1",
        locked.id.0,
        sql_instant(now)
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("revocations.latest"))?;
    let Some(latest) = latest else { return Ok(Wish::NothingToRevoke) };
    let written = sqlx::query!(
        "insert into revocations
             (order_id, certificate_id, tenant_id, account_id, reason, requested_at, attempt_at)
         values ($1, $2, $3, $4, $5, $6, $6)
         on conflict (order_id) do nothing",
        latest.order_id,
        locked.id.0,
        locked.tenant.0,
        locked.account.0,
        reason.code(),
        sql_instant(now)
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("revocations.wish"))?;
    let serial = latest.serial;
    Ok(if written.rows_affected() == 0 { Wish::Known { serial } } else { Wish::Written { serial } })
}

/// A certificate that is to be revoked now.
#[derive(Debug, Clone)]
pub struct DueRevocation {
    pub order: OrderId,
    pub chain_pem: String,
    pub reason: Reason,
    pub attempts: u32,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The CA has revoked it, now or before.
    Revoked,
    /// It will not, for good.
    Refused(Problem),
    /// It is asked again then.
    Again { at: Timestamp, problem: Option<Problem> },
}

impl Store {
    /// Takes up to `limit` that are due by now. Nobody else gets them before `again_in` is over.
    pub async fn due_revocations(
        &self,
        account: AccountId,
        now: Timestamp,
        again_in: Duration,
        limit: u16,
    ) -> Result<Vec<DueRevocation>, StoreError> {
        let rows = sqlx::query!(
            "with due as (
                 select order_id from revocations
                 where account_id = $1 and attempt_at <= $2
                 order by attempt_at
                 limit $4
                 for update skip locked
             )
             update revocations
             set attempt_at = $3, attempts = attempts + 1
             from due join issued_certificates using (order_id)
             where revocations.order_id = due.order_id
             returning revocations.order_id, revocations.reason, revocations.attempts, issued_certificates.chain_pem",
            account.0,
            sql_instant(now),
            sql_instant(now.after(again_in)),
            i64::from(limit)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("revocations.due"))?;
        let due = rows.into_iter().map(|row| DueRevocation {
            order: OrderId(row.order_id),
            chain_pem: row.chain_pem,
            reason: Reason::of_code(row.reason),
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
        });
        Ok(due.collect())
    }

    pub async fn revocation_attempted(
        &self,
        order: OrderId,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (again_at, revoked_at, problem) = match attempt {
            Attempt::Revoked => (None, Some(sql_instant(now)), None),
            Attempt::Refused(problem) => (None, None, Some(problem)),
            Attempt::Again { at, problem } => (Some(sql_instant(*at)), None, problem.as_ref()),
        };
        let problem = problem.map(|problem| serde_json::json!(CaDocument::from(problem)));
        sqlx::query!(
            "update revocations set attempt_at = $2, revoked_at = $3, problem = $4
             where order_id = $1 and revoked_at is null",
            order.0,
            again_at,
            revoked_at,
            problem
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("revocations.attempted"))
    }
}
