//! Whom a bucket counts.

use std::net::IpAddr;
use std::sync::Arc;

use issuance::identifier::Hostname;
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::state::Number;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Address(IpAddr),
    Account(Number<Account>),
    /// Over all accounts.
    Domain(Box<str>),
    /// A registered domain for one account alone, which has an override.
    DomainOfAccount(Number<Account>, Box<str>),
    /// Over all accounts.
    Set(Arc<str>),
    /// With the star of a wildcard: `*.x` and `x` are two buckets.
    Name(Number<Account>, Hostname),
}

impl Key {
    pub(crate) fn account(&self) -> Option<Number<Account>> {
        match self {
            Self::Account(account) | Self::DomainOfAccount(account, _) | Self::Name(account, _) => {
                Some(*account)
            }
            Self::Address(_) | Self::Domain(_) | Self::Set(_) => None,
        }
    }

    /// Whom the books keep by the hour: there are too many sets and names.
    pub(crate) fn owner(&self) -> Option<Owner> {
        match self {
            Self::Account(account) => Some(Owner::Account(account.value())),
            Self::Domain(domain) => Some(Owner::Domain(domain.to_string())),
            Self::Address(_) | Self::DomainOfAccount(..) | Self::Set(_) | Self::Name(..) => None,
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Account(account) => write!(f, "{account}"),
            Self::Domain(domain) => f.write_str(domain),
            Self::DomainOfAccount(account, domain) => write!(f, "{account}/{domain}"),
            Self::Set(set) => f.write_str(set),
            Self::Name(account, name) => write!(f, "{account}/{name}"),
        }
    }
}

/// An account by its number, which its URL ends with and which counts from 1, or a registered domain. In JSON
/// `{ "account": 1 }` or `{ "domain": "shop.com" }`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    Account(u64),
    Domain(String),
}

impl Owner {
    pub(crate) fn key(&self) -> Key {
        match self {
            Self::Account(number) => Key::Account(Number::of(*number)),
            Self::Domain(domain) => Key::Domain(domain.as_str().into()),
        }
    }
}
