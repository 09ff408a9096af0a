use serde::{Deserialize, Serialize};

use crate::limit::LimitName;

/// What an order may have to wait for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// Tokens for new orders of the account.
    NewOrdersPerAccount,
    CertificatesPerRegisteredDomain,
    CertificatesPerExactSet,
    /// One of its names has failed too often lately.
    FailedAuthorizationsPerHostname,
    /// Room for more authorizations that are pending at the CA.
    PendingAuthorizations,
    /// Our own hands.
    Workers,
    /// The CA has told the whole account to wait.
    AccountHeld,
}

impl Constraint {
    pub const ALL: [Self; 7] = [
        Self::NewOrdersPerAccount,
        Self::CertificatesPerRegisteredDomain,
        Self::CertificatesPerExactSet,
        Self::FailedAuthorizationsPerHostname,
        Self::PendingAuthorizations,
        Self::Workers,
        Self::AccountHeld,
    ];

    /// The spelling in the API: that of the limit, where it is one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PendingAuthorizations => "pending_authorizations",
            Self::Workers => "workers",
            Self::AccountHeld => "account_held",
            Self::NewOrdersPerAccount => LimitName::NewOrdersPerAccount.as_str(),
            Self::CertificatesPerRegisteredDomain => LimitName::CertificatesPerRegisteredDomain.as_str(),
            Self::CertificatesPerExactSet => LimitName::CertificatesPerExactSet.as_str(),
            Self::FailedAuthorizationsPerHostname => LimitName::FailedAuthorizationsPerHostname.as_str(),
        }
    }

    /// Of the limits that orders stand under.
    pub(super) fn of(limit: LimitName) -> Option<Self> {
        match limit {
            LimitName::NewOrdersPerAccount => Some(Self::NewOrdersPerAccount),
            LimitName::CertificatesPerRegisteredDomain => Some(Self::CertificatesPerRegisteredDomain),
            LimitName::CertificatesPerExactSet => Some(Self::CertificatesPerExactSet),
            LimitName::FailedAuthorizationsPerHostname => Some(Self::FailedAuthorizationsPerHostname),
            LimitName::NewAccountsPerAddress | LimitName::ConsecutiveFailuresPerHostname => None,
        }
    }
}
