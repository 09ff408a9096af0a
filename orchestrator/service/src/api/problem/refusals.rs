//! What tenants and keys may not, and how much is too much.

use axum::http::StatusCode;
use issuance::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problem, ProblemEntry};
use crate::store::quotas::Excess;
use crate::store::scope::Scope;
use crate::store::tenant_removals::Holdings;

/// Registered by draft-ietf-httpapi-ratelimit-headers-10 §6.1.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// Somebody may have ended by then.
const SEAT_RETRY_SECONDS: u32 = 30;

/// Members that only some problems have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Extras {
    /// In place of an address of ours.
    #[serde(skip)]
    pub(super) kind: Option<&'static str>,
    /// The header `RateLimit-Policy`.
    #[serde(skip)]
    pub(super) policy: Option<String>,
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    pub(super) violated_policies: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<QuotaReached>,
}

/// A quota, and what is used of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct QuotaReached {
    pub name: &'static str,
    pub limit: u32,
    pub used: u64,
    /// `null`: when something is given back, or the quota is raised.
    pub resets_at: Option<Timestamp>,
}

impl Problem {
    /// The request came with no key that opens anything.
    pub(in crate::api) fn is_unauthenticated(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    pub(in crate::api) fn version_mismatch(version: i64) -> Self {
        let detail = format!(
            "it was changed since: read it again, it is version {version} now, and send If-Match with that"
        );
        let title = "It is not what you have read";
        Self::new(StatusCode::PRECONDITION_FAILED, "version-mismatch", title, detail)
    }

    pub(in crate::api) fn taken(pointer: &str, detail: &str) -> Self {
        let entry = ProblemEntry::at(pointer, "taken", detail);
        Self::new(StatusCode::CONFLICT, "conflict", "Somebody has it", detail).with(entry)
    }

    /// A key that is to be changed or replaced opens more than the one that asks.
    pub(in crate::api) fn beyond_your_own(scope: Scope) -> Self {
        let detail = format!("that key has the scope {scope}, and yours does not: it can only revoke it");
        Self::new(StatusCode::FORBIDDEN, "forbidden-scope", "The key opens more than yours", detail)
    }

    pub(in crate::api) fn key_not_good() -> Self {
        let detail = "the key is revoked or has expired: make a new one";
        Self::new(StatusCode::CONFLICT, "key-not-good", "The key opens nothing any more", detail)
    }

    pub(in crate::api) fn rotation_under_way() -> Self {
        let detail = "the key and its successor are both good: revoke the one that is not used any more";
        Self::new(StatusCode::CONFLICT, "rotation-under-way", "The key is being replaced", detail)
    }

    pub(in crate::api) fn last_operator_key() -> Self {
        let detail = "nobody could make another one: make a key with the scope keys:manage first";
        Self::new(StatusCode::CONFLICT, "last-operator-key", "It is the operator's last key", detail)
    }

    /// `by_password`: of those who sign in with a password, which work while the provider of identities is away.
    pub(in crate::api) fn last_owner(by_password: bool) -> Self {
        let detail = if by_password {
            "nobody could let people sign in any more: make another owner with a password first"
        } else {
            "nobody could let people sign in any more: make another owner first"
        };
        Self::new(StatusCode::CONFLICT, "last-owner", "It is the operator's last owner", detail)
    }

    /// Nobody has the name that was asked for.
    pub(in crate::api) fn hostname_free() -> Self {
        let detail = "no other tenant has this hostname: wish for a certificate, and it is yours";
        Self::new(StatusCode::CONFLICT, "hostname-free", "The hostname is not taken", detail)
    }

    pub(in crate::api) fn hostname_own_already() -> Self {
        let detail = "the tenant has this hostname already";
        Self::new(StatusCode::CONFLICT, "hostname-own-already", "There is nothing to transfer", detail)
    }

    /// Nothing is ordered for names that another tenant has by now.
    pub(in crate::api) fn certificate_given_up() -> Self {
        let detail =
            "its hostnames have gone to another tenant: wish for other names, or ask for these with a proof";
        Self::conflict("Its hostnames are not the tenant's any more", detail)
    }

    /// The operator names the tenant that gets a hostname; a tenant does not.
    pub(in crate::api) fn transfer_tenant_missing() -> Self {
        let detail = "say which tenant gets the hostname: {\"tenant\": \"its slug\"}";
        Self::body_invalid(vec![ProblemEntry::at("/tenant", "missing", detail)])
    }

    /// What a tenant has goes before it does.
    pub(in crate::api) fn tenant_not_empty(holdings: &Holdings) -> Self {
        let Holdings { certificates, hostnames, releasing, imports } = *holdings;
        let mut parts = Vec::new();
        let mut part = |count: u64, one: &str, many: &str, then: &str| match count {
            0 => {}
            1 => parts.push(format!("1 {one}{then}")),
            count => parts.push(format!("{count} {many}{then}")),
        };
        part(certificates, "certificate", "certificates", ": delete what it has");
        part(hostnames, "hostname", "hostnames", ": delete what it has");
        part(
            releasing,
            "hostname",
            "hostnames",
            " given up: free as soon as orders have ended and the CA has forgotten them",
        );
        part(imports, "import", "imports", " under way: wait for its end, or cancel it");
        let detail = format!("the tenant has {}", parts.join("; "));
        Self::new(StatusCode::CONFLICT, "tenant-not-empty", "The tenant has something", detail)
    }

    pub(in crate::api) fn excess(excess: &Excess) -> Self {
        let (code, title, limit) = match excess {
            Excess::Suspended => ("tenant-suspended", "The tenant is suspended", None),
            Excess::Hostnames { limit, used } => {
                ("tenant-quota-exceeded", "A quota is used up", Some(("hostnames", *limit, *used, None)))
            }
            Excess::NewCertificates { limit, used, resets_at } => (
                "tenant-quota-exceeded",
                "A quota is used up",
                Some(("new_certificates_per_day", *limit, *used, Some(*resets_at))),
            ),
        };
        let mut problem = Self::new(StatusCode::CONFLICT, code, title, excess.to_string());
        let limit = limit.map(|(name, limit, used, resets_at)| QuotaReached { name, limit, used, resets_at });
        problem.extras = Some(Box::new(Extras { limit, ..Extras::default() }));
        problem
    }

    /// Our own throttle. `policy` as the header has it.
    pub(in crate::api) fn throttled(name: &'static str, policy: &str, retry_after_seconds: u32) -> Self {
        let detail =
            format!("more requests than {policy} allows: go on in {retry_after_seconds} s, and more slowly");
        let mut problem =
            Self::new(StatusCode::TOO_MANY_REQUESTS, "quota-exceeded", "Too many requests", detail);
        problem.retry_after_seconds = Some(retry_after_seconds);
        problem.extras = Some(Box::new(Extras {
            kind: Some(QUOTA_EXCEEDED),
            policy: Some(policy.to_owned()),
            violated_policies: vec![name],
            limit: None,
        }));
        problem
    }

    /// A change without the version that it is made to.
    pub(in crate::api) fn precondition_missing() -> Self {
        let detail =
            "send If-Match with the ETag that reading it has answered: nobody's change is overwritten unseen";
        Self::new(StatusCode::PRECONDITION_REQUIRED, "precondition-missing", "If-Match is needed", detail)
    }

    /// Nothing of a campaign can be changed any more.
    pub(in crate::api) fn campaign_ended(status: &str) -> Self {
        let detail = format!("the campaign is {status}: begin another one");
        Self::new(StatusCode::CONFLICT, "campaign-ended", "The campaign is over", detail)
    }

    /// What is there already stands against it.
    pub(in crate::api) fn conflict(title: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", title, detail)
    }

    /// So many at once, until one ends.
    pub(in crate::api) fn quota_exceeded(detail: impl Into<String>) -> Self {
        let title = "There are as many as there may be";
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "quota-exceeded", title, detail);
        problem.retry_after_seconds = Some(SEAT_RETRY_SECONDS);
        problem
    }
}
