use std::num::NonZeroU32;

use issuance::profile::CaProfile;
use serde::Deserialize;

/// `[pending]`: the budget of authorizations open at the CA, where the CA profile's own is not wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PendingConfig {
    /// Most authorizations open at once on one account, over all replicas. Absent: the CA profile's.
    pub max: Option<NonZeroU32>,
    /// Kept free of ordinary work, for orders whose answer was lost. Absent: see [`PendingConfig::budget`].
    pub recovery_reserve: Option<u32>,
}

/// What one account may have open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingBudget {
    pub max: u32,
    /// Of `max`; the rest is for ordinary work.
    pub recovery_reserve: u32,
}

impl PendingConfig {
    /// A maximum that is set without a reserve keeps a fifth of it, if the profile's reserve is larger.
    pub fn budget(&self, profile: &CaProfile) -> PendingBudget {
        let max = self.max.map_or(profile.pending_authorizations_max, NonZeroU32::get);
        let usual = match self.max {
            Some(_) => profile.recovery_reserve.min(max / 5),
            None => profile.recovery_reserve,
        };
        let recovery_reserve = self.recovery_reserve.unwrap_or(usual);
        PendingBudget { max, recovery_reserve }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ca_profile;

    #[test]
    fn a_small_budget_under_a_profile_with_a_large_reserve_still_admits_work() {
        let profile = ca_profile::load("letsencrypt").unwrap();
        let budget = |max, recovery_reserve| {
            PendingConfig { max: NonZeroU32::new(max), recovery_reserve }.budget(&profile)
        };
        assert_eq!(budget(20, None), PendingBudget { max: 20, recovery_reserve: 4 });
        assert_eq!(budget(20, Some(1)), PendingBudget { max: 20, recovery_reserve: 1 });
        assert_eq!(budget(0, Some(7)), PendingBudget { max: 300, recovery_reserve: 7 });
    }
}
