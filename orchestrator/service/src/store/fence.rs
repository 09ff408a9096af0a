//! The second fence between tenants: row-level security.
//!
//! The first is in the statements: each that a tenant can reach takes the viewer, and asks for its rows alone. The second
//! holds where one of them forgets to. What a tenant reads is read as the role `lockkeeper_tenant`, to which Postgres
//! shows the rows of one tenant, and what it writes as `lockkeeper_tenant_writer`, who can write those alone
//! (`migrations/20261128015800_fence_tenants_rows.sql`). The engine, the reconcilers and the operator are the tables'
//! owner, whom no policy concerns: neither their rows nor their plans change.
//!
//! Roles belong to a whole server. Where the service's user may not make them, the first fence stands alone, `doctor`
//! says so, and [`REMEDY`] is what an administrator runs once.

use std::ops::{Deref, DerefMut};

use issuance::ids::TenantId;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction};

use super::viewer::Viewer;
use super::{Store, StoreError};

/// What an administrator of the server runs where the service may not; `USER` is whom the service signs in as.
pub const REMEDY: [&str; 2] =
    ["create role lockkeeper_tenant role USER", "create role lockkeeper_tenant_writer role USER"];

/// On which side of the fence a tenant's transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Sees its own rows, and writes none.
    Reads,
    /// Writes its own rows, and sees what they depend on.
    Writes,
}

/// A connection on which one viewer reads. Give it back by dropping it.
#[derive(Debug)]
pub(super) enum Reading {
    Connection(PoolConnection<Postgres>),
    Transaction(Transaction<'static, Postgres>),
}

/// A statement with a dozen filters, each null where it does not matter, has no plan that is good for all of them: planned
/// once for whatever is asked, it would read the whole of a table where a name is asked for. So it is planned each time.
const PLAN_EACH: &str = "set local plan_cache_mode = force_custom_plan";

impl Deref for Reading {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Connection(connection) => connection,
            Self::Transaction(transaction) => transaction,
        }
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Connection(connection) => connection,
            Self::Transaction(transaction) => transaction,
        }
    }
}

impl Store {
    /// Puts up the fence around whatever stands outside of it. False: the roles it needs do not exist and may not be made.
    pub async fn raise_fence(&self) -> Result<bool, StoreError> {
        sqlx::query_scalar!(r#"select raise_tenant_fence() as "stands!""#)
            .fetch_one(self.pool())
            .await
            .map_err(StoreError::of("fence.raise"))
    }

    /// Whether the fence stands. Asked once by each process: what an administrator has mended counts from the next start.
    pub async fn fence_stands(&self) -> Result<bool, StoreError> {
        let ask = async || {
            sqlx::query_scalar!(r#"select tenant_fence_stands() as "stands!""#)
                .fetch_one(self.pool())
                .await
                .map_err(StoreError::of("fence.stands"))
        };
        self.fence.get_or_try_init(ask).await.copied()
    }

    /// Whom the service signs in as, quoted as an identifier.
    pub async fn user(&self) -> Result<String, StoreError> {
        sqlx::query_scalar!(r#"select quote_ident(current_user) as "user!""#)
            .fetch_one(self.pool())
            .await
            .map_err(StoreError::of("fence.user"))
    }

    /// Whatever a tenant can reach reads on this: of a tenant, Postgres shows its own rows alone.
    pub(super) async fn read_as(&self, viewer: Viewer) -> Result<Reading, StoreError> {
        if let Viewer::Tenant(tenant) = viewer
            && self.fence_stands().await?
        {
            return self.begin_behind(tenant, Side::Reads, "fence.read").await.map(Reading::Transaction);
        }
        self.pool().acquire().await.map(Reading::Connection).map_err(StoreError::of("fence.connection"))
    }

    /// The same, for lists that are filtered in many ways.
    pub(super) async fn list_as(&self, viewer: Viewer) -> Result<Reading, StoreError> {
        if let Viewer::Tenant(tenant) = viewer
            && self.fence_stands().await?
        {
            return self.begin_behind(tenant, Side::Reads, "fence.list").await.map(Reading::Transaction);
        }
        let begin = AssertSqlSafe(format!("begin read only; {PLAN_EACH}"));
        self.pool().begin_with(begin).await.map(Reading::Transaction).map_err(StoreError::of("fence.list"))
    }

    /// Whatever a tenant can reach writes in this: of a tenant, Postgres takes its own rows alone.
    pub(super) async fn begin_as(
        &self,
        viewer: Viewer,
        name: &'static str,
    ) -> Result<Transaction<'static, Postgres>, StoreError> {
        if let Viewer::Tenant(tenant) = viewer
            && self.fence_stands().await?
        {
            return self.begin_behind(tenant, Side::Writes, name).await;
        }
        self.begin(name).await
    }

    /// In one round trip, which a tenant pays for its fence. An id in hexadecimal needs no quoting.
    async fn begin_behind(
        &self,
        TenantId(tenant): TenantId,
        side: Side,
        name: &'static str,
    ) -> Result<Transaction<'static, Postgres>, StoreError> {
        let (begin, role) = match side {
            Side::Reads => ("begin read only", "lockkeeper_tenant"),
            Side::Writes => ("begin", "lockkeeper_tenant_writer"),
        };
        let statements = format!(
            "{begin}; {PLAN_EACH}; \
             select set_config('role', '{role}', true), set_config('lockkeeper.tenant', '{tenant}', true)"
        );
        self.pool().begin_with(AssertSqlSafe(statements)).await.map_err(StoreError::of(name))
    }
}
