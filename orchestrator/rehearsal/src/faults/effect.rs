//! What a fault does to the request it strikes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::endpoint::Endpoint;

/// In JSON an effect without parameters is its kind (`"drop_response"`), one with parameters an object
/// (`{ "delay_request": { "ms": 9000 } }`).
///
/// The outages are those of a running Boulder whose services were stopped one by one, with the times seen there as
/// defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// Closes the connection; nothing is executed. Over HTTP/2 that ends every request on it, here and below.
    DropRequest,
    /// Executes, and closes the connection in place of an answer.
    DropResponse,
    /// Executes, sends the head and half of the body, and resets the connection.
    ResetBody,
    /// Executes, sends the head and half of the body that it announces, and closes the connection.
    TruncateBody,
    /// Executes after a real wait, although the client may have left by then.
    DelayRequest { ms: u64 },
    /// Executes at once and answers after a real wait.
    DelayResponse { ms: u64 },
    /// Keeps the request, not executed, until the plan is replaced, or the client's connection is seen to be gone.
    HoldRequest,
    /// Executes, and keeps the answer until the plan is replaced.
    HoldResponse,
    /// 500 `serverInternal` with `Retry-After: 60`, as every internal error at Boulder.
    ServerInternal {
        #[serde(default = "Effect::internal_detail")]
        detail: String,
        /// Whether it was executed all the same.
        #[serde(default)]
        executed: bool,
    },
    /// The load balancer's 503: a page of HTML with `Retry-After`, and no header of the CA's.
    Unavailable {
        #[serde(default = "Effect::busy_seconds")]
        retry_after_seconds: u64,
        /// Whether the CA behind it has executed it all the same.
        #[serde(default)]
        executed: bool,
    },
    /// 429 `rateLimited`; without a wait no `Retry-After`.
    RateLimited {
        #[serde(default)]
        retry_after_seconds: Option<u64>,
    },
    /// 400 `badNonce`, whatever the nonce: with a `share` of 1 a storm that no client gets through.
    BadNonce,
    /// Executes, and answers the right status with JSON that ends in the middle, whole as HTTP goes.
    MalformedJson,
    /// Executes, and a proxy in the way answers 200 with an empty page of HTML.
    EmptyPage,
    /// Executes; the answer has no `Location`.
    WithoutLocation,
    /// Executes; the answer has no `Replay-Nonce`.
    WithoutNonce,
    /// The CA deactivates the account that asks, before it looks at the request.
    DeactivateAccount,
    /// The CA looks for the order, and creates it only after a real wait: identical new-orders in parallel do not see
    /// each other.
    SlowPlacement { ms: u64 },
    /// The CA itself is busy, which is no quota: 503 `rateLimited`, not executed.
    Busy {
        #[serde(default = "Effect::busy_seconds")]
        retry_after_seconds: u64,
    },
    /// A new order's new authorizations live only so long, by the CA's clock, and the order no longer.
    ShortLifetime { ms: u64 },
    /// A replica that is behind: what is not older than this, by the CA's clock, is 404.
    UnknownYet { age_ms: u64 },
    /// A replica that is behind: an order says `pending` although all its authorizations are valid.
    StaleOrder,
    /// The CA looks at a challenge after a real wait, and enters the verdict after another by its own clock.
    SlowValidation {
        #[serde(default)]
        look_ms: u64,
        #[serde(default)]
        verdict_ms: u64,
    },
    /// The CA does not look at a challenge before the plan is replaced.
    HoldValidation,
    /// Finalize is accepted and the order stays `processing` so long by the CA's clock; without a time for ever, and
    /// then nothing is ever signed.
    StuckProcessing {
        #[serde(default)]
        ms: Option<u64>,
    },
    /// The signing service hangs: finalize is 500 after a real wait, and the order invalid for good. Its authorizations
    /// stay valid.
    SigningOutage {
        #[serde(default = "Effect::rpc_ms")]
        after_ms: u64,
    },
    /// The same at a CA that finalizes asynchronously: `processing` so long by the CA's clock, then `invalid` with the
    /// error.
    AsyncSigningOutage {
        #[serde(default = "Effect::rpc_ms")]
        after_ms: u64,
    },
    /// The CT logs hang: as [`Effect::SigningOutage`], with another detail.
    LogOutage {
        #[serde(default = "Effect::rpc_ms")]
        after_ms: u64,
    },
    /// The validation service hangs: the challenge is accepted, pending so long by the CA's clock, then invalid as
    /// `serverInternal`. That counts as a failed validation.
    ValidationOutage {
        #[serde(default = "Effect::validation_ms")]
        after_ms: u64,
    },
    /// The registration authority hangs: new-order is 500 after a real wait, and not executed.
    RegistrationOutage {
        #[serde(default = "Effect::rpc_ms")]
        after_ms: u64,
    },
    /// The storage service hangs: the same with another detail.
    StorageOutage {
        #[serde(default = "Effect::rpc_ms")]
        after_ms: u64,
    },
    /// The database hangs: the same with another detail.
    DatabaseOutage {
        #[serde(default = "Effect::database_ms")]
        after_ms: u64,
    },
    /// The store of the rate limits hangs: after a short real wait new-order goes on without them.
    LimitStoreOutage {
        #[serde(default = "Effect::limit_store_ms")]
        after_ms: u64,
    },
}

