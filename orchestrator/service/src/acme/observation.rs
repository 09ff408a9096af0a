//! What the CA sent, in the core's words.

use issuance::answer::{CaOrderStatus, OrderSeen, Trouble};
use issuance::authorization::{AuthorizationSeen, AuthorizationStatus, Challenge, ValidationMethod};
use issuance::fault::{FailureClass, Fault};

use super::account::Account;
use super::error::AcmeError;
use super::objects::{
    AuthorizationObject, AuthorizationStatus as CaAuthorizationStatus, ChallengeKind, ChallengeStatus,
    OrderObject, OrderStatus,
};
use super::reply::Reply;

/// Longest detail kept of anybody's words.
const DETAIL_CHARACTERS_MAX: usize = 500;

pub fn trouble(error: AcmeError) -> Trouble {
    let detail =
        |error: &AcmeError| -> Box<str> { chain(error).chars().take(DETAIL_CHARACTERS_MAX).collect() };
    match error {
        AcmeError::Refused { problem, .. } => Trouble::Refused(problem),
        AcmeError::Lost { .. } => Trouble::Lost { detail: detail(&error) },
        AcmeError::NotSent { .. }
        | AcmeError::Unsupported { .. }
        | AcmeError::BadConfig { .. }
        | AcmeError::BadKey(_) => Trouble::NotSent { detail: detail(&error) },
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

pub fn order_seen(url: &str, reply: Reply<OrderObject>) -> OrderSeen {
    let order = reply.body;
    OrderSeen {
        url: url.into(),
        finalize_url: order.finalize,
        status: match order.status {
            OrderStatus::Pending => CaOrderStatus::Pending,
            OrderStatus::Ready => CaOrderStatus::Ready,
            OrderStatus::Processing => CaOrderStatus::Processing,
            OrderStatus::Valid => CaOrderStatus::Valid,
            // Pebble says `deactivated` where RFC 8555 knows only `invalid`.
            OrderStatus::Invalid | OrderStatus::Deactivated | OrderStatus::Other(_) => CaOrderStatus::Invalid,
        },
        expires_at: order.expires,
        authorizations: order.authorizations,
        certificate_url: order.certificate,
        problem: order.error,
        retry_after: reply.retry_after,
    }
}

pub fn status(said: &CaAuthorizationStatus) -> AuthorizationStatus {
    match said {
        CaAuthorizationStatus::Valid => AuthorizationStatus::Valid,
        CaAuthorizationStatus::Invalid => AuthorizationStatus::Invalid,
        CaAuthorizationStatus::Deactivated => AuthorizationStatus::Deactivated,
        CaAuthorizationStatus::Expired => AuthorizationStatus::Expired,
        CaAuthorizationStatus::Revoked => AuthorizationStatus::Revoked,
        // A word nobody knows is no confirmation that it ended.
        CaAuthorizationStatus::Pending | CaAuthorizationStatus::Other(_) => AuthorizationStatus::Pending,
    }
}

/// Reads an authorization with the challenge that the method answers; the others are not answered. `persists`: by the
/// record that stays, where there is that challenge.
pub fn authorization_seen(
    account: &Account,
    object: &AuthorizationObject,
    method: ValidationMethod,
    persists: bool,
) -> Result<AuthorizationSeen, Trouble> {
    let Some(identifier) = object.identifier.hostname() else {
        let detail =
            format!("the CA names the identifier {:?}, which is no hostname", object.identifier.value);
        return Err(Trouble::Lost { detail: detail.into() });
    };
    let kind = match method {
        ValidationMethod::Http01 => ChallengeKind::Http01,
        ValidationMethod::Dns01 if persists => ChallengeKind::DnsPersist01,
        ValidationMethod::Dns01 => ChallengeKind::Dns01,
    };
    let answerable = object.challenge(&kind);
    let challenge = answerable.and_then(|challenge| {
        let (token, key_authorization) = if kind == ChallengeKind::DnsPersist01 {
            (Box::default(), challenge.issuer_domain_names.join(" ").into())
        } else {
            let token = challenge.token.clone()?;
            let key_authorization = account.key_authorization(&token).into();
            (token, key_authorization)
        };
        Some(Challenge {
            kind: challenge.kind.as_str().into(),
            url: challenge.url.clone(),
            token,
            key_authorization,
        })
    });
    let challenge_taken = answerable.is_some_and(|challenge| challenge.status != ChallengeStatus::Pending);
    let problem = object.challenges.iter().find_map(|challenge| challenge.error.as_ref());
    let fault = problem.map(|problem| {
        let detail: String = problem.detail.chars().take(DETAIL_CHARACTERS_MAX).collect();
        Fault::new(FailureClass::of_validation(problem), detail).of(Some(identifier.clone()))
    });
    Ok(AuthorizationSeen {
        status: status(&object.status),
        identifier,
        wildcard: object.wildcard,
        expires_at: object.expires,
        challenge,
        challenge_taken,
        fault,
        problem: problem.cloned(),
    })
}
