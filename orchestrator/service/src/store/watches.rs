//! Names that are not ready, and the looks that find out when they are.

use std::time::Duration;

use issuance::backoff::HostnameBackoff;
use issuance::check::Check;
use issuance::evidence::Watch;
use issuance::fault::FailureClass;
use issuance::identifier::Hostname;
use issuance::ids::AccountId;
use issuance::time::Timestamp;
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;

use super::aftermath::NAME_TOLD_EVERY;
use super::mint::Mint;
use super::summary::count;
use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// A name that nobody waits for is thought of again after this.
const UNWANTED_WAIT: Duration = Duration::from_mins(10);
/// Orders of a name that was given up wait for somebody to say otherwise: longer than anybody runs this.
const SUSPENDED_FOR: Duration = Duration::from_hours(24 * 365 * 100);

/// A name whose look is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueWatch {
    pub hostname: Hostname,
    pub watch: Watch,
    /// An order waits for it.
    pub waited_for: bool,
}

/// How the names stand that are not ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WatchCounts {
    pub watched: u64,
    /// Of those, the ones whose look should have been before.
    pub late: u64,
    pub suspended: u64,
}

impl Store {
    /// Takes up the looks that are due; nobody else makes them before `until`.
    pub async fn claim_watches(
        &self,
        account: AccountId,
        now: Timestamp,
        until: Timestamp,
        limit: u16,
    ) -> Result<Vec<DueWatch>, StoreError> {
        let classes: Vec<String> = FailureClass::ALL
            .iter()
            .filter(|class| Check::of(**class).is_some())
            .map(|class| class.as_str().to_owned())
            .collect();
        let rows = sqlx::query_file!(
            "queries/watches_claim.sql",
            account.0,
            sql_instant(now),
            i64::from(limit),
            sql_instant(until),
            &classes,
            sql_instant(now.after(UNWANTED_WAIT))
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("watches.claim"))?;
        rows.into_iter()
            .map(|row| {
                let hostname = parse(&row.hostname)?;
                let failed_at = Timestamp::from(row.failed_at);
                let watch = Watch {
                    backoff: HostnameBackoff {
                        failures: u32::try_from(row.failures).unwrap_or(0),
                        until: row.blocked_until.into(),
                        at_ca: row.at_ca,
                    },
                    broken_since: row.broken_since.map_or(failed_at, Timestamp::from),
                    seen_failing: row.seen_failing_at.is_some(),
                    charged_at: None,
                };
                Ok(DueWatch { hostname, watch, waited_for: row.waited_for })
            })
            .collect()
    }

    /// One name, if it is not ready or was given up.
    pub async fn watch_of(
        &self,
        account: AccountId,
        hostname: &Hostname,
    ) -> Result<Option<Watch>, StoreError> {
        let row = sqlx::query!(
            "select failures, blocked_until, at_ca, failed_at, broken_since, seen_failing_at
             from hostname_backoffs where account_id = $1 and hostname = $2",
            account.0,
            hostname.validation_target()
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("watches.of"))?;
        Ok(row.map(|row| Watch {
            backoff: HostnameBackoff {
                failures: u32::try_from(row.failures).unwrap_or(0),
                until: row.blocked_until.into(),
                at_ca: row.at_ca,
            },
            broken_since: row.broken_since.unwrap_or(row.failed_at).into(),
            seen_failing: row.seen_failing_at.is_some(),
            charged_at: None,
        }))
    }

