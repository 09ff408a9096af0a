//! The endpoints by name, and how often each was asked.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::problem::Kind;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    Directory,
    NewNonce,
    NewAccount,
    /// Reading, changing and deactivating an account.
    Account,
    /// The list of an account's orders.
    Orders,
    NewOrder,
    /// Reading an order.
    Order,
    /// Reading an authorization. Only where faults strike is a deactivation told apart; the audit counts both here.
    Authorization,
    Deactivation,
    /// Submitting a challenge, and reading one.
    Challenge,
    Finalize,
    Certificate,
    KeyChange,
    RevokeCertificate,
    RenewalInfo,
    Unpause,
}

const ROUTES: [(&str, Endpoint); 17] = [
    ("/directory", Endpoint::Directory),
    ("/acme/new-nonce", Endpoint::NewNonce),
    ("/acme/new-acct", Endpoint::NewAccount),
    ("/acme/acct/{account}", Endpoint::Account),
    ("/acme/acct/{account}/orders", Endpoint::Orders),
    ("/acme/new-order", Endpoint::NewOrder),
    ("/acme/order/{account}/{order}", Endpoint::Order),
    ("/acme/authz/{account}/{authorization}", Endpoint::Authorization),
    ("/acme/chall/{account}/{authorization}/{challenge}", Endpoint::Challenge),
    ("/acme/finalize/{account}/{order}", Endpoint::Finalize),
    ("/acme/cert/{serial}", Endpoint::Certificate),
    ("/acme/cert/{serial}/{chain}", Endpoint::Certificate),
    ("/acme/key-change", Endpoint::KeyChange),
    ("/acme/revoke-cert", Endpoint::RevokeCertificate),
    ("/acme/renewal-info/{certificate}", Endpoint::RenewalInfo),
    ("/sfe/v1/unpause", Endpoint::Unpause),
    ("/sfe/v1/do-unpause", Endpoint::Unpause),
];

impl Endpoint {
    /// The spelling in the audit and in fault plans.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::NewNonce => "new_nonce",
            Self::NewAccount => "new_account",
            Self::Account => "account",
            Self::Orders => "orders",
            Self::NewOrder => "new_order",
            Self::Order => "order",
            Self::Authorization => "authorization",
            Self::Deactivation => "deactivation",
            Self::Challenge => "challenge",
            Self::Finalize => "finalize",
            Self::Certificate => "certificate",
            Self::KeyChange => "key_change",
            Self::RevokeCertificate => "revoke_certificate",
            Self::RenewalInfo => "renewal_info",
            Self::Unpause => "unpause",
        }
    }

    /// By the route that was matched; the audit, the faults and the root are no endpoints of the CA.
    pub(crate) fn of_route(route: &str) -> Option<Self> {
        ROUTES.iter().find(|(path, _)| *path == route).map(|(_, endpoint)| *endpoint)
    }
}

/// Requests and problems since the start.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    requests: [AtomicU64; ROUTES.len()],
    rate_limited: AtomicU64,
    problems: Mutex<BTreeMap<&'static str, u64>>,
}

impl Traffic {
    /// Counts a request by the route it matched; those of the audit itself are not traffic.
    pub(crate) fn request(&self, route: &str) {
        if let Some(place) = ROUTES.iter().position(|(path, _)| *path == route) {
            self.requests[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A busy CA says `rateLimited`, too, and means something else.
    pub(crate) fn problem(&self, kind: Kind, status: StatusCode) {
        if kind == Kind::RateLimited && status == StatusCode::TOO_MANY_REQUESTS {
            self.rate_limited.fetch_add(1, Ordering::Relaxed);
        }
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        *problems.entry(kind.as_str()).or_default() += 1;
    }

    pub(crate) fn requests(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for ((_, endpoint), count) in ROUTES.iter().zip(&self.requests) {
            *counts.entry(endpoint.as_str().to_owned()).or_default() += count.load(Ordering::Relaxed);
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
