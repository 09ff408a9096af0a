//! What happened before the CA started, so that a fleet can begin as one that was certified lately.

use std::collections::BTreeSet;
use std::sync::Arc;

use issuance::gcra::Decision;
use issuance::identifier::{Hostname, Identifiers, IdentifiersError};
use issuance::limit::LimitName;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::Limits;
use super::key::{Key, Owner};
use crate::state::State;

/// Added to what the CA remembers by itself. The books start afterwards: none of it is in them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    pub issued: Vec<PastIssuance>,
    pub used: Vec<UsedTokens>,
}

/// An exact set that was certified, to whomever: it is a renewal for 120 days. A token of its bucket is spent at that
/// instant, and, if the set was not a renewal then, one of each of its registered domains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastIssuance {
    pub names: Vec<Hostname>,
    pub at: Timestamp,
}

/// Tokens that are gone from a bucket when the CA is told so; never more than it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsedTokens {
    pub limit: LimitName,
    pub of: Owner,
    pub tokens: u32,
}

/// A history that cannot have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    #[error("a set was issued at {at}, which is yet to come")]
    Future { at: Timestamp },
    #[error("a set that cannot be certified")]
    Names(#[from] IdentifiersError),
}

impl State {
    pub(crate) fn remember(&mut self, history: History, now: Timestamp) -> Result<(), HistoryError> {
        let mut past: Vec<(Timestamp, Identifiers)> = Vec::with_capacity(history.issued.len());
        for PastIssuance { names, at } in history.issued {
            if at > now {
                return Err(HistoryError::Future { at });
            }
            past.push((at, Identifiers::new(names)?));
        }
        past.sort_by_key(|(at, _)| *at);
        for (at, names) in past {
            let set: Arc<str> = names.canonical().into();
            let known = self.issued_sets.entry(Arc::clone(&set)).or_default();
            let renewal = known.is_renewed_at(at);
            known.last_at = known.last_at.max(Some(at));
            self.limits.spend_before_the_books(LimitName::CertificatesPerExactSet, Key::Set(set), at);
            if !renewal {
                let domains: BTreeSet<&str> = names.iter().map(Hostname::registered_domain).collect();
                for domain in domains {
                    self.limits.spend_before_the_books(
                        LimitName::CertificatesPerRegisteredDomain,
                        Key::Domain(domain.into()),
                        at,
                    );
                }
            }
        }
        for UsedTokens { limit, of, tokens } in history.used {
            for _ in 0..tokens {
                self.limits.spend_before_the_books(limit, of.key(), now);
            }
        }
        Ok(())
    }
}

impl Limits {
    fn spend_before_the_books(&mut self, name: LimitName, key: Key, at: Timestamp) {
        let Some((_, bucket)) = self.rule(name, &key) else { return };
        let full_at = self.full_at.entry((name, key)).or_insert(at);
        if let Decision::Granted { full_at: after } = bucket.spend(*full_at, 1, at) {
            *full_at = after;
        }
    }
}
