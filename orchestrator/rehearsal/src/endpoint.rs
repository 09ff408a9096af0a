//! The endpoints by name, and how often each was asked.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::problem::Kind;

/// (route, the name under which its requests are counted).
const ENDPOINTS: [(&str, &str); 17] = [
    ("/directory", "directory"),
    ("/acme/new-nonce", "new_nonce"),
    ("/acme/new-acct", "new_account"),
    ("/acme/acct/{account}", "account"),
    ("/acme/acct/{account}/orders", "orders"),
    ("/acme/new-order", "new_order"),
    ("/acme/order/{account}/{order}", "order"),
    ("/acme/authz/{account}/{authorization}", "authorization"),
    ("/acme/chall/{account}/{authorization}/{challenge}", "challenge"),
    ("/acme/finalize/{account}/{order}", "finalize"),
    ("/acme/cert/{serial}", "certificate"),
    ("/acme/cert/{serial}/{chain}", "certificate"),
    ("/acme/key-change", "key_change"),
    ("/acme/revoke-cert", "revoke_certificate"),
    ("/acme/renewal-info/{certificate}", "renewal_info"),
    ("/sfe/v1/unpause", "unpause"),
    ("/sfe/v1/do-unpause", "unpause"),
];

/// Requests and problems since the start.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    requests: [AtomicU64; ENDPOINTS.len()],
    rate_limited: AtomicU64,
    problems: Mutex<BTreeMap<&'static str, u64>>,
}

impl Traffic {
    /// Counts a request by the route it matched; those of the audit itself are not traffic.
    pub(crate) fn request(&self, route: &str) {
        if let Some(place) = ENDPOINTS.iter().position(|(path, _)| *path == route) {
            self.requests[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn problem(&self, kind: Kind) {
        if kind == Kind::RateLimited {
            self.rate_limited.fetch_add(1, Ordering::Relaxed);
        }
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        *problems.entry(kind.as_str()).or_default() += 1;
    }

    pub(crate) fn requests(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for ((_, name), count) in ENDPOINTS.iter().zip(&self.requests) {
            *counts.entry((*name).to_owned()).or_default() += count.load(Ordering::Relaxed);
        }
        counts
    }

    pub(crate) fn problems(&self) -> BTreeMap<String, u64> {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
    }

    pub(crate) fn rate_limited(&self) -> u64 {
        self.rate_limited.load(Ordering::Relaxed)
    }
}
