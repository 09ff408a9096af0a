//! What a new-order costs: which limits it stands under, and which tokens it takes.

use std::collections::BTreeSet;

use issuance::identifier::{Hostname, Identifiers};
use issuance::limit::LimitName;
use issuance::time::Timestamp;

use crate::account::Account;
use crate::limits::{Key, Limits, NewOrderCost, Refusal};
use crate::renewal_info::Replacement;
use crate::state::{Number, State};

/// Which limits an order stands under.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admission(NewOrderCost);

impl Admission {
    pub(crate) fn of(
        state: &State,
        names: Option<&Identifiers>,
        replacement: Option<&Replacement>,
        without_limits: bool,
        now: Timestamp,
    ) -> Self {
        if without_limits {
            return Self(NewOrderCost::Unlimited);
        }
        if replacement.is_some_and(|replacement| replacement.in_window) {
            return Self(NewOrderCost::ExemptByWindow);
        }
        let last = names.and_then(|names| state.issued_sets.get(names.canonical().as_str()));
        if last.is_some_and(|set| set.is_renewed_at(now)) {
            return Self(NewOrderCost::ExemptBySet);
        }
        Self(NewOrderCost::Charged)
    }

    pub(crate) fn cost(self) -> NewOrderCost {
        self.0
    }

    /// Checks all limits at once; only the account's new orders are spent here, and that before the CA looks whether it
    /// has the order already.
    pub(crate) fn take(
        self,
        limits: &mut Limits,
        account: Number<Account>,
        names: Option<&Identifiers>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let charged = match self.0 {
            NewOrderCost::ExemptByWindow | NewOrderCost::Unlimited => return Ok(()),
            NewOrderCost::ExemptBySet => false,
            NewOrderCost::Charged => true,
        };
        let mut wanted = Vec::new();
        if charged {
            wanted.push((LimitName::NewOrdersPerAccount, Key::Account(account)));
        }
        if let Some(names) = names {
            wanted.extend(
                names.iter().map(|name| {
                    (LimitName::FailedAuthorizationsPerHostname, Key::Name(account, name.clone()))
                }),
            );
            if charged {
                let domains: BTreeSet<&str> = names.iter().map(Hostname::registered_domain).collect();
                wanted.extend(domains.into_iter().map(|domain| {
                    (LimitName::CertificatesPerRegisteredDomain, limits.domain_key(account, domain))
                }));
            }
            wanted.push((LimitName::CertificatesPerExactSet, Key::Set(names.canonical().into())));
        }
        limits.check_all(wanted, now)?;
        if charged {
            limits.spend(LimitName::NewOrdersPerAccount, Key::Account(account), now);
        }
        Ok(())
    }

    /// The new-order was an error after all.
    pub(crate) fn give_back(self, limits: &mut Limits, account: Number<Account>, now: Timestamp) {
        if self.0 == NewOrderCost::Charged {
            limits.refund(LimitName::NewOrdersPerAccount, Key::Account(account), now);
        }
    }
}
