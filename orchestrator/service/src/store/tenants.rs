//! Tenants: the provider's customers.

use std::collections::{BTreeSet, HashMap};

use issuance::ids::TenantId;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Uuid;
use utoipa::ToSchema;

use super::mint::Mint;
use super::page::{Listing, Page};
use super::quotas::{self, TenantUsage};
use super::viewer::Viewer;
use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// Whether a tenant may begin anything new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    Active,
    /// Nothing new is begun for it: neither names nor certificates. What it has is renewed and served.
    Suspended,
}

impl TenantStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Suspended].into_iter().find(|one| one.as_str() == text)
    }
}

/// How much a tenant may have. `null`: as much as there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantQuotas {
    /// Hostnames it owns at a time.
    pub hostnames: Option<u32>,
    /// Orders that its wishes bring about in a day (UTC); renewals do not count.
    pub new_certificates_per_day: Option<u32>,
}

/// A customer of the provider, as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantView {
    pub id: TenantId,
    /// Its name in files and addresses; never changes.
    pub slug: String,
    /// For people.
    pub name: String,
    /// Its name in the provider's own books.
    pub external_id: Option<String>,
    pub status: TenantStatus,
    pub quotas: TenantQuotas,
    /// Its share of what is scarce, by the side of the others' weights.
    pub weight: u32,
    /// Present where one tenant was asked for; a list leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<TenantUsage>,
    pub created_at: Timestamp,
    /// `null`: never changed.
    pub updated_at: Option<Timestamp>,
    /// One up at each change; the `ETag` of it.
    pub version: i64,
}

/// What a tenant is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantTerms {
    pub name: String,
    pub external_id: Option<String>,
    pub status: TenantStatus,
    pub quotas: TenantQuotas,
    pub weight: u32,
}

impl TenantView {
    pub fn terms(&self) -> TenantTerms {
        TenantTerms {
            name: self.name.clone(),
            external_id: self.external_id.clone(),
            status: self.status,
            quotas: self.quotas,
            weight: self.weight,
        }
    }
}

/// Which tenant, by either of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantName {
    Id(TenantId),
    Slug(String),
}

/// Why a tenant was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantConflict {
    Slug,
    ExternalId,
}

/// Which tenants; a field that is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantFilter {
    pub status: Option<TenantStatus>,
    pub external_id: Option<String>,
    pub slug: Option<String>,
}

/// The tenant called `slug`.
pub async fn find(store: &Store, slug: &str) -> Result<Option<TenantId>, StoreError> {
    let found =
        sqlx::query_scalar!("select tenant_id from tenants where slug = $1 and deleted_at is null", slug)
            .fetch_optional(store.pool())
            .await
            .map_err(StoreError::of("tenants.find"))?;
    Ok(found.map(TenantId))
}

/// The same, where the viewer may see it.
pub async fn find_as(store: &Store, viewer: Viewer, slug: &str) -> Result<Option<TenantId>, StoreError> {
    let found = find(store, slug).await?;
    Ok(found.filter(|tenant| viewer.tenant_id().is_none_or(|own| own == tenant.0)))
}

pub async fn list(
    store: &Store,
    filter: &TenantFilter,
    page: &Page,
) -> Result<Listing<TenantView>, StoreError> {
    let mut conn = store.pool().acquire().await.map_err(StoreError::of("tenants.connection"))?;
    let found = select(&mut conn, None, filter, page.after(), page.rows_to_read()).await?;
    Ok(page.listing(found, |tenant| tenant.id.0))
}

/// With what it uses of its quotas.
pub async fn read(
    store: &Store,
    now: Timestamp,
    name: &TenantName,
) -> Result<Option<TenantView>, StoreError> {
    let mut conn = store.pool().acquire().await.map_err(StoreError::of("tenants.connection"))?;
    let Some(mut tenant) = one(&mut conn, name).await? else { return Ok(None) };
    tenant.usage = Some(quotas::usage(&mut conn, tenant.id, now).await?);
    Ok(Some(tenant))
}

