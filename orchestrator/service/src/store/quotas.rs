//! How much each tenant may have, and how much it has.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use issuance::ids::TenantId;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Uuid;
use sqlx::types::time::Date;
use utoipa::ToSchema;

use super::summary::count;
use super::{StoreError, sql_instant};

const SECONDS_OF_A_DAY: i64 = 24 * 3_600;

/// What a tenant uses of its quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantUsage {
    pub hostnames: u64,
    /// Since midnight (UTC).
    pub new_certificates_today: u64,
}

/// Why a wish is not granted. Nothing of it was written; the tenant's other things are as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    #[error("the tenant is suspended: nothing new is begun for it")]
    Suspended,
    #[error("the tenant may have {limit} hostnames, and has {used}: remove some, or have the quota raised")]
    Hostnames { limit: u32, used: u64 },
    #[error(
        "the tenant may begin {limit} certificates a day, and has begun {used}: go on at {resets_at}, or have the quota raised"
    )]
    NewCertificates { limit: u32, used: u64, resets_at: Timestamp },
}

/// What one wish takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    /// Names that the tenant did not have.
    pub(super) hostnames: u64,
    /// Orders.
    pub(super) certificates: u64,
}

/// What is left to tenants that this transaction holds ([`super::tenants::hold`]).
#[derive(Debug)]
pub(super) struct Allowances {
    of: HashMap<Uuid, Allowance>,
    now: Timestamp,
}

#[derive(Debug)]
struct Allowance {
    suspended: bool,
    hostnames_max: Option<u32>,
    hostnames: u64,
    certificates_max: Option<u32>,
    certificates: u64,
    /// Of this transaction.
    begun: u64,
}

impl Allowances {
    /// As it stands before any name is claimed in this transaction.
    pub(super) async fn read(
        conn: &mut PgConnection,
        tenants: impl IntoIterator<Item = Uuid>,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let tenants: Vec<Uuid> = tenants.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let rows = sqlx::query!(
            r#"select tenants.tenant_id, status, hostnames_max, new_certificates_per_day,
                   coalesce(new_certificates, 0) as "begun!",
                   case when hostnames_max is null then 0
                       else (select count(*) from hostnames where hostnames.tenant_id = tenants.tenant_id)
                   end as "hostnames!"
               from tenants
               left join tenant_days on tenant_days.tenant_id = tenants.tenant_id and day = $2
               where tenants.tenant_id = any($1)"#,
            &tenants,
            day(now)
        )
        .fetch_all(conn)
        .await
        .map_err(StoreError::of("quotas.read"))?;
        let number = |quota: i32| u32::try_from(quota).unwrap_or_default();
        let of = rows.into_iter().map(|row| {
            let allowance = Allowance {
                suspended: row.status != "active",
                hostnames_max: row.hostnames_max.map(number),
                hostnames: count(row.hostnames),
                certificates_max: row.new_certificates_per_day.map(number),
                certificates: count(row.begun.into()),
                begun: 0,
            };
            (row.tenant_id, allowance)
        });
        Ok(Self { of: of.collect(), now })
    }

    /// Takes all that a wish needs, or nothing.
    ///
    /// # Errors
    /// The quota that does not allow it. A tenant that was not read has none left.
    pub(super) fn take(&mut self, tenant: Uuid, taken: Taken) -> Result<(), Excess> {
        let one = self.of.get_mut(&tenant).ok_or(Excess::Suspended)?;
        let Taken { hostnames, certificates } = taken;
        if one.suspended && (hostnames > 0 || certificates > 0) {
            return Err(Excess::Suspended);
        }
        let passes = |used: u64, more: u64, limit: u32| more > 0 && used + more > u64::from(limit);
        if let Some(limit) = one.hostnames_max.filter(|limit| passes(one.hostnames, hostnames, *limit)) {
            return Err(Excess::Hostnames { limit, used: one.hostnames });
        }
        let begun = one.certificates + one.begun;
        if let Some(limit) = one.certificates_max.filter(|limit| passes(begun, certificates, *limit)) {
            return Err(Excess::NewCertificates { limit, used: begun, resets_at: next_day(self.now) });
        }
        one.hostnames += hostnames;
        one.begun += certificates;
        Ok(())
    }

    /// Something was taken already that is in no table it is read from.
    pub(super) fn note(&mut self, tenant: Uuid, taken: Taken) {
        if let Some(one) = self.of.get_mut(&tenant) {
            one.hostnames += taken.hostnames;
            one.begun += taken.certificates;
        }
    }

    /// Those that cannot have whatever they wish.
    pub(super) fn bounded(&self) -> Vec<Uuid> {
        let bounded =
            |one: &Allowance| one.suspended || one.hostnames_max.is_some() || one.certificates_max.is_some();
        self.of.iter().filter(|(_, one)| bounded(one)).map(|(tenant, _)| *tenant).collect()
    }

