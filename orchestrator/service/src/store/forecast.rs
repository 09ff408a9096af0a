//! What a forecast begins with: the account, its buckets, its queue.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use issuance::exemption::Exemptions;
use issuance::fairness::Lane;
use issuance::forecast::Ahead;
use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::AccountId;
use issuance::mirror::{BucketKey, Meters, Need, Rules, needs};
use issuance::profile::CaProfile;
use issuance::time::Timestamp;
use sqlx::PgConnection;
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;

use super::order_row::exemptions;
use super::summary::count;
use super::viewer::Viewer;
use super::{Store, StoreError, meters, sql_instant};

/// Orders whose buckets are asked for in one statement.
const CHUNK: usize = 2_000;
/// The latest issued orders, whose median time in hand is the pace.
const LATEST: i64 = 2_000;

/// An account as it stands.
#[derive(Debug, Clone)]
pub struct Known {
    pub account: AccountId,
    /// Whether there is such an account, or only the CA's rules for one.
    pub exists: bool,
    pub rules: Rules,
    /// The buckets that are not full; reservations counted as spent.
    pub full_at: HashMap<BucketKey, Timestamp>,
    pub held_until: Timestamp,
    /// Those who have something queued, and those who were asked for.
    pub tenants: Vec<KnownTenant>,
    /// Of tenants by their place in `tenants`.
    pub ahead: Vec<Ahead>,
    /// Authorizations that may be pending at once.
    pub pending_max: u32,
    pub pending: u32,
    /// How long an order is in hand, at the median of the latest ones.
    pub order_measured: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownTenant {
    pub slug: String,
    pub weight: u32,
}

impl Known {
    /// An account of that CA that has done nothing yet.
    pub fn nothing(profile: &CaProfile) -> Self {
        let account = AccountId(Uuid::nil());
        Self {
            account,
            exists: false,
            rules: Rules::new(account, &profile.limits, Vec::new()),
            full_at: HashMap::new(),
            held_until: Timestamp::EPOCH,
            tenants: Vec::new(),
            ahead: Vec::new(),
            pending_max: profile.pending_for_new_work(),
            pending: 0,
            order_measured: None,
        }
    }
}

/// One order that waits to be placed.
#[derive(Debug, Clone)]
pub struct Queued {
    pub tenant: String,
    pub lane: Lane,
    pub names: Identifiers,
    pub exemptions: Exemptions,
}

/// The name of the viewer's tenant; `None` for the operator.
pub async fn own_slug(store: &Store, viewer: Viewer) -> Result<Option<String>, StoreError> {
    let Some(tenant) = viewer.tenant_id() else { return Ok(None) };
    let mut conn = store.read_as(viewer).await?;
    sqlx::query_scalar!("select slug from tenants where tenant_id = $1", tenant)
        .fetch_one(&mut *conn)
        .await
        .map(Some)
        .map_err(StoreError::of("forecast.own_slug"))
}

/// The account, with the buckets that orders for `sets` need, and what is queued, in numbers; `None` where there is no
/// such account.
pub async fn read(
    store: &Store,
    now: Timestamp,
    account: AccountId,
    profile: &CaProfile,
    sets: &[&Identifiers],
    slugs: &[String],
) -> Result<Option<Known>, StoreError> {
    let mut conn = store.pool().acquire().await.map_err(StoreError::of("forecast.connection"))?;
    let row = sqlx::query_file!("queries/forecast_account.sql", account.0, sql_instant(now), LATEST)
        .fetch_optional(&mut *conn)
        .await
        .map_err(StoreError::of("forecast.account"))?;
    let Some(row) = row else { return Ok(None) };
    let rules = meters::rules(&mut conn, &row.ca, account, profile, now).await?;
    let full_at = buckets(&mut conn, &row.ca, account, &rules, sets, now).await?;
    let (tenants, ahead) = queue(&mut conn, account, slugs).await?;
    Ok(Some(Known {
        account,
        exists: true,
        rules,
        full_at,
        held_until: row.held_until.map_or(Timestamp::EPOCH, Timestamp::from),
        tenants,
        ahead,
        pending_max: u32::try_from(row.pending_max).unwrap_or_default(),
        pending: u32::try_from(count(row.pending)).unwrap_or(u32::MAX),
        order_measured: row.order_seconds.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64),
    }))
}

