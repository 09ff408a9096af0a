//! Who may have keys and chains: a caller, and the labels that its key is restricted to.

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::ApiState;
use super::auth::Caller;
use super::problem::Problem;
use crate::store::bundles::{self, Audience};

/// A caller with what its key may see of what its viewer may.
#[derive(Debug, Clone)]
pub(super) struct Recipient {
    pub(super) caller: Caller,
    pub(super) audience: Audience,
}

impl FromRequestParts<ApiState> for Recipient {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let selector = bundles::selector_of(&state.store, caller.key).await?;
        let audience = Audience { viewer: caller.viewer, selector };
        Ok(Self { caller, audience })
    }
}

/// Like [`Recipient`], for programs that can be told a URL and no header: the key may also be the password of Basic
/// (RFC 7617), which such programs make of `https://agent:KEY@host/`. The user's name does not matter.
#[derive(Debug, Clone)]
pub(super) struct UrlRecipient(pub(super) Recipient);

impl FromRequestParts<ApiState> for UrlRecipient {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        if let Some(mut bearer) = parts.headers.get(AUTHORIZATION).and_then(bearer_of_basic) {
            bearer.set_sensitive(true);
            parts.headers.insert(AUTHORIZATION, bearer);
        }
        Recipient::from_request_parts(parts, state).await.map(Self)
    }
}

fn bearer_of_basic(header: &HeaderValue) -> Option<HeaderValue> {
    let (scheme, credentials) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(BASE64_STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (_, password) = credentials.split_once(':')?;
    HeaderValue::try_from(format!("Bearer {password}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_basic_is_the_key_and_nothing_else_changes() {
        let read = |text: &str| {
            let header = HeaderValue::from_str(text).expect("a header");
            bearer_of_basic(&header).map(|value| value.to_str().expect("ASCII").to_owned())
        };
        assert_eq!(read("Basic YWdlbnQ6a2V5").as_deref(), Some("Bearer key"));
        assert_eq!(read("basic OmE6Yg==").as_deref(), Some("Bearer a:b"));
        for other in ["Bearer key", "Basic", "Basic !!", "Basic a2V5"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
