//! What one CA is like, as data: its limits, its costs, its lifetimes, how it is polled.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::exemption::Exemptions;
use crate::limit::{Limit, LimitName};

/// Where a CA does not say: Let's Encrypt counts five an hour.
const FAILURE_BUDGET_REFILL_DEFAULT: Duration = Duration::from_hours(1);

/// A CA's profile. Not to be confused with a *certificate* profile, which one asks for in an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaProfile {
    /// The word it is chosen by.
    pub name: String,
    /// The directory (RFC 8555 §7.1.1); empty where every installation has its own.
    #[serde(default)]
    pub directory: String,
    /// Most authorizations open at once on one account: the CA's own cap, or one we set ourselves.
    pub pending_authorizations_max: u32,
    /// Kept free of ordinary work, so that an order whose answer was lost can be asked for again.
    pub recovery_reserve: u32,
    /// Whether deactivating a pending authorization counts as a failed validation.
    pub charges_deactivation: bool,
    /// Whether asking again for the same names returns the order that is pending or ready.
    pub reuses_pending_order: bool,
    /// Whether the account object may list its orders (RFC 8555 §7.1.2.1).
    pub lists_orders: bool,
    /// How long a pending authorization lives at the most.
    pub pending_authorization_seconds: u64,
    /// How long an order lives at the most.
    pub order_seconds: u64,
    /// After a request whose answer was lost: how long until the CA has surely executed it or never will.
    pub quiet_seconds: u64,
    /// After a challenge whose acknowledgement was lost: how long a `pending` must stand before it is posted
    /// again. A second post may start a second validation.
    pub resubmit_seconds: u64,
    /// How long an authorization may stay open for another try of its order, from when it was opened.
    #[serde(default = "CaProfile::settle_grace_seconds_default")]
    pub settle_grace_seconds: u64,
    /// new-order requests sent for one order at the most, where asking again is the way to find it.
    pub asks_max: u32,
    /// The most names in one order.
    pub names_max: u32,
    /// The wait before the first look at something the CA works on; doubled up to `poll_max_ms`.
    pub poll_first_ms: u64,
    pub poll_max_ms: u64,
    /// Requests a second, by endpoint, that one source address may send. Zero: not limited.
    pub requests_per_second: RequestRates,
    /// An account must be bound to one of the CA's own (RFC 8555 §7.3.4).
    #[serde(default)]
    pub external_account: bool,
    /// The names by which it knows itself in CAA records; what its directory says goes before.
    #[serde(default)]
    pub caa_identities: Vec<Box<str>>,
    /// It suggests when to renew (RFC 9773).
    #[serde(default)]
    pub renewal_info: bool,
    /// An order for an exact set of names that was issued lately is a renewal, which limits do not count.
    #[serde(default)]
    pub exempts_exact_sets: bool,
    /// So is one that replaces a certificate inside the window suggested for that.
    #[serde(default)]
    pub exempts_replacements: bool,
    /// Its limits are just what is told here, as those of a CA of one's own are. Otherwise a bucket becomes emptier than
    /// ever before by one order at a time.
    #[serde(default)]
    pub limits_certain: bool,
    /// What is known of its limits beside the numbers, in a sentence.
    #[serde(default)]
    pub limits_note: Box<str>,
    /// The kinds of certificates that it offers by name; its directory has the last word.
    #[serde(default, rename = "certificate_profile")]
    pub certificate_profiles: Vec<CertificateProfile>,
    #[serde(default, rename = "limit")]
    pub limits: Vec<Limit>,
}

/// One kind of certificate that a CA offers (draft-ietf-acme-profiles).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateProfile {
    pub name: Box<str>,
    pub certificate_seconds: u64,
    pub names_max: u32,
    pub pending_authorization_seconds: u64,
    /// How long a valid authorization stands for further orders.
    pub valid_authorization_seconds: u64,
    pub order_seconds: u64,
}

/// Requests a second, by endpoint (Let's Encrypt's load balancer counts these by source address).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRates {
    pub new_nonce: u32,
    pub new_account: u32,
    pub new_order: u32,
    pub revoke_cert: u32,
    pub renewal_info: u32,
    pub directory: u32,
    /// Everything else.
    pub other: u32,
}

impl RequestRates {
    pub const UNLIMITED: Self = Self {
        new_nonce: 0,
        new_account: 0,
        new_order: 0,
        revoke_cert: 0,
        renewal_info: 0,
        directory: 0,
        other: 0,
    };
}

impl CaProfile {
    /// A CA of which nothing is known that RFC 8555 does not say: no limit, no listing, no reuse, no charge.
    pub fn bare() -> Self {
        Self {
            name: "bare".into(),
            directory: String::new(),
            pending_authorizations_max: 300,
            recovery_reserve: 100,
            charges_deactivation: false,
            reuses_pending_order: false,
            lists_orders: false,
            pending_authorization_seconds: 3_600,
            order_seconds: 3_600,
            quiet_seconds: 120,
            resubmit_seconds: 30,
            settle_grace_seconds: Self::settle_grace_seconds_default(),
            asks_max: 1,
            names_max: 100,
            poll_first_ms: 500,
            poll_max_ms: 5_000,
            requests_per_second: RequestRates::default(),
            external_account: false,
            caa_identities: Vec::new(),
            renewal_info: false,
            exempts_exact_sets: false,
            exempts_replacements: false,
            limits_certain: false,
            limits_note: Box::default(),
            certificate_profiles: Vec::new(),
            limits: Vec::new(),
        }
    }

    pub fn limit(&self, name: LimitName) -> Option<&Limit> {
        self.limits.iter().find(|limit| limit.name == name)
    }

    /// What of `told` this CA grants.
    pub fn exemptions(&self, told: Exemptions) -> Exemptions {
        Exemptions {
            set_until: told.set_until.filter(|_| self.exempts_exact_sets),
            renewal_info: told.renewal_info.filter(|_| self.exempts_replacements),
        }
    }

    pub fn quiet(&self) -> Duration {
        Duration::from_secs(self.quiet_seconds)
    }

    /// Three tries to see a response: at once, after 1 and after 10 minutes.
    const fn settle_grace_seconds_default() -> u64 {
        900
    }

    /// How long after its last failure a hostname has its whole budget of failures again.
    pub fn failure_budget_refill(&self) -> Duration {
        let limit = self.limit(LimitName::FailedAuthorizationsPerHostname);
        let seconds = limit.filter(|limit| limit.count > 0).map(|limit| {
            u64::from(limit.burst).saturating_mul(limit.period_seconds).div_ceil(u64::from(limit.count))
        });
        seconds.map_or(FAILURE_BUDGET_REFILL_DEFAULT, Duration::from_secs)
    }

    /// What ordinary work may hold of the pending-authorization budget.
    pub fn pending_for_new_work(&self) -> u32 {
        self.pending_authorizations_max.saturating_sub(self.recovery_reserve)
    }

    /// The wait before look number `looks` (from 0) at something the CA works on.
    pub fn poll_wait(&self, looks: u32) -> Duration {
        let factor = 1_u64.checked_shl(looks.min(32)).unwrap_or(u64::MAX);
        let millis = self.poll_first_ms.saturating_mul(factor).min(self.poll_max_ms);
        // A wait of nothing would look at the CA without end.
        Duration::from_millis(millis.max(1))
    }
}