/// The tenant as it is now, and until this work ends.
pub async fn hold_one(work: &mut Work, name: &TenantName) -> Result<Option<TenantView>, StoreError> {
    let (id, slug) = match name {
        TenantName::Id(id) => (Some(id.0), None),
        TenantName::Slug(slug) => (None, Some(slug.as_str())),
    };
    sqlx::query!(
        "select tenant_id from tenants where (tenant_id = $1 or slug = $2) and deleted_at is null for no key update",
        id,
        slug
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("tenants.hold_one"))?;
    one(work.conn(), name).await
}

pub async fn create(
    work: &mut Work,
    slug: &str,
    terms: &TenantTerms,
) -> Result<Result<TenantView, TenantConflict>, StoreError> {
    if let Some(conflict) = conflict(work.conn(), None, Some(slug), terms.external_id.as_deref()).await? {
        return Ok(Err(conflict));
    }
    let (id, at) = (work.mint().uuid(), sql_instant(work.at()));
    sqlx::query!(
        "insert into tenants (
             tenant_id, slug, display_name, external_id, status, hostnames_max, new_certificates_per_day, weight,
             created_at
         )
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        id,
        slug,
        terms.name,
        terms.external_id,
        terms.status.as_str(),
        terms.quotas.hostnames.map(sql_count),
        terms.quotas.new_certificates_per_day.map(sql_count),
        sql_count(terms.weight),
        at,
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("tenants.create"))?;
    let made = one(work.conn(), &TenantName::Id(TenantId(id))).await?;
    made.map(Ok).ok_or_else(|| StoreError::Inconsistent { table: "tenants", what: format!("{slug} is gone") })
}

/// Gives a tenant that this work holds other terms.
pub async fn change(
    work: &mut Work,
    tenant: TenantId,
    terms: &TenantTerms,
) -> Result<Result<TenantView, TenantConflict>, StoreError> {
    if let Some(conflict) = conflict(work.conn(), Some(tenant), None, terms.external_id.as_deref()).await? {
        return Ok(Err(conflict));
    }
    let at = sql_instant(work.at());
    sqlx::query!(
        "update tenants
         set display_name = $2, external_id = $3, status = $4, hostnames_max = $5, new_certificates_per_day = $6, weight = $7,
             version = version + 1, updated_at = $8
         where tenant_id = $1",
        tenant.0,
        terms.name,
        terms.external_id,
        terms.status.as_str(),
        terms.quotas.hostnames.map(sql_count),
        terms.quotas.new_certificates_per_day.map(sql_count),
        sql_count(terms.weight),
        at,
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("tenants.change"))?;
    let changed = one(work.conn(), &TenantName::Id(tenant)).await?;
    changed
        .map(Ok)
        .ok_or_else(|| StoreError::Inconsistent { table: "tenants", what: format!("{tenant} is gone") })
}

/// Two that take one name at the same moment are told apart by the table: the second is tried again by its client.
async fn conflict(
    conn: &mut PgConnection,
    except: Option<TenantId>,
    slug: Option<&str>,
    external_id: Option<&str>,
) -> Result<Option<TenantConflict>, StoreError> {
    let found = sqlx::query!(
        r#"select slug = $2 as "is_slug?" from tenants
           where (slug = $2 or external_id = $3) and ($1::uuid is null or tenant_id <> $1)
           order by slug = $2 desc nulls last
           limit 1"#,
        except.map(|tenant| tenant.0),
        slug,
        external_id
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::of("tenants.conflict"))?;
    Ok(found.map(|row| match row.is_slug {
        Some(true) => TenantConflict::Slug,
        _ => TenantConflict::ExternalId,
    }))
}

async fn one(conn: &mut PgConnection, name: &TenantName) -> Result<Option<TenantView>, StoreError> {
    let mut filter = TenantFilter::default();
    let id = match name {
        TenantName::Id(id) => Some(id.0),
        TenantName::Slug(slug) => {
            filter.slug = Some(slug.clone());
            None
        }
    };
    Ok(select(conn, id, &filter, None, 1).await?.into_iter().next())
}

