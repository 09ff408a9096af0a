use issuance::problem::Problem;
use issuance::time::Timestamp;
use serde::Deserialize;

use super::order::Identifier;
use super::wire::{instant, problem, words};

words! {
    /// RFC 8555 §7.1.6.
    AuthorizationStatus {
        Pending => "pending",
        Valid => "valid",
        Invalid => "invalid",
        Deactivated => "deactivated",
        Expired => "expired",
        Revoked => "revoked",
    }
}

words! {
    /// RFC 8555 §7.1.6.
    ChallengeStatus {
        Pending => "pending",
        Processing => "processing",
        Valid => "valid",
        Invalid => "invalid",
    }
}

words! {
    /// The ways to earn an authorization that this release knows by name.
    ChallengeKind {
        Http01 => "http-01",
        Dns01 => "dns-01",
        DnsAccount01 => "dns-account-01",
        DnsPersist01 => "dns-persist-01",
        TlsAlpn01 => "tls-alpn-01",
    }
}

/// An authorization at the CA (RFC 8555 §7.1.4).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AuthorizationObject {
    pub status: AuthorizationStatus,
    #[serde(default, deserialize_with = "instant")]
    pub expires: Option<Timestamp>,
    /// Without the `*.` of a wildcard; see `wildcard`.
    pub identifier: Identifier,
    #[serde(default)]
    pub wildcard: bool,
    #[serde(default)]
    pub challenges: Vec<Challenge>,
}

impl AuthorizationObject {
    pub fn challenge(&self, kind: &ChallengeKind) -> Option<&Challenge> {
        self.challenges.iter().find(|challenge| challenge.kind == *kind)
    }
}

/// RFC 8555 §8.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Challenge {
    #[serde(rename = "type")]
    pub kind: ChallengeKind,
    pub url: Box<str>,
    #[serde(default = "Challenge::pending")]
    pub status: ChallengeStatus,
    #[serde(default)]
    pub token: Option<Box<str>>,
    /// Of `dns-persist-01`: what the CA is called in the record.
    #[serde(default, rename = "issuer-domain-names")]
    pub issuer_domain_names: Vec<Box<str>>,
    #[serde(default, deserialize_with = "instant")]
    pub validated: Option<Timestamp>,
    /// Why the validation failed.
    #[serde(default, deserialize_with = "problem")]
    pub error: Option<Problem>,
}

impl Challenge {
    fn pending() -> ChallengeStatus {
        ChallengeStatus::Pending
    }
}
