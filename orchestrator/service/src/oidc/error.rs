//! Why somebody is not signed in by the provider. No text of the provider's is in here: it goes into logs and onto pages.

use openidconnect::core::CoreErrorResponseType;
use openidconnect::{
    ClaimsVerificationError, DiscoveryError, RequestTokenError, SignatureVerificationError,
    StandardErrorResponse, UserInfoError,
};

use super::HttpError;

#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    #[error("the provider of identities cannot be reached")]
    Away(#[source] HttpError),
    /// It answers, and not as OpenID Connect asks it to.
    #[error("the provider of identities does not answer as OpenID Connect Discovery says: {0}")]
    Discovery(&'static str),
    #[error("too many people are signing in at once")]
    Busy,
    /// What was begun cannot be gone on with: a fault of ours.
    #[error("the provider of identities could not be asked")]
    Unusable,
    /// No journey of this browser's: another one's, one of long ago, or none at all.
    #[error("the answer belongs to no sign-in of this browser")]
    Stranger,
    #[error("the sign-in was begun too long ago")]
    TooLate,
    /// Whoever was asked said no.
    #[error("the provider let nobody in")]
    Denied,
    /// What is configured here or there does not fit.
    #[error("the provider refuses this service: {0}")]
    Unwelcome(&'static str),
    #[error("the code was refused: it is used or too old")]
    Code,
    #[error("what the provider says cannot be believed: {0}")]
    Refused(TokenFault),
    /// The claim that makes the name is not there, or is no name.
    #[error("the provider does not say {0}")]
    Nameless(&'static str),
    #[error("the provider has not verified the address of mail")]
    Unverified,
}

/// What is wrong with a token (OpenID Connect Core 1.0 §3.1.3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    #[error("there is no id_token")]
    Missing,
    #[error("another issuer")]
    Issuer,
    #[error("another audience")]
    Audience,
    #[error("another nonce")]
    Nonce,
    #[error("expired")]
    Expired,
    #[error("issued in the future")]
    Future,
    #[error("no key of the provider's has signed it")]
    UnknownKey,
    #[error("a bad signature")]
    Signature,
    #[error("it is no token of another token")]
    AccessToken,
    #[error("somebody else's")]
    Subject,
    #[error("malformed")]
    Malformed,
}

impl OidcError {
    /// For logs: of a small set.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Away(_) => "away",
            Self::Discovery(_) => "discovery",
            Self::Busy => "busy",
            Self::Unusable => "unusable",
            Self::Stranger => "stranger",
            Self::TooLate => "too_late",
            Self::Denied => "denied",
            Self::Unwelcome(_) => "unwelcome",
            Self::Code => "code",
            Self::Refused(_) => "token",
            Self::Nameless(_) => "nameless",
            Self::Unverified => "unverified",
        }
    }

    /// Whether it is no fault of whoever signs in.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Away(_) | Self::Discovery(_) | Self::Busy | Self::Unusable | Self::Unwelcome(_))
    }

    /// What the provider said in its answer to the browser (RFC 6749 §4.1.2.1), which anybody may have written.
    pub(super) fn told(word: &str) -> Self {
        match word {
            "invalid_request" => Self::Unwelcome("invalid_request"),
            "unauthorized_client" => Self::Unwelcome("unauthorized_client"),
            "unsupported_response_type" => Self::Unwelcome("unsupported_response_type"),
            "invalid_scope" => Self::Unwelcome("invalid_scope"),
            "server_error" => Self::Unwelcome("server_error"),
            "temporarily_unavailable" => Self::Unwelcome("temporarily_unavailable"),
            _ => Self::Denied,
        }
    }
}

impl From<DiscoveryError<HttpError>> for OidcError {
    fn from(error: DiscoveryError<HttpError>) -> Self {
        match error {
            DiscoveryError::Request(error) => Self::Away(error),
            DiscoveryError::Response(status, ..) if status.is_server_error() => {
                Self::Away(HttpError::Status(status))
            }
            DiscoveryError::Response(..) => Self::Discovery("it has no document there"),
            DiscoveryError::Validation(_) => Self::Discovery("it calls itself by another name"),
            DiscoveryError::Parse(_) => Self::Discovery("its document is not to be understood"),
            _ => Self::Discovery("it has no usable address"),
        }
    }
}

type Tokens = RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>;

impl From<Tokens> for OidcError {
    fn from(error: Tokens) -> Self {
        match error {
            RequestTokenError::Request(error) => Self::Away(error),
            RequestTokenError::ServerResponse(said) => match said.error() {
                CoreErrorResponseType::InvalidGrant => Self::Code,
                CoreErrorResponseType::InvalidClient => Self::Unwelcome("invalid_client"),
                CoreErrorResponseType::UnauthorizedClient => Self::Unwelcome("unauthorized_client"),
                _ => Self::Unwelcome("its answer to the code is an error"),
            },
            RequestTokenError::Parse(..) => Self::Refused(TokenFault::Malformed),
            RequestTokenError::Other(_) => Self::Unwelcome("its answer to the code is empty"),
        }
    }
}

impl From<UserInfoError<HttpError>> for OidcError {
    fn from(error: UserInfoError<HttpError>) -> Self {
        match error {
            UserInfoError::Request(error) => Self::Away(error),
            UserInfoError::ClaimsVerification(_) => Self::Refused(TokenFault::Subject),
            _ => Self::Unwelcome("it tells nothing more about people"),
        }
    }
}

impl From<ClaimsVerificationError> for TokenFault {
    fn from(error: ClaimsVerificationError) -> Self {
        match error {
            ClaimsVerificationError::Expired(_) => Self::Expired,
            ClaimsVerificationError::InvalidAudience(_) => Self::Audience,
            ClaimsVerificationError::InvalidIssuer(_) => Self::Issuer,
            ClaimsVerificationError::InvalidNonce(_) => Self::Nonce,
            ClaimsVerificationError::InvalidSubject(_) => Self::Subject,
            ClaimsVerificationError::SignatureVerification(error) => error.into(),
            // The one check of ours that is handed in: of the instant of issue.
            ClaimsVerificationError::Other(_) => Self::Future,
            _ => Self::Malformed,
        }
    }
}

impl From<SignatureVerificationError> for TokenFault {
    fn from(error: SignatureVerificationError) -> Self {
        match error {
            SignatureVerificationError::NoMatchingKey => Self::UnknownKey,
            _ => Self::Signature,
        }
    }
}
