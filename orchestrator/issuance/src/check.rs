//! What is checked of a name before the CA is asked, as a closed set, and what one check found.
//!
//! A [`FailureClass`] says what is wrong; a [`Check`] says who noticed. Precision is kept by check, and a check is
//! what is skipped for one name or demoted to advice for all.

use serde::{Deserialize, Serialize};

use crate::fault::FailureClass;

macro_rules! checks {
    ($($(#[$doc:meta])* $variant:ident, $text:literal, $expected:literal;)+) => {
        /// One thing that is looked at before an order is placed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Check {
            $($(#[$doc])* $variant,)+
        }

        impl Check {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The spelling in the database, the API, on the command line and in the metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }

            /// What it wants to see, where nothing more exact can be said.
            pub fn expected(self) -> &'static str {
                match self { $(Self::$variant => $expected,)+ }
            }
        }
    };
}

checks! {
    /// The name exists in DNS and has an address.
    Dns, "dns", "an A or AAAA record that the name servers answer with";
    /// The records of authority allow the CA to issue (RFC 8659).
    Caa, "caa", "no CAA record, or one that names the CA";
    /// No address is private or reserved.
    PublicAddress, "public_address", "addresses of the public internet only";
    /// Every address is one of the provider's.
    ProviderAddress, "provider_address", "addresses of the hosting servers only";
    /// Something answers at every address.
    Connection, "connection", "a web server that takes the connection and answers in time";
    /// Redirects lead where a CA follows.
    Redirect, "redirect", "no redirect, or at most 10 of them, to http or https on their standard ports";
    /// Redirects to https reach a server that completes the handshake.
    Tls, "tls", "a TLS handshake that completes";
    /// The challenge path is answered with what was asked for, and nothing else.
    Response, "response", "status 200 and the answer of the responder, complete in time";
    /// Every declared server behind the load balancer does all of that too.
    Nodes, "nodes", "the answer of the responder from every declared node";
    /// The record of a DNS-01 challenge is at every name server.
    Propagation, "propagation", "the challenge record at every authoritative name server";
}

impl Check {
    /// Who notices what is wrong; `None` for what only a CA, or only we ourselves, can be wrong in.
    pub fn of(class: FailureClass) -> Option<Self> {
        Some(match class {
            FailureClass::DnsNxdomain
            | FailureClass::DnsUnregistered
            | FailureClass::DnsAlias
            | FailureClass::DnsTcp
            | FailureClass::DnsServfail
            | FailureClass::Dnssec
            | FailureClass::DnsLame
            | FailureClass::DnsDelegation
            | FailureClass::DnsTimeout
            | FailureClass::DnsNoAddress => Self::Dns,
            FailureClass::WrongAddress => Self::ProviderAddress,
            FailureClass::PrivateAddress => Self::PublicAddress,
            FailureClass::ConnectionRefused
            | FailureClass::ConnectionTimeout
            | FailureClass::ConnectionClosed => Self::Connection,
            FailureClass::Redirect | FailureClass::RedirectTarget => Self::Redirect,
            FailureClass::Tls => Self::Tls,
            FailureClass::SlowResponse
            | FailureClass::HttpStatus
            | FailureClass::NotHttp
            | FailureClass::WrongContent => Self::Response,
            FailureClass::Caa | FailureClass::CaaLookup => Self::Caa,
            FailureClass::PropagationTimeout | FailureClass::WrongRecord => Self::Propagation,
            FailureClass::RateLimited
            | FailureClass::PausedAtCa
            | FailureClass::RejectedIdentifier
            | FailureClass::BadCsr
            | FailureClass::Account
            | FailureClass::CaInternal
            | FailureClass::CaUnreachable
            | FailureClass::PresentationFailed
            | FailureClass::ProviderApi
            | FailureClass::OrderExpired
            | FailureClass::CsrNeeded
            | FailureClass::Internal => return None,
        })
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Passed,
    Failed,
    /// It could not be made; nobody's fault.
    Unknown,
}

impl Outcome {
    /// The spelling in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// What one check found in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Finding {
    pub check: Check,
    /// The address or the node it was found at; absent where it is about the name as such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Box<str>>,
    pub outcome: Outcome,
    /// What is wrong, where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<FailureClass>,
    pub observed: Box<str>,
    pub expected: Box<str>,
}

impl Finding {
    pub fn passed(check: Check, observed: impl Into<Box<str>>) -> Self {
        let expected = check.expected().into();
        Self { check, at: None, outcome: Outcome::Passed, class: None, observed: observed.into(), expected }
    }

    pub fn failed(check: Check, class: FailureClass, observed: impl Into<Box<str>>) -> Self {
        Self { outcome: Outcome::Failed, class: Some(class), ..Self::passed(check, observed) }
    }

    pub fn unknown(check: Check, observed: impl Into<Box<str>>) -> Self {
        Self { outcome: Outcome::Unknown, ..Self::passed(check, observed) }
    }

    #[must_use]
    pub fn at(self, place: impl Into<Box<str>>) -> Self {
        Self { at: Some(place.into()), ..self }
    }
}

/// Checks that keep nobody back: skipped for a name, or demoted to advice for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waived(Vec<Check>);

impl Waived {
    pub const NONE: Self = Self(Vec::new());

    pub fn contains(&self, check: Check) -> bool {
        self.0.contains(&check)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Check> for Waived {
    fn from_iter<I: IntoIterator<Item = Check>>(checks: I) -> Self {
        Self(checks.into_iter().collect())
    }
}

/// The finding that keeps the name back: the first that failed and is not waived, in the order of `findings`, which
/// begin with what is to be mended first.
pub fn hindrance<'a>(findings: &'a [Finding], waived: &Waived) -> Option<&'a Finding> {
    findings.iter().find(|one| one.outcome == Outcome::Failed && !waived.contains(one.check))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_read_back_and_the_same_in_json() {
        for check in Check::ALL {
            assert_eq!(Check::parse(check.as_str()), Some(*check));
            assert_eq!(serde_json::to_value(check).unwrap(), check.as_str());
            assert!(!check.expected().is_empty());
        }
    }

    /// What the tenant is told to mend has a check that can see it mended.
    #[test]
    fn what_a_tenant_can_mend_has_its_check() {
        for class in FailureClass::ALL {
            let mends_at_home = class.actor() == crate::fault::Actor::Tenant;
            // A policy refuses the name, whatever stands at home; a request is mended by sending it here.
            let seen_without = matches!(class, FailureClass::RejectedIdentifier | FailureClass::CsrNeeded);
            assert_eq!(Check::of(*class).is_some(), mends_at_home && !seen_without, "{class:?}");
        }
    }

    #[test]
    fn a_waived_check_keeps_nobody_back() {
        let findings = [
            Finding::passed(Check::Dns, "192.0.2.1"),
            Finding::failed(Check::ProviderAddress, FailureClass::WrongAddress, "192.0.2.1"),
            Finding::failed(Check::Response, FailureClass::HttpStatus, "404"),
        ];
        let held_by = |waived: &[Check]| {
            let waived = waived.iter().copied().collect();
            hindrance(&findings, &waived).map(|finding| finding.check)
        };
        assert_eq!(held_by(&[]), Some(Check::ProviderAddress));
        assert_eq!(held_by(&[Check::ProviderAddress]), Some(Check::Response));
        assert_eq!(held_by(&[Check::ProviderAddress, Check::Response]), None);
        assert_eq!(held_by(&[Check::Dns]), Some(Check::ProviderAddress));
    }
}
