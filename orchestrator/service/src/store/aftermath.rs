//! What a step changes besides its order: names that rest, attempts that follow, an account that waits.
//! Rare beside the steps themselves, so each is a statement of its own in the step's transaction.

use std::time::Duration;

use issuance::evidence;
use issuance::fault::Fault;
use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::{AccountId, OrderId};
use issuance::time::{Fraction, Timestamp};
use sqlx::PgConnection;

use super::lessons::Lessons;
use super::{StoreError, sql_instant};

/// Of one name, what is wrong with it is told no more often, however it flutters.
pub(super) const NAME_TOLD_EVERY: Duration = Duration::from_mins(10);

/// An order of a certificate that is paused waits until somebody says otherwise.
pub(super) const PAUSED_FOR: Duration = Duration::from_hours(24 * 365 * 100);

/// A hostname that failed, with its new state already decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRests {
    pub account: AccountId,
    pub hostname: Hostname,
    pub failures: u32,
    pub until: Timestamp,
    pub at_ca: bool,
    pub fault: Fault,
}

/// An attempt that follows from this one. Its id is drawn when it is decided, so that writing it twice makes
/// one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    pub order: OrderId,
    pub kind: SuccessorKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SuccessorKind {
    /// For those of its names that are ready.
    Part { names: Identifiers, proven_at: Timestamp },
    /// For the same names, when they have rested.
    Retry { fault: Fault, due_at: Timestamp, failures: u32 },
}

/// What a limit or a refusal of the CA means for the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountChange {
    HeldUntil(Timestamp),
    Stopped { reason: Box<str> },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aftermath {
    pub rests: Vec<NameRests>,
    pub successors: Vec<Successor>,
    pub account: Option<(AccountId, AccountChange)>,
    /// What the mirror of that account's limits has learnt.
    pub lessons: Option<(AccountId, Lessons)>,
}

impl Aftermath {
    pub fn is_empty(&self) -> bool {
        self.rests.is_empty()
            && self.successors.is_empty()
            && self.account.is_none()
            && self.lessons.is_none()
    }

    /// The CA has taken no token for the latest new-order.
    pub(super) fn is_unspent(&self) -> bool {
        self.lessons.as_ref().is_some_and(|(_, lessons)| lessons.unspent)
    }

    pub(super) async fn write(
        &self,
        connection: &mut PgConnection,
        order: OrderId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for rest in &self.rests {
            rest.write(connection, order, now).await?;
        }
        for successor in &self.successors {
            successor.write(connection, order, now).await?;
        }
        if let Some((account, change)) = &self.account {
            change.write(connection, *account, now).await?;
        }
        if let Some((account, lessons)) = &self.lessons {
            lessons.write(connection, *account, order, now).await?;
        }
        Ok(())
    }
}

impl NameRests {
    async fn write(
        &self,
        connection: &mut PgConnection,
        order: OrderId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query_file!(
            "queries/backoffs_rest.sql",
            self.account.0,
            self.hostname.validation_target(),
            i32::try_from(self.failures).unwrap_or(i32::MAX),
            sql_instant(self.until),
            self.at_ca,
            self.fault.class.as_str(),
            &*self.fault.detail,
            sql_instant(now),
            sql_instant(now.after(evidence::wait(Duration::ZERO, Fraction::ZERO))),
            order.0,
            sql_instant(now.before(NAME_TOLD_EVERY)),
            self.fault.class.advice()
        )
        .execute(connection)
        .await
        .map(drop)
        .map_err(StoreError::of("backoffs.rest"))
    }
}

impl Successor {
    async fn write(
        &self,
        connection: &mut PgConnection,
        order: OrderId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let order_id = self.order.0;
        match &self.kind {
            SuccessorKind::Part { names, proven_at } => {
                let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                sqlx::query!(
                    "insert into orders
                        (order_id, tenant_id, certificate_id, account_id, names, challenge, profile, replaces, lane, stage,
                         due_at, proven_at, split, accepted_at, fair_tag, in_line, paused)
                     select $1, orders.tenant_id, certificate_id, orders.account_id, $2, orders.challenge, orders.profile,
                         null, lane, 'accepted', case when paused_at is null then $3::timestamptz else $6::timestamptz end, $4, true, $3, fair_tag,
                         paused_at is null, paused_at is not null
                     from orders join certificates using (certificate_id)
                     where order_id = $5 and deleted_at is null and given_up_at is null
                         and not exists (
                             select from unnest($2::text[]) as name
                             join hostnames on hostname = case when name like '*.%' then substr(name, 3) else name end
                             where hostnames.tenant_id <> orders.tenant_id)
                     on conflict (order_id) do nothing",
                    order_id,
                    &names,
                    sql_instant(now),
                    sql_instant(*proven_at),
                    order.0,
                    sql_instant(now.after(PAUSED_FOR))
                )
                .execute(connection)
                .await
                .map(drop)
                .map_err(StoreError::of("orders.insert_part"))
            }
            SuccessorKind::Retry { fault, due_at, failures } => sqlx::query!(
                "insert into orders
                    (order_id, tenant_id, certificate_id, account_id, names, challenge, profile, replaces, lane, stage,
                     due_at, failures, split, parted, fault_class, fault_detail, fault_hostname, accepted_at,
                     set_exempt_until, ari_exempt_from, ari_exempt_until, paused)
                 select $1, orders.tenant_id, certificate_id, orders.account_id, orders.names, orders.challenge, orders.profile,
                     replaces, lane, 'parked', case when paused_at is null then $2::timestamptz else $9::timestamptz end, $3, split, parted, $4, $5, $6, $7,
                     set_exempt_until, ari_exempt_from, ari_exempt_until, paused_at is not null
                 from orders join certificates using (certificate_id)
                 where order_id = $8 and deleted_at is null and given_up_at is null and cancel_requested_at is null
                     and not exists (
                         select from unnest(orders.names) as name
                         join hostnames on hostname = case when name like '*.%' then substr(name, 3) else name end
                         where hostnames.tenant_id <> orders.tenant_id)
                 on conflict (order_id) do nothing",
                order_id,
                sql_instant(*due_at),
                i32::try_from(*failures).unwrap_or(i32::MAX),
                fault.class.as_str(),
                &*fault.detail,
                fault.hostname.as_ref().map(Hostname::as_str),
                sql_instant(now),
                order.0,
                sql_instant(now.after(PAUSED_FOR))
            )
            .execute(connection)
            .await
            .map(drop)
            .map_err(StoreError::of("orders.insert_retry")),
        }
    }
}

impl AccountChange {
    async fn write(
        &self,
        connection: &mut PgConnection,
        account: AccountId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match self {
            Self::HeldUntil(until) => sqlx::query!(
                "update accounts set held_until = greatest(coalesce(held_until, $2), $2) where account_id = $1",
                account.0,
                sql_instant(*until)
            )
            .execute(connection)
            .await
            .map(drop)
            .map_err(StoreError::of("accounts.hold")),
            Self::Stopped { reason } => sqlx::query!(
                "with stopped as (
                     update accounts set stopped_at = $2, stopped_reason = $3
                     where account_id = $1 and stopped_at is null
                     returning account_id, ca
                 )
                 insert into events (event_id, kind, subject, data, happened_at)
                 select uuid_at($2), 'account.paused', id_text('acc', account_id),
                     jsonb_build_object('ca', ca, 'reason', $3::text), $2
                 from stopped",
                account.0,
                sql_instant(now),
                &**reason
            )
            .execute(connection)
            .await
            .map(drop)
            .map_err(StoreError::of("accounts.stop")),
        }
    }
}
