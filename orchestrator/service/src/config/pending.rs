use std::num::NonZeroU32;

use serde::Deserialize;

/// `[pending]`: the budget of authorizations open at the CA, where the CA profile's own is not wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PendingConfig {
    /// Most authorizations open at once on one account, over all replicas. Absent: the CA profile's.
    pub max: Option<NonZeroU32>,
    /// Kept free of ordinary work, for orders whose answer was lost. Absent: the CA profile's.
    pub recovery_reserve: Option<u32>,
}