    /// Looks again at each name at its instant; `failing`: the look saw it fail.
    pub async fn look_again(
        &self,
        account: AccountId,
        looks: &[(Hostname, Timestamp, bool)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let names: Vec<String> = looks.iter().map(|(name, ..)| name.validation_target().to_owned()).collect();
        let instants: Vec<OffsetDateTime> = looks.iter().map(|(_, at, _)| sql_instant(*at)).collect();
        let failing: Vec<bool> = looks.iter().map(|(.., failing)| *failing).collect();
        sqlx::query_file!(
            "queries/watches_look_again.sql",
            account.0,
            &names,
            &instants,
            &failing,
            sql_instant(now),
            sql_instant(now.before(NAME_TOLD_EVERY))
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("watches.look_again"))
    }

    /// Lets go what waits for names that are right again, each from its instant on. Returns how many orders.
    pub async fn release_watches(
        &self,
        account: AccountId,
        released: &[(Hostname, Timestamp)],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let names: Vec<String> =
            released.iter().map(|(name, _)| name.validation_target().to_owned()).collect();
        let instants: Vec<OffsetDateTime> = released.iter().map(|(_, at)| sql_instant(*at)).collect();
        let orders = sqlx::query_file_scalar!(
            "queries/watches_release.sql",
            account.0,
            &names,
            &instants,
            sql_instant(now)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("watches.release"))?;
        Ok(orders.len() as u64)
    }

    /// Gives names up, and tells their tenants. Returns those that were not before.
    pub async fn suspend_watches(
        &self,
        account: AccountId,
        hopeless: &[Hostname],
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let mint = Mint::at(now);
        let names: Vec<String> = hopeless.iter().map(|name| name.validation_target().to_owned()).collect();
        let events: Vec<Uuid> = names.iter().map(|_| mint.uuid()).collect();
        sqlx::query_file_scalar!(
            "queries/watches_suspend.sql",
            account.0,
            &names,
            sql_instant(now),
            sql_instant(now.after(SUSPENDED_FOR)),
            &events
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("watches.suspend"))
    }

    pub async fn count_watches(
        &self,
        account: AccountId,
        late_before: Timestamp,
    ) -> Result<WatchCounts, StoreError> {
        let row = sqlx::query!(
            r#"select
                   count(*) filter (where look_at is not null and suspended_at is null) as "watched!",
                   count(*) filter (where look_at <= $2 and suspended_at is null) as "late!",
                   count(*) filter (where suspended_at is not null) as "suspended!"
               from hostname_backoffs where account_id = $1"#,
            account.0,
            sql_instant(late_before)
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("watches.count"))?;
        Ok(WatchCounts {
            watched: count(row.watched),
            late: count(row.late),
            suspended: count(row.suspended),
        })
    }
}

/// Takes a name up again that was given up, as if it had broken now; what waits for it is due. `None`: there is no such
/// name, or not for this viewer. False: it was not given up.
pub async fn resume(
    work: &mut Work,
    account: AccountId,
    hostname: &Hostname,
) -> Result<Option<bool>, StoreError> {
    let (viewer, now) = (work.viewer(), work.at());
    let row = sqlx::query!(
        r#"with owned as (
               select hostname from hostnames where hostname = $2 and ($1::uuid is null or tenant_id = $1)
           ),
           resumed as (
               update hostname_backoffs
               set suspended_at = null, broken_since = $4, look_at = $4, blocked_until = least(blocked_until, $4)
               from owned
               where account_id = $3 and hostname_backoffs.hostname = $2 and suspended_at is not null
               returning hostname_backoffs.hostname
           ),
           due as (
               update orders
               set due_at = $4
               from resumed
               where stage = 'parked' and account_id = $3 and lease_expires_at is null
                   and names && array[resumed.hostname, '*.' || resumed.hostname]
           )
           select (select count(*) from owned) as "owned!", (select count(*) from resumed) as "resumed!""#,
        viewer.tenant_id(),
        hostname.validation_target(),
        account.0,
        sql_instant(now)
    )
    .fetch_one(work.conn())
    .await
    .map_err(StoreError::of("watches.resume"))?;
    Ok((row.owned > 0).then_some(row.resumed > 0))
}

fn parse(text: &str) -> Result<Hostname, StoreError> {
    Hostname::parse(text).map_err(|error| StoreError::Inconsistent {
        table: "hostname_backoffs",
        what: format!("{text}: {error}"),
    })
}
