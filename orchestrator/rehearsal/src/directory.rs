//! The directory (RFC 8555 §7.1.1) and the address under which a client reached us.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, State as Shared};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::ca::Ca;
use crate::reply;

/// Scheme and authority as the client wrote them. Every URL we hand out starts with it, so that a client
/// behind a proxy or under another name of this machine stays there.
#[derive(Debug, Clone)]
pub(crate) struct Base(Arc<str>);

impl Base {
    pub(crate) fn of(parts: &Parts, ca: &Ca) -> Self {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let authority = parts.uri.authority().map(http::uri::Authority::as_str).or(host);
        match authority {
            Some(authority) => Self(format!("{}://{authority}", ca.scheme).into()),
            None => Self(format!("{}://{}", ca.scheme, ca.address).into()),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The rest of a URL of ours after `path`.
    pub(crate) fn strip<'a>(&self, url: &'a str, path: &str) -> Option<&'a str> {
        url.strip_prefix(&*self.0)?.strip_prefix(path)
    }
}

impl FromRequestParts<Arc<Ca>> for Base {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, ca: &Arc<Ca>) -> Result<Self, Infallible> {
        Ok(Self::of(parts, ca))
    }
}

/// `GET /directory`
pub(crate) async fn read(Shared(ca): Shared<Arc<Ca>>, base: Base) -> Response {
    let rules = &ca.rules;
    let mut meta = json!({
        "termsOfService": rules.terms_of_service,
        "caaIdentities": rules.caa_identities,
        "externalAccountRequired": rules.external_account_required,
    });
    if !rules.profiles.is_empty() {
        let profiles: Map<String, Value> = rules
            .profiles
            .iter()
            .map(|(name, profile)| (name.clone(), Value::from(profile.description.clone())))
            .collect();
        meta["profiles"] = Value::Object(profiles);
    }
    let mut directory = json!({
        "newNonce": base.url("/acme/new-nonce"),
        "newAccount": base.url("/acme/new-acct"),
        "newOrder": base.url("/acme/new-order"),
        "revokeCert": base.url("/acme/revoke-cert"),
        "keyChange": base.url("/acme/key-change"),
        "renewalInfo": base.url("/acme/renewal-info"),
        "meta": meta,
    });
    // Boulder does the same: a client must survive keys it does not know.
    directory[ca.chance.token()[..11].to_owned()] =
        Value::from("https://community.letsencrypt.org/t/adding-random-entries-to-the-directory/33417");
    reply::json(StatusCode::OK, &directory)
}

/// `HEAD` of new-nonce; the nonce itself is added to the response with those of all other answers.
pub(crate) async fn head_nonce() -> Response {
    fresh_nonce(StatusCode::OK)
}

/// `GET` of new-nonce (RFC 8555 §7.2).
pub(crate) async fn new_nonce() -> Response {
    fresh_nonce(StatusCode::NO_CONTENT)
}

fn fresh_nonce(status: StatusCode) -> Response {
    let mut response = reply::empty(status);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `GET /root.pem`: the root that issued chains verify against.
pub(crate) async fn root(Shared(ca): Shared<Arc<Ca>>) -> Response {
    reply::with_body(StatusCode::OK, "application/x-pem-file", ca.issuer.root_pem().to_owned())
}