impl Effect {
    fn internal_detail() -> String {
        "Internal error".to_owned()
    }

    fn busy_seconds() -> u64 {
        60
    }

    fn rpc_ms() -> u64 {
        15_000
    }

    fn database_ms() -> u64 {
        14_000
    }

    fn validation_ms() -> u64 {
        20_000
    }

    fn limit_store_ms() -> u64 {
        300
    }

    /// The name in JSON, under which strikes are counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::DropRequest => "drop_request",
            Self::DropResponse => "drop_response",
            Self::ResetBody => "reset_body",
            Self::TruncateBody => "truncate_body",
            Self::DelayRequest { .. } => "delay_request",
            Self::DelayResponse { .. } => "delay_response",
            Self::HoldRequest => "hold_request",
            Self::HoldResponse => "hold_response",
            Self::ServerInternal { .. } => "server_internal",
            Self::Unavailable { .. } => "unavailable",
            Self::RateLimited { .. } => "rate_limited",
            Self::BadNonce => "bad_nonce",
            Self::MalformedJson => "malformed_json",
            Self::EmptyPage => "empty_page",
            Self::WithoutLocation => "without_location",
            Self::WithoutNonce => "without_nonce",
            Self::DeactivateAccount => "deactivate_account",
            Self::SlowPlacement { .. } => "slow_placement",
            Self::Busy { .. } => "busy",
            Self::ShortLifetime { .. } => "short_lifetime",
            Self::UnknownYet { .. } => "unknown_yet",
            Self::StaleOrder => "stale_order",
            Self::SlowValidation { .. } => "slow_validation",
            Self::HoldValidation => "hold_validation",
            Self::StuckProcessing { .. } => "stuck_processing",
            Self::SigningOutage { .. } => "signing_outage",
            Self::AsyncSigningOutage { .. } => "async_signing_outage",
            Self::LogOutage { .. } => "log_outage",
            Self::ValidationOutage { .. } => "validation_outage",
            Self::RegistrationOutage { .. } => "registration_outage",
            Self::StorageOutage { .. } => "storage_outage",
            Self::DatabaseOutage { .. } => "database_outage",
            Self::LimitStoreOutage { .. } => "limit_store_outage",
        }
    }

    /// Where it can strike; empty means anywhere.
    pub(crate) fn places(&self) -> &'static [Endpoint] {
        match self {
            Self::DropRequest
            | Self::DropResponse
            | Self::ResetBody
            | Self::TruncateBody
            | Self::DelayRequest { .. }
            | Self::DelayResponse { .. }
            | Self::HoldRequest
            | Self::HoldResponse
            | Self::ServerInternal { .. }
            | Self::Unavailable { .. }
            | Self::RateLimited { .. }
            | Self::Busy { .. }
            | Self::BadNonce
            | Self::MalformedJson
            | Self::EmptyPage
            | Self::WithoutLocation
            | Self::WithoutNonce
            | Self::DeactivateAccount => &[],
            Self::ShortLifetime { .. }
            | Self::SlowPlacement { .. }
            | Self::RegistrationOutage { .. }
            | Self::StorageOutage { .. }
            | Self::DatabaseOutage { .. }
            | Self::LimitStoreOutage { .. } => &[Endpoint::NewOrder],
            Self::UnknownYet { .. } => &[Endpoint::Order, Endpoint::Authorization],
            Self::StaleOrder => &[Endpoint::Order],
            Self::SlowValidation { .. } | Self::HoldValidation | Self::ValidationOutage { .. } => {
                &[Endpoint::Challenge]
            }
            Self::StuckProcessing { .. }
            | Self::SigningOutage { .. }
            | Self::AsyncSigningOutage { .. }
            | Self::LogOutage { .. } => &[Endpoint::Finalize],
        }
    }

    /// Whether it hides what is this old.
    pub(crate) fn hides(&self, age: Duration) -> bool {
        matches!(self, Self::UnknownYet { age_ms } if age <= Duration::from_millis(*age_ms))
    }

    /// Whether it strikes between the connection and the CA; the others strike in the CA itself.
    pub(crate) fn is_on_the_wire(&self) -> bool {
        match self {
            Self::BadNonce | Self::DeactivateAccount | Self::LimitStoreOutage { .. } => false,
            Self::RegistrationOutage { .. } | Self::StorageOutage { .. } | Self::DatabaseOutage { .. } => {
                true
            }
            _ => self.places().is_empty(),
        }
    }
}
