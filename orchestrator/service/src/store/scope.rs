//! What a key of the API opens.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::viewer::Viewer;

/// One thing that a key may be for. Its text is `<resource>:<what>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    HostnamesRead,
    HostnamesWrite,
    CertificatesRead,
    CertificatesWrite,
    CertificatesRevoke,
    /// Private keys: apart from the rest on purpose.
    BundlesRead,
    OrdersRead,
    AuthorizationsRead,
    AuthorizationsManage,
    ImportsWrite,
    WebhooksManage,
    DeploymentsManage,
    DnsManage,
    HeadroomRead,
    EventsRead,
    TenantsManage,
    AccountsManage,
    KeysManage,
    MetricsRead,
}

/// A text that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no such scope: take some of {}", Scope::ALL.map(Scope::as_str).join(", "))]
pub struct ScopeError;

impl Scope {
    pub const ALL: [Self; 19] = [
        Self::HostnamesRead,
        Self::HostnamesWrite,
        Self::CertificatesRead,
        Self::CertificatesWrite,
        Self::CertificatesRevoke,
        Self::BundlesRead,
        Self::OrdersRead,
        Self::AuthorizationsRead,
        Self::AuthorizationsManage,
        Self::ImportsWrite,
        Self::WebhooksManage,
        Self::DeploymentsManage,
        Self::DnsManage,
        Self::HeadroomRead,
        Self::EventsRead,
        Self::TenantsManage,
        Self::AccountsManage,
        Self::KeysManage,
        Self::MetricsRead,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::HostnamesRead => "hostnames:read",
            Self::HostnamesWrite => "hostnames:write",
            Self::CertificatesRead => "certificates:read",
            Self::CertificatesWrite => "certificates:write",
            Self::CertificatesRevoke => "certificates:revoke",
            Self::BundlesRead => "bundles:read",
            Self::OrdersRead => "orders:read",
            Self::AuthorizationsRead => "authorizations:read",
            Self::AuthorizationsManage => "authorizations:manage",
            Self::ImportsWrite => "imports:write",
            Self::WebhooksManage => "webhooks:manage",
            Self::DeploymentsManage => "deployments:manage",
            Self::DnsManage => "dns:manage",
            Self::HeadroomRead => "headroom:read",
            Self::EventsRead => "events:read",
            Self::TenantsManage => "tenants:manage",
            Self::AccountsManage => "accounts:manage",
            Self::KeysManage => "keys:manage",
            Self::MetricsRead => "metrics:read",
        }
    }

    /// Whether a tenant's key may have it: what concerns more than one tenant is the operator's.
    pub fn is_for_tenants(self) -> bool {
        !matches!(self, Self::TenantsManage | Self::AccountsManage | Self::MetricsRead)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(ScopeError)
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// All that one key opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// In a row: everything that the holder may do at all, also what later releases bring.
    pub const EVERYTHING: &'static str = "*";

    /// As a row has them. A word that this release does not know opens nothing in it, and no word gives a tenant what is
    /// the operator's.
    pub(super) fn of_row(words: &[String], holder: Viewer) -> Self {
        let everything = words.iter().any(|word| word == Self::EVERYTHING);
        let named = |scope: &Scope| everything || words.iter().any(|word| word == scope.as_str());
        Self::of(Scope::ALL.into_iter().filter(named), holder)
    }

    /// Those of `scopes` that `holder` may have.
    pub(super) fn of(scopes: impl IntoIterator<Item = Scope>, holder: Viewer) -> Self {
        let may = |scope: &Scope| holder == Viewer::Operator || scope.is_for_tenants();
        Self(scopes.into_iter().filter(may).collect())
    }

    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use issuance::ids::TenantId;
    use sqlx::types::Uuid;

    use super::*;

    #[test]
    fn every_scope_comes_back_from_its_text() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
        assert!("hostnames".parse::<Scope>().is_err());
    }

    #[test]
    fn a_tenant_never_gets_what_is_the_operators() {
        let tenant = Viewer::Tenant(TenantId(Uuid::nil()));
        let words = ["*".to_owned(), "accounts:manage".to_owned()];
        let scopes = Scopes::of_row(&words, tenant);
        assert!(scopes.contains(Scope::BundlesRead) && !scopes.contains(Scope::AccountsManage));
        assert!(Scopes::of_row(&words, Viewer::Operator).contains(Scope::AccountsManage));
        let few = Scopes::of_row(&["orders:read".to_owned(), "of:tomorrow".to_owned()], tenant);
        assert_eq!(few.iter().collect::<Vec<_>>(), [Scope::OrdersRead]);
    }
}
