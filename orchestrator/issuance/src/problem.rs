//! What a CA says when it says no: problem documents (RFC 9457) with the types of RFC 8555 §6.7.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::identifier::Hostname;

const PREFIX: &str = "urn:ietf:params:acme:error:";

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident => $text:literal),+ $(,)?) => {
        /// The type of a problem, without the `urn:ietf:params:acme:error:` in front.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum ProblemKind {
            $($(#[$doc])* $variant,)+
            /// A type this release does not know. Never an error by itself: CAs add types.
            Other(Box<str>),
        }

        impl ProblemKind {
            /// Every named kind.
            pub const KNOWN: &[Self] = &[$(Self::$variant),+];

            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
                }
            }

            /// From the document's `type`, with or without the URN in front.
            pub fn parse(text: &str) -> Self {
                match text.strip_prefix(PREFIX).unwrap_or(text) {
                    $($text => Self::$variant,)+
                    other => Self::Other(other.into()),
                }
            }
        }
    };
}

kinds! {
    AccountDoesNotExist => "accountDoesNotExist",
    /// The certificate named in `replaces` already has a replacement order (RFC 9773 §7.4).
    AlreadyReplaced => "alreadyReplaced",
    AlreadyRevoked => "alreadyRevoked",
    BadCsr => "badCSR",
    BadNonce => "badNonce",
    BadPublicKey => "badPublicKey",
    BadRevocationReason => "badRevocationReason",
    BadSignatureAlgorithm => "badSignatureAlgorithm",
    Caa => "caa",
    Compound => "compound",
    /// Boulder: this challenge is being validated already.
    Conflict => "conflict",
    Connection => "connection",
    Dns => "dns",
    ExternalAccountRequired => "externalAccountRequired",
    IncorrectResponse => "incorrectResponse",
    InvalidContact => "invalidContact",
    InvalidProfile => "invalidProfile",
    Malformed => "malformed",
    OrderNotReady => "orderNotReady",
    RateLimited => "rateLimited",
    RejectedIdentifier => "rejectedIdentifier",
    ServerInternal => "serverInternal",
    Tls => "tls",
    Unauthorized => "unauthorized",
    UnsupportedContact => "unsupportedContact",
    UnsupportedIdentifier => "unsupportedIdentifier",
    UserActionRequired => "userActionRequired",
    /// Pebble before 2.9 says this where RFC 8555 has `userActionRequired`.
    AgreementRequired => "agreementRequired",
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ProblemKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ProblemKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

/// One refusal, with everything that matters for what to do next. A body that was no problem document
/// (a load balancer's HTML) has `kind` from the HTTP status alone: `rateLimited` for 429 and 503,
/// `serverInternal` for other 5xx, `malformed` for other 4xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = CaProblem)]
pub struct Problem {
    #[schema(value_type = String)]
    pub kind: ProblemKind,
    /// The CA's own words, cut to a sane length by whoever read them.
    pub detail: Box<str>,
    /// The HTTP status.
    pub status: u16,
    /// From `Retry-After`, as seconds or as a date turned into a wait by the caller. `None` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub retry_after: Option<Duration>,
    /// The name a (sub)problem is about, where the CA says so in a field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub identifier: Option<Hostname>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub subproblems: Vec<Problem>,
}

impl Problem {
    pub fn new(kind: ProblemKind, status: u16, detail: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            status,
            retry_after: None,
            identifier: None,
            subproblems: Vec::new(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.kind, self.status, self.detail)
    }
}
