//! Who looks: every statement that a tenant can reach takes this first.

use issuance::ids::TenantId;
use sqlx::types::Uuid;

/// Whose rows may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Viewer {
    /// Whoever runs the service: all tenants' rows.
    Operator,
    /// Its own rows alone; those of others do not exist.
    Tenant(TenantId),
}

impl Viewer {
    /// For `($1::uuid is null or tenant_id = $1)`: null sees everything.
    pub(super) fn tenant_id(self) -> Option<Uuid> {
        match self {
            Self::Operator => None,
            Self::Tenant(tenant) => Some(tenant.0),
        }
    }
}
