//! The limits a CA keeps, as data: what is counted, for whom, how much, and when a token is spent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::exemption::Exemption;
use crate::gcra::Bucket;

/// Which rule. The names are Boulder's, in our spelling.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LimitName {
    /// Key: the source address.
    NewAccountsPerAddress,
    /// Key: the ACME account.
    NewOrdersPerAccount,
    /// Key: the registered domain, over all accounts.
    CertificatesPerRegisteredDomain,
    /// Key: the exact set of identifiers, over all accounts.
    CertificatesPerExactSet,
    /// Key: account and hostname.
    FailedAuthorizationsPerHostname,
    /// Key: account and hostname. Empty means paused by the CA until a person acts.
    ConsecutiveFailuresPerHostname,
}

impl LimitName {
    pub const ALL: [Self; 6] = [
        Self::NewAccountsPerAddress,
        Self::NewOrdersPerAccount,
        Self::CertificatesPerRegisteredDomain,
        Self::CertificatesPerExactSet,
        Self::FailedAuthorizationsPerHostname,
        Self::ConsecutiveFailuresPerHostname,
    ];

    /// The spelling in the database, the API and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewAccountsPerAddress => "new_accounts_per_address",
            Self::NewOrdersPerAccount => "new_orders_per_account",
            Self::CertificatesPerRegisteredDomain => "certificates_per_registered_domain",
            Self::CertificatesPerExactSet => "certificates_per_exact_set",
            Self::FailedAuthorizationsPerHostname => "failed_authorizations_per_hostname",
            Self::ConsecutiveFailuresPerHostname => "consecutive_failures_per_hostname",
        }
    }

    /// The limit of that spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }

    /// Whom one of its buckets counts.
    pub fn scope(self) -> LimitScope {
        match self {
            Self::NewAccountsPerAddress => LimitScope::SourceAddress,
            Self::NewOrdersPerAccount => LimitScope::Account,
            Self::CertificatesPerRegisteredDomain => LimitScope::RegisteredDomain,
            Self::CertificatesPerExactSet => LimitScope::ExactSet,
            Self::FailedAuthorizationsPerHostname | Self::ConsecutiveFailuresPerHostname => {
                LimitScope::AccountAndHostname
            }
        }
    }

    /// Which renewals Let's Encrypt does not hold against it.
    pub fn exempt(self) -> &'static [Exemption] {
        match self {
            Self::NewOrdersPerAccount | Self::CertificatesPerRegisteredDomain => {
                &[Exemption::RenewalInfo, Exemption::ExactSet]
            }
            Self::CertificatesPerExactSet | Self::FailedAuthorizationsPerHostname => {
                &[Exemption::RenewalInfo]
            }
            Self::NewAccountsPerAddress | Self::ConsecutiveFailuresPerHostname => &[],
        }
    }

    /// Whether Let's Encrypt gives more of it to whoever asks and has a reason.
    pub fn is_overridable(self) -> bool {
        matches!(self, Self::NewOrdersPerAccount | Self::CertificatesPerRegisteredDomain)
    }

    /// When a token is taken. A limit that is only *checked* at new-order must be reserved there by a
    /// client, or orders in parallel all pass the same check.
    pub fn spent_at(self) -> SpentAt {
        match self {
            Self::NewAccountsPerAddress => SpentAt::Account,
            Self::NewOrdersPerAccount => SpentAt::Order,
            Self::CertificatesPerRegisteredDomain | Self::CertificatesPerExactSet => SpentAt::Issuance,
            Self::FailedAuthorizationsPerHostname | Self::ConsecutiveFailuresPerHostname => SpentAt::Failure,
        }
    }
}

/// Whom one bucket of a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitScope {
    SourceAddress,
    Account,
    /// Over all accounts of the CA.
    RegisteredDomain,
    /// Over all accounts of the CA.
    ExactSet,
    AccountAndHostname,
}

impl LimitScope {
    /// The spelling in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SourceAddress => "source_address",
            Self::Account => "account",
            Self::RegisteredDomain => "registered_domain",
            Self::ExactSet => "exact_set",
            Self::AccountAndHostname => "account_and_hostname",
        }
    }
}

/// The moment at which the CA takes a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpentAt {
    Account,
    Order,
    Issuance,
    /// A failed validation; at Boulder also the deactivation of a pending authorization.
    Failure,
}

impl SpentAt {
    /// The spelling in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Order => "order",
            Self::Issuance => "issuance",
            Self::Failure => "failure",
        }
    }
}

/// One limit of one CA: `burst` tokens, of which `count` come back every `period_seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    pub name: LimitName,
    pub burst: u32,
    pub count: u32,
    pub period_seconds: u64,
}

impl Limit {
    /// `None` if the numbers make no bucket; see [`Bucket::new`].
    pub fn bucket(&self) -> Option<Bucket> {
        Bucket::new(self.burst, self.count, Duration::from_secs(self.period_seconds))
    }
}