    /// Writes down what was begun.
    pub(super) async fn record(self, conn: &mut PgConnection) -> Result<(), StoreError> {
        let begun = self.of.into_iter().map(|(tenant, one)| (tenant, one.begun));
        record(conn, self.now, begun.filter(|(_, begun)| *begun > 0).collect()).await
    }
}

/// Writes down one certificate that was begun for each of these.
pub(super) async fn record_begun(
    conn: &mut PgConnection,
    now: Timestamp,
    tenants: impl IntoIterator<Item = Uuid>,
) -> Result<(), StoreError> {
    let mut begun: BTreeMap<Uuid, u64> = BTreeMap::new();
    for tenant in tenants {
        *begun.entry(tenant).or_default() += 1;
    }
    record(conn, now, begun).await
}

async fn record(
    conn: &mut PgConnection,
    now: Timestamp,
    begun: BTreeMap<Uuid, u64>,
) -> Result<(), StoreError> {
    if begun.is_empty() {
        return Ok(());
    }
    let count = |begun: u64| i32::try_from(begun).unwrap_or(i32::MAX);
    let (tenants, counts): (Vec<Uuid>, Vec<i32>) =
        begun.into_iter().map(|(tenant, begun)| (tenant, count(begun))).unzip();
    sqlx::query!(
        "insert into tenant_days as kept (tenant_id, day, new_certificates)
             select tenant_id, $3, begun from unnest($1::uuid[], $2::integer[]) as begun (tenant_id, begun)
             on conflict (tenant_id, day) do update
             set new_certificates = kept.new_certificates + excluded.new_certificates",
        &tenants,
        &counts,
        day(now)
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("quotas.record"))?;
    Ok(())
}

pub(super) async fn usage(
    conn: &mut PgConnection,
    tenant: TenantId,
    now: Timestamp,
) -> Result<TenantUsage, StoreError> {
    let row = sqlx::query!(
        r#"select
               (select count(*) from hostnames where tenant_id = $1) as "hostnames!",
               coalesce((select new_certificates from tenant_days where tenant_id = $1 and day = $2), 0) as "begun!""#,
        tenant.0,
        day(now)
    )
    .fetch_one(conn)
    .await
    .map_err(StoreError::of("quotas.usage"))?;
    Ok(TenantUsage { hostnames: count(row.hostnames), new_certificates_today: count(row.begun.into()) })
}

fn day(now: Timestamp) -> Date {
    sql_instant(now).date()
}

/// Midnight, when days begin anew.
fn next_day(now: Timestamp) -> Timestamp {
    let day = now.unix_micros().div_euclid(SECONDS_OF_A_DAY * 1_000_000) + 1;
    Timestamp::from_unix_seconds(day * SECONDS_OF_A_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowances(hostnames_max: Option<u32>, certificates_max: Option<u32>, suspended: bool) -> Allowances {
        let one =
            Allowance { suspended, hostnames_max, hostnames: 3, certificates_max, certificates: 2, begun: 0 };
        Allowances {
            of: HashMap::from([(Uuid::nil(), one)]),
            now: Timestamp::from_unix_seconds(1_795_255_445),
        }
    }

    fn taken(hostnames: u64, certificates: u64) -> Taken {
        Taken { hostnames, certificates }
    }

    #[test]
    fn a_wish_takes_all_it_needs_or_nothing() {
        let mut left = allowances(Some(5), Some(3), false);
        let refused = left.take(Uuid::nil(), taken(3, 1));
        assert_eq!(refused, Err(Excess::Hostnames { limit: 5, used: 3 }));
        assert_eq!(left.take(Uuid::nil(), taken(2, 1)), Ok(()), "what was refused has taken nothing");
        let Err(Excess::NewCertificates { limit: 3, used: 3, resets_at }) =
            left.take(Uuid::nil(), taken(0, 1))
        else {
            panic!("the day's certificates are begun");
        };
        assert_eq!(resets_at.to_string(), "2026-11-22T00:00:00Z");
        assert_eq!(left.take(Uuid::nil(), taken(0, 0)), Ok(()), "what changes nothing is always granted");
    }

    #[test]
    fn a_quota_below_what_is_there_takes_nothing_away() {
        let mut left = allowances(Some(1), None, false);
        assert_eq!(left.take(Uuid::nil(), taken(0, 7)), Ok(()));
        assert_eq!(left.take(Uuid::nil(), taken(1, 0)), Err(Excess::Hostnames { limit: 1, used: 3 }));
    }

    #[test]
    fn the_suspended_begin_nothing() {
        let mut left = allowances(None, None, true);
        assert_eq!(left.take(Uuid::nil(), taken(0, 0)), Ok(()));
        assert_eq!(left.take(Uuid::nil(), taken(1, 0)), Err(Excess::Suspended));
        assert_eq!(left.take(Uuid::nil(), taken(0, 1)), Err(Excess::Suspended));
        assert_eq!(left.take(Uuid::max(), taken(0, 1)), Err(Excess::Suspended), "a stranger");
    }
}
