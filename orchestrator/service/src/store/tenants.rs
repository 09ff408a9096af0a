//! Tenants: the provider's customers.

use std::collections::{BTreeSet, HashMap};

use issuance::ids::TenantId;
use issuance::time::Timestamp;
use sqlx::PgConnection;
use sqlx::types::Uuid;

use super::mint::Mint;
use super::{Store, StoreError, sql_instant};

/// The tenant called `slug`.
pub async fn find(store: &Store, slug: &str) -> Result<Option<TenantId>, StoreError> {
    let found = sqlx::query_scalar!("select tenant_id from tenants where slug = $1", slug)
        .fetch_optional(store.pool())
        .await
        .map_err(StoreError::of("tenants.find"))?;
    Ok(found.map(TenantId))
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
        "select slug, tenant_id from tenants where slug = any($1) order by slug for no key update",
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