async fn select(
    conn: &mut PgConnection,
    id: Option<Uuid>,
    filter: &TenantFilter,
    after: Option<Uuid>,
    rows: i64,
) -> Result<Vec<TenantView>, StoreError> {
    let found = sqlx::query!(
        "select tenant_id, slug, display_name, external_id, status, hostnames_max, new_certificates_per_day, weight,
             created_at, updated_at, version
         from tenants
         where deleted_at is null
             and ($1::uuid is null or tenant_id = $1)
             and ($2::text is null or slug = $2)
             and ($3::text is null or external_id = $3)
             and ($4::text is null or status = $4)
             and ($5::uuid is null or tenant_id > $5)
         order by tenant_id
         limit $6",
        id,
        filter.slug.as_deref(),
        filter.external_id.as_deref(),
        filter.status.map(TenantStatus::as_str),
        after,
        rows
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("tenants.list"))?;
    let number = |count: i32| u32::try_from(count).unwrap_or_default();
    let views = found.into_iter().map(|row| {
        let status = TenantStatus::parse(&row.status).ok_or_else(|| StoreError::Inconsistent {
            table: "tenants",
            what: format!("{} is no status", row.status),
        })?;
        Ok(TenantView {
            id: TenantId(row.tenant_id),
            slug: row.slug,
            name: row.display_name,
            external_id: row.external_id,
            status,
            quotas: TenantQuotas {
                hostnames: row.hostnames_max.map(number),
                new_certificates_per_day: row.new_certificates_per_day.map(number),
            },
            weight: number(row.weight),
            usage: None,
            created_at: row.created_at.into(),
            updated_at: row.updated_at.map(Timestamp::from),
            version: row.version,
        })
    });
    views.collect()
}

fn sql_count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
/// Creates those of `slugs` that do not exist yet.
pub(super) async fn ensure(
    conn: &mut PgConnection,
    now: Timestamp,
    mint: &Mint,
    slugs: &BTreeSet<&str>,
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = slugs.iter().map(|_| mint.uuid()).collect();
    let slugs: Vec<String> = slugs.iter().map(|&slug| slug.to_owned()).collect();
    sqlx::query!(
        "insert into tenants (tenant_id, slug, created_at)
         select tenant_id, slug, $3 from unnest($1::uuid[], $2::text[]) as wished (tenant_id, slug)
         where not exists (select from tenants where tenants.slug = wished.slug)
         order by slug
         on conflict (slug) do nothing",
        &ids,
        &slugs,
        sql_instant(now),
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("tenants.ensure"))?;
    Ok(())
}

/// Holds the tenants for this transaction, so that one import at a time writes a tenant's certificates.
/// The engine's inserts, which only refer to a tenant, are not held up.
pub(super) async fn hold(
    conn: &mut PgConnection,
    slugs: &BTreeSet<&str>,
) -> Result<HashMap<String, Uuid>, StoreError> {
    let slugs: Vec<String> = slugs.iter().map(|&slug| slug.to_owned()).collect();
    let held = sqlx::query!(
        "select slug, tenant_id from tenants where slug = any($1) and deleted_at is null order by slug for no key update",
        &slugs,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("tenants.hold"))?;
    Ok(held.into_iter().map(|row| (row.slug, row.tenant_id)).collect())
}

/// The slug of a tenant.
pub async fn slug_of(store: &Store, tenant: TenantId) -> Result<Option<String>, StoreError> {
    let mut conn = store.pool().acquire().await.map_err(StoreError::of("tenants.slug"))?;
    slug(&mut conn, tenant).await
}

/// The same, within a transaction.
pub(super) async fn slug(conn: &mut PgConnection, tenant: TenantId) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar!("select slug from tenants where tenant_id = $1", tenant.0)
        .fetch_optional(conn)
        .await
        .map_err(StoreError::of("tenants.slug"))
}
