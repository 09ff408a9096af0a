//! How a request ends when it does not end well.

use std::error::Error;
use std::time::Duration;

use issuance::problem::Problem;

use super::endpoint::Endpoint;

/// The cause below an [`AcmeError`].
pub type Cause = Box<dyn Error + Send + Sync + 'static>;

/// A failed request, told by what the caller may conclude about the CA's state.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// Nothing of this request reached the CA: it may be repeated at will.
    #[error("{endpoint}: the request was not sent")]
    NotSent {
        endpoint: Endpoint,
        #[source]
        source: Cause,
    },
    /// The request may have been executed and the answer is unknown: read the object before repeating it.
    #[error("{endpoint}: the answer was lost")]
    Lost {
        endpoint: Endpoint,
        #[source]
        source: Cause,
    },
    /// The CA answered no.
    #[error("{endpoint}: {problem}")]
    Refused { endpoint: Endpoint, problem: Problem },
    /// The CA offers no such thing; nothing was sent.
    #[error("this CA offers no {what}")]
    Unsupported { what: &'static str },
    /// The directory's address, its content or the roots to trust are unusable; nothing was sent that matters.
    #[error("bad configuration of a CA: {what}")]
    BadConfig {
        what: Box<str>,
        #[source]
        source: Option<Cause>,
    },
    /// An account key that cannot sign.
    #[error("bad account key: {0}")]
    BadKey(#[from] super::jws::KeyError),
}

impl AcmeError {
    pub(crate) fn not_sent(endpoint: Endpoint, source: impl Into<Cause>) -> Self {
        Self::NotSent { endpoint, source: source.into() }
    }

    pub(crate) fn lost(endpoint: Endpoint, source: impl Into<Cause>) -> Self {
        Self::Lost { endpoint, source: source.into() }
    }

    pub(crate) fn bad_config(what: impl Into<Box<str>>) -> Self {
        Self::BadConfig { what: what.into(), source: None }
    }

    /// The CA's refusal, if that is what this is.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// Whether the CA may have executed the request although no answer of it was understood.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }
}

/// Why an answer counts as lost although bytes may have arrived, or a request was held back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Reason {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("no turn within {0:?}: more requests wait for this endpoint than its rate allows")]
    Smoothed(Duration),
    #[error("the answer's body does not parse")]
    Unparsable(#[source] serde_json::Error),
    #[error("the request does not serialize")]
    Unwritable(#[source] serde_json::Error),
    #[error("the answer's body is not text in UTF-8")]
    NotUtf8,
    #[error("the answer holds no PEM certificate")]
    NoCertificate,
    #[error("the answer has no {0} header")]
    MissingHeader(&'static str),
    #[error("the answer redirects (HTTP {0}), which RFC 8555 has no use for")]
    Redirected(u16),
    #[error("the CA gave no usable nonce")]
    NoNonce,
    #[error("the nonce request failed")]
    Nonce(#[source] Box<AcmeError>),
    #[error("the request cannot be built")]
    Malformed(#[source] ::http::Error),
}
