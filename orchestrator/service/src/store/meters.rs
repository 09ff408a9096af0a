//! The mirror's rows: what is in the buckets that a decision needs, and by which rules.

use std::collections::BTreeSet;
use std::time::Duration;

use issuance::gcra::Bucket;
use issuance::ids::AccountId;
use issuance::limit::LimitName;
use issuance::mirror::{BucketKey, LimitOverride, Meter, Meters, Rules};
use issuance::profile::CaProfile;
use issuance::time::Timestamp;
use sqlx::PgConnection;

use super::summary::count;
use super::{StoreError, sql_instant};

/// The limits that hold for an account now: its CA's profile, and what overrides say.
pub(super) async fn rules(
    conn: &mut PgConnection,
    ca: &str,
    account: AccountId,
    profile: &CaProfile,
    now: Timestamp,
) -> Result<Rules, StoreError> {
    let rows = sqlx::query!(
        "select limit_name, account_id, key, burst, count, period_seconds
         from limit_overrides
         where ca = $1 and (account_id is null or account_id = $2) and (expires_at is null or expires_at > $3)",
        ca,
        account.0,
        sql_instant(now)
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("meters.overrides"))?;
    let overrides = rows.into_iter().filter_map(|row| {
        Some(LimitOverride {
            // One of a later release is none of ours.
            limit: LimitName::parse(&row.limit_name)?,
            account: row.account_id.map(AccountId),
            key: row.key.map(Box::from),
            burst: u32::try_from(row.burst).ok()?,
            count: u32::try_from(row.count).ok()?,
            period_seconds: u64::try_from(row.period_seconds).ok()?,
        })
    });
    Ok(Rules::new(account, &profile.limits, overrides.collect()))
}

/// What is in the buckets `wanted`. Those of limits that the CA does not have are left out. `certain`: the CA's numbers
/// are as they are told.
pub(super) async fn read(
    conn: &mut PgConnection,
    ca: &str,
    rules: &Rules,
    wanted: BTreeSet<&BucketKey>,
    certain: bool,
    now: Timestamp,
) -> Result<Meters, StoreError> {
    let wanted: Vec<(&BucketKey, Bucket)> =
        wanted.into_iter().filter_map(|key| Some((key, rules.bucket(key)?))).collect();
    let proven = |micros: i64| (!certain).then(|| Duration::from_micros(count(micros)));
    let full = |bucket| Meter { proven: proven(0), ..Meter::full(bucket, now) };
    let mut meters: Meters = wanted.iter().map(|(key, bucket)| ((*key).clone(), full(*bucket))).collect();
    if wanted.is_empty() {
        return Ok(meters);
    }
    let limits: Vec<String> = wanted.iter().map(|(key, _)| key.limit.as_str().to_owned()).collect();
    let keys: Vec<String> = wanted.iter().map(|(key, _)| key.key.to_string()).collect();
    let rows = sqlx::query_file!("queries/buckets_meters.sql", ca, &limits, &keys, sql_instant(now))
        .fetch_all(conn)
        .await
        .map_err(StoreError::of("meters.read"))?;
    for row in rows {
        let place = usize::try_from(row.place - 1).ok();
        let Some((key, bucket)) = place.and_then(|place| wanted.get(place)) else { continue };
        let meter = Meter {
            bucket: *bucket,
            full_at: row.full_at.map_or(now, Timestamp::from),
            reserved: u32::try_from(count(row.reserved)).unwrap_or(u32::MAX),
            promised_until: row.promised_until.map(Timestamp::from),
            proven: proven(row.proven_micros.unwrap_or(0)),
        };
        meters.insert((*key).clone(), meter);
    }
    Ok(meters)
}

/// Remembers what was promised since `before`.
pub(super) async fn promise(
    conn: &mut PgConnection,
    ca: &str,
    before: &Meters,
    after: &Meters,
) -> Result<(), StoreError> {
    let mut promised: Vec<(&BucketKey, &Meter)> = after
        .iter()
        .filter(|(key, meter)| before.get(*key).is_none_or(|one| one.promised_until != meter.promised_until))
        .collect();
    if promised.is_empty() {
        return Ok(());
    }
    promised.sort_unstable_by_key(|(key, _)| *key);
    let limits: Vec<String> = promised.iter().map(|(key, _)| key.limit.as_str().to_owned()).collect();
    let keys: Vec<String> = promised.iter().map(|(key, _)| key.key.to_string()).collect();
    let full_at: Vec<_> = promised.iter().map(|(_, meter)| sql_instant(meter.full_at)).collect();
    let until: Vec<_> = promised
        .iter()
        .map(|(_, meter)| sql_instant(meter.promised_until.unwrap_or(meter.full_at)))
        .collect();
    sqlx::query!(
        "insert into buckets (ca, limit_name, key, full_at, promised_until)
         select $1, limit_name, key, full_at, promised_until
         from unnest($2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[])
             as promised (limit_name, key, full_at, promised_until)
         order by limit_name, key
         on conflict (ca, limit_name, key) do update set promised_until = excluded.promised_until",
        ca,
        &limits,
        &keys,
        &full_at,
        &until
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(StoreError::of("meters.promise"))
}
