use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use serde::Deserialize;

/// `[reconcile]`: how often a worker looks whether everything is as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReconcileConfig {
    /// Between two looks for leases that ran out, authorizations past their deadlines, and what was learnt too late.
    pub interval_seconds: NonZeroU32,
    /// Between two comparisons of a part of the ledger with the CA.
    pub audit_interval_seconds: NonZeroU32,
    /// Authorizations compared each time; each is a request to the CA.
    pub audit_sample: NonZeroU16,
    /// Between two looks for certificates that are to be renewed.
    pub renewal_interval_seconds: NonZeroU32,
    /// Orders for renewals queued by one look; what is left over comes with the next.
    pub renewals_max: NonZeroU16,
    /// Certificates about which the CA is asked by one look when it wants them renewed; each is a request.
    pub renewal_polls_max: NonZeroU16,
    /// Between two looks for names that are to be looked at again, and for what tenants want checked now.
    pub evidence_interval_seconds: NonZeroU32,
    /// Names that one worker looks at again in a second, at the most.
    pub evidence_per_second: NonZeroU16,
}

impl ReconcileConfig {
    pub fn interval(&self) -> Duration {
        Duration::from_secs(self.interval_seconds.get().into())
    }

    pub fn audit_interval(&self) -> Duration {
        Duration::from_secs(self.audit_interval_seconds.get().into())
    }

    pub fn renewal_interval(&self) -> Duration {
        Duration::from_secs(self.renewal_interval_seconds.get().into())
    }

    pub fn evidence_interval(&self) -> Duration {
        Duration::from_secs(self.evidence_interval_seconds.get().into())
    }

    /// Names that one look at what is due may take up.
    pub fn looks_of_a_pass(&self) -> u16 {
        let looks =
            u32::from(self.evidence_per_second.get()).saturating_mul(self.evidence_interval_seconds.get());
        u16::try_from(looks).unwrap_or(u16::MAX)
    }
}

impl Default for ReconcileConfig {
    fn default() -> Self {
        Self {
            interval_seconds: const { NonZeroU32::new(30).unwrap() },
            audit_interval_seconds: const { NonZeroU32::new(300).unwrap() },
            audit_sample: const { NonZeroU16::new(20).unwrap() },
            renewal_interval_seconds: const { NonZeroU32::new(30).unwrap() },
            renewals_max: const { NonZeroU16::new(500).unwrap() },
            renewal_polls_max: const { NonZeroU16::new(2_000).unwrap() },
            evidence_interval_seconds: const { NonZeroU32::new(5).unwrap() },
            evidence_per_second: const { NonZeroU16::new(20).unwrap() },
        }
    }
}
