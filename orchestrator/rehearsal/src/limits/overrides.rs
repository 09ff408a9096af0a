//! Where a CA counts otherwise than its rules say: what Let's Encrypt grants on request, and no client is told.

use std::collections::HashMap;

use issuance::gcra::Bucket;
use issuance::limit::{Limit, LimitName, LimitScope};
use serde::{Deserialize, Serialize};

use super::key::{Key, Owner};
use crate::account::Account;
use crate::state::Number;

/// Other numbers for one limit. The most special one holds: of an account or a registered domain, then everybody's,
/// then the rules.
///
/// An override of [`LimitName::CertificatesPerRegisteredDomain`] for an *account* is Boulder's
/// `CertificatesPerDomainPerAccount`: that account's orders are held against buckets of its own, one for each registered
/// domain, and no longer against the one that it shares with all others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitOverride {
    pub limit: LimitName,
    /// Absent: everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Owner>,
    pub burst: u32,
    pub count: u32,
    pub period_seconds: u64,
}

impl LimitOverride {
    /// These numbers, for everybody.
    pub fn everybody(limit: Limit) -> Self {
        let Limit { name, burst, count, period_seconds } = limit;
        Self { limit: name, of: None, burst, count, period_seconds }
    }

    /// A share of a limit's burst and refill, at least one each: 0.5 is half of it, 2.0 the double. For everybody.
    pub fn scaled(limit: Limit, share: f64) -> Self {
        let scale = |number: u32| (f64::from(number) * share).round().clamp(1.0, f64::from(u32::MAX)) as u32;
        Self::everybody(Limit { burst: scale(limit.burst), count: scale(limit.count), ..limit })
    }

    /// For one account or registered domain only.
    #[must_use]
    pub fn of(self, owner: Owner) -> Self {
        Self { of: Some(owner), ..self }
    }

    fn limit(&self) -> Limit {
        Limit { name: self.limit, burst: self.burst, count: self.count, period_seconds: self.period_seconds }
    }
}

/// An override that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    #[error("{}: the numbers make no bucket", limit.as_str())]
    NoBucket { limit: LimitName },
    #[error("{}: it does not count by {owner:?}", limit.as_str())]
    Misfit { limit: LimitName, owner: Owner },
}

type Rule = (Limit, Bucket);

/// All overrides, found in the same time however many there are.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    /// As they were set.
    list: Vec<LimitOverride>,
    everybody: HashMap<LimitName, Rule>,
    accounts: HashMap<(LimitName, Number<Account>), Rule>,
    domains: HashMap<Box<str>, Rule>,
}

impl Overrides {
    pub(super) fn new(list: Vec<LimitOverride>) -> Result<Self, OverrideError> {
        let mut all = Self::default();
        for one in &list {
            let limit = one.limit();
            let bucket = limit.bucket().ok_or(OverrideError::NoBucket { limit: one.limit })?;
            let rule = (limit, bucket);
            match (&one.of, one.limit.scope()) {
                (None, _) => drop(all.everybody.insert(one.limit, rule)),
                (
                    Some(Owner::Account(account)),
                    LimitScope::Account | LimitScope::AccountAndHostname | LimitScope::RegisteredDomain,
                ) => drop(all.accounts.insert((one.limit, Number::of(*account)), rule)),
                (Some(Owner::Domain(domain)), LimitScope::RegisteredDomain) => {
                    all.domains.insert(domain.as_str().into(), rule);
                }
                (Some(owner), _) => {
                    return Err(OverrideError::Misfit { limit: one.limit, owner: owner.clone() });
                }
            }
        }
        all.list = list;
        Ok(all)
    }

    pub(super) fn list(&self) -> &[LimitOverride] {
        &self.list
    }

    pub(super) fn find(&self, name: LimitName, key: &Key) -> Option<Rule> {
        let special = match key {
            Key::Domain(domain) => self.domains.get(domain),
            _ => key.account().and_then(|account| self.accounts.get(&(name, account))),
        };
        special.or_else(|| self.everybody.get(&name)).copied()
    }

    /// Whether registered domains are counted for this account alone.
    pub(super) fn has_domains_of_its_own(&self, account: Number<Account>) -> bool {
        self.accounts.contains_key(&(LimitName::CertificatesPerRegisteredDomain, account))
    }
}
