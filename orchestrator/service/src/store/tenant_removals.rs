//! Tenants that are removed. What a tenant has goes first, by its own rules: certificates with the orders under way, hostnames
//! when the CA has forgotten them. So here is nothing left to do but to take its keys, users and webhooks away; the audit stays.

use issuance::ids::{ApiKeyId, TenantId, UserId, WebhookId};
use serde::Serialize;

use super::summary::count;
use super::work::Work;
use super::{StoreError, sql_instant};

/// What a tenant still has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holdings {
    pub certificates: u64,
    pub hostnames: u64,
    /// Hostnames that it has given up, and that the CA is told to forget.
    pub releasing: u64,
    /// Files of its own that are being received, checked, committed or taken back.
    pub imports: u64,
}

impl Holdings {
    pub fn is_empty(&self) -> bool {
        (self.certificates, self.hostnames, self.releasing, self.imports) == (0, 0, 0, 0)
    }
}

/// What went with a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GoneWith {
    pub api_keys: Vec<ApiKeyId>,
    pub users: Vec<UserId>,
    pub webhooks: Vec<WebhookId>,
    /// Hostnames that it had asked for.
    pub transfers: Vec<String>,
}

/// What a tenant that this work holds still has. Nobody gives it more before the work ends.
pub async fn holdings(work: &mut Work, tenant: TenantId) -> Result<Holdings, StoreError> {
    let row = sqlx::query!(
        r#"select
               (select count(*) from certificates where tenant_id = $1 and deleted_at is null) as "certificates!",
               count(*) filter (where releasing_since is null) as "hostnames!",
               count(*) filter (where releasing_since is not null) as "releasing!",
               (select count(*) from imports
                   where tenant_id = $1 and status in ('receiving', 'checking', 'running', 'rolling_back')
               ) as "imports!"
           from hostnames
           where tenant_id = $1"#,
        tenant.0
    )
    .fetch_one(work.conn())
    .await
    .map_err(StoreError::of("tenant_removals.holdings"))?;
    Ok(Holdings {
        certificates: count(row.certificates),
        hostnames: count(row.hostnames),
        releasing: count(row.releasing),
        imports: count(row.imports),
    })
}

/// Removes a tenant that this work holds and that has nothing. Its keys open nothing from now on, and its slug and external id
/// are free.
pub async fn remove(work: &mut Work, tenant: TenantId) -> Result<GoneWith, StoreError> {
    let at = sql_instant(work.at());
    let api_keys = sqlx::query_scalar!(
        "update api_keys set revoked_at = $2, version = version + 1
         where tenant_id = $1 and revoked_at is null
         returning key_id",
        tenant.0,
        at
    )
    .fetch_all(work.conn())
    .await
    .map_err(StoreError::of("tenant_removals.keys"))?;
    // With their sessions.
    let users = sqlx::query_scalar!("delete from users where tenant_id = $1 returning user_id", tenant.0)
        .fetch_all(work.conn())
        .await
        .map_err(StoreError::of("tenant_removals.users"))?;
    let webhooks =
        sqlx::query_scalar!("delete from webhooks where tenant_id = $1 returning webhook_id", tenant.0)
            .fetch_all(work.conn())
            .await
            .map_err(StoreError::of("tenant_removals.webhooks"))?;
    let mut transfers = sqlx::query_scalar!(
        "update hostname_transfers set ended_at = $2, outcome = 'withdrawn', look_at = null
         where tenant_id = $1 and ended_at is null
         returning hostname",
        tenant.0,
        at
    )
    .fetch_all(work.conn())
    .await
    .map_err(StoreError::of("tenant_removals.transfers"))?;
    transfers.sort_unstable();
    sqlx::query!(
        "update imports
         set status = 'cancelled', ended_at = $2, due_at = $2, lease_epoch = lease_epoch + 1, lease_holder = null
         where tenant_id = $1 and status = 'preview'",
        tenant.0,
        at
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("tenant_removals.previews"))?;
    sqlx::query!(
        "update tenants
         set deleted_at = $2, updated_at = $2, version = version + 1, status = 'suspended',
             -- No slug that anybody would choose.
             slug = 'deleted-' || replace(tenant_id::text, '-', ''), external_id = null, display_name = ''
         where tenant_id = $1",
        tenant.0,
        at
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("tenant_removals.remove"))?;
    Ok(GoneWith {
        api_keys: api_keys.into_iter().map(ApiKeyId).collect(),
        users: users.into_iter().map(UserId).collect(),
        webhooks: webhooks.into_iter().map(WebhookId).collect(),
        transfers,
    })
}