async fn buckets(
    conn: &mut PgConnection,
    ca: &str,
    account: AccountId,
    rules: &Rules,
    sets: &[&Identifiers],
    now: Timestamp,
) -> Result<HashMap<BucketKey, Timestamp>, StoreError> {
    let of_account = BucketKey::of_account(account);
    let mut full_at = HashMap::new();
    let mut keep = |found: Meters| {
        for (key, meter) in found {
            if meter.full_at > now || meter.reserved > 0 {
                full_at.insert(key, meter.spoken_for(now));
            }
        }
    };
    keep(meters::read(conn, ca, rules, BTreeSet::from([&of_account]), true, now).await?);
    for chunk in sets.chunks(CHUNK) {
        let needed: Vec<Need> = chunk.iter().flat_map(|set| needs(set, account, None, false)).collect();
        let wanted = needed.iter().map(|need| &need.bucket).collect();
        keep(meters::read(conn, ca, rules, wanted, true, now).await?);
    }
    Ok(full_at)
}

async fn queue(
    conn: &mut PgConnection,
    account: AccountId,
    slugs: &[String],
) -> Result<(Vec<KnownTenant>, Vec<Ahead>), StoreError> {
    let rows = sqlx::query_file!("queries/forecast_queue.sql", account.0)
        .fetch_all(&mut *conn)
        .await
        .map_err(StoreError::of("forecast.queue"))?;
    let ids: HashSet<Uuid> = rows.iter().map(|row| row.tenant_id).collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let found = sqlx::query!(
        "select tenant_id, slug, weight from tenants where tenant_id = any($1) or slug = any($2) order by slug",
        &ids,
        slugs
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(StoreError::of("forecast.tenants"))?;
    let place_of: HashMap<Uuid, u32> =
        found.iter().zip(0..).map(|(tenant, place)| (tenant.tenant_id, place)).collect();
    let ahead = rows.into_iter().filter_map(|row| {
        Some(Ahead {
            tenant: *place_of.get(&row.tenant_id)?,
            lane: Lane::from_number(row.lane)?,
            orders: u32::try_from(row.orders).ok()?,
            names: u32::try_from(row.names).ok()?,
            exemptions: exemptions(row.set_exempt_until, row.ari_exempt_from, row.ari_exempt_until),
        })
    });
    let ahead = ahead.collect();
    let tenants = found
        .into_iter()
        .map(|tenant| KnownTenant { slug: tenant.slug, weight: u32::try_from(tenant.weight).unwrap_or(1) });
    Ok((tenants.collect(), ahead))
}

/// Everything that is queued, in line; `None` where that is more than `most`.
pub async fn queued(
    store: &Store,
    account: AccountId,
    most: usize,
) -> Result<Option<Vec<Queued>>, StoreError> {
    let rows = sqlx::query!(
        "select slug, lane, names, set_exempt_until, ari_exempt_from, ari_exempt_until
         from orders join tenants using (tenant_id)
         where account_id = $1 and stage = 'accepted'
         order by lane, fair_tag, order_id
         limit $2",
        account.0,
        i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1)
    )
    .fetch_all(store.pool())
    .await
    .map_err(StoreError::of("forecast.queued"))?;
    if rows.len() > most {
        return Ok(None);
    }
    let queued = rows.into_iter().filter_map(|row| {
        let names = row.names.iter().filter_map(|name| Hostname::parse(name).ok());
        Some(Queued {
            tenant: row.slug,
            lane: Lane::from_number(row.lane)?,
            names: Identifiers::new(names).ok()?,
            exemptions: exemptions(row.set_exempt_until, row.ari_exempt_from, row.ari_exempt_until),
        })
    });
    Ok(Some(queued.collect()))
}

/// When each of `sets` was last issued, in their order, as far as the CA looks back.
pub async fn exemptions_of(
    store: &Store,
    account: AccountId,
    sets: &[&Identifiers],
) -> Result<Vec<Exemptions>, StoreError> {
    let mut exempt = Vec::with_capacity(sets.len());
    for chunk in sets.chunks(CHUNK) {
        let digests: Vec<String> = chunk.iter().map(|set| set.digest()).collect();
        let rows = sqlx::query!(
            "select set_key, issued_at
             from issued_sets join accounts using (ca)
             where accounts.account_id = $1 and set_key = any($2)",
            account.0,
            &digests
        )
        .fetch_all(store.pool())
        .await
        .map_err(StoreError::of("forecast.issued_sets"))?;
        let issued: HashMap<String, OffsetDateTime> =
            rows.into_iter().map(|row| (row.set_key, row.issued_at)).collect();
        exempt.extend(digests.iter().map(|digest| {
            issued.get(digest).map_or(Exemptions::NONE, |at| Exemptions::of_set(Timestamp::from(*at)))
        }));
    }
    Ok(exempt)
}
