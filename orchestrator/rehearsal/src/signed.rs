//! A request whose signature, nonce, URL and account have been checked (RFC 8555 §6.2–6.5).

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::FromRequest;
use http::request::Parts;
use http::{Method, Request, StatusCode, header, uri};
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;

use crate::account::Account;
use crate::ca::Ca;
use crate::directory::Base;
use crate::endpoint::Endpoint;
use crate::faults::Effect;
use crate::jws::Jws;
use crate::key::PublicKey;
use crate::problem::{Kind, Problem};
use crate::state::Number;

/// Room for a CSR of 100 names in base64, twice over.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

/// The address a connection came from, put into each of its requests by the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The account a request turned out to be from, for the answer to name (`Boulder-Requester`).
#[derive(Debug, Clone, Default)]
pub(crate) struct Requester(Arc<OnceLock<Number<Account>>>);

impl Requester {
    pub(crate) fn account(&self) -> Option<Number<Account>> {
        self.0.get().copied()
    }
}

#[derive(Debug)]
enum Signer {
    Account(Number<Account>, Arc<PublicKey>),
    /// A key in the request itself: new-account, and revocation by the certificate's key.
    Bare(Arc<PublicKey>),
}

#[derive(Debug)]
pub(crate) struct Signed {
    signer: Signer,
    payload: Vec<u8>,
    pub(crate) base: Base,
    pub(crate) url: String,
    pub(crate) peer: Option<IpAddr>,
}

impl Signed {
    /// The account that signed; a key without an account will not do here.
    pub(crate) fn account(&self) -> Result<Number<Account>, Problem> {
        match &self.signer {
            Signer::Account(account, _) => Ok(*account),
            Signer::Bare(_) => Err(Problem::malformed("No Key ID in JWS header")),
        }
    }

    /// The key that came with the request; an account's key id will not do here.
    pub(crate) fn bare_key(&self) -> Result<&Arc<PublicKey>, Problem> {
        match &self.signer {
            Signer::Bare(key) => Ok(key),
            Signer::Account(..) => Err(Problem::malformed("No embedded JWK in JWS header")),
        }
    }

    pub(crate) fn key(&self) -> &Arc<PublicKey> {
        match &self.signer {
            Signer::Account(_, key) | Signer::Bare(key) => key,
        }
    }

    pub(crate) fn thumbprint(&self) -> &str {
        self.key().thumbprint()
    }

    /// POST-as-GET (RFC 8555 §6.3).
    pub(crate) fn is_read(&self) -> bool {
        self.payload.is_empty()
    }

    pub(crate) fn payload<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.payload)
            .map_err(|error| Problem::malformed(format!("Error unmarshaling request payload: {error}")))
    }

    async fn verify(parts: Parts, body: Body, ca: &Ca) -> Result<Self, Problem> {
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if content_type != Some("application/jose+json") {
            return Err(Problem::malformed(
                "Invalid Content-Type header on POST. Content-Type must be \"application/jose+json\"",
            ));
        }
        let body = Limited::new(body, BODY_BYTES_MAX)
            .collect()
            .await
            .map_err(|_| Problem::malformed("Unable to read the request body"))?
            .to_bytes();
        let base = Base::of(&parts, ca);
        let jws = Jws::parse(&body)?;
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
        let struck_by = |fault: &Effect| {
            let endpoint = parts.extensions.get::<Endpoint>();
            endpoint.and_then(|endpoint| ca.draw(*endpoint, peer, |effect| effect == fault)).is_some()
        };
        let signer = signer(&jws, &base, ca, || struck_by(&Effect::DeactivateAccount))?;
        let key = match &signer {
            Signer::Account(_, key) | Signer::Bare(key) => key,
        };
        key.verify(&jws.protected.alg, &jws.signed, &jws.signature)?;
        if let (Signer::Account(account, _), Some(requester)) = (&signer, parts.extensions.get::<Requester>())
        {
            requester.0.get_or_init(|| *account);
        }
        redeem_nonce(jws.protected.nonce.as_deref(), ca, || struck_by(&Effect::BadNonce))?;
        let path = parts.uri.path_and_query().map_or("/", uri::PathAndQuery::as_str);
        let url = base.url(path);
        match &jws.protected.url {
            Some(claimed) if *claimed == url => (),
            Some(claimed) => {
                return Err(Problem::malformed(format!(
                    "JWS header parameter 'url' incorrect. Expected \"{url}\" got \"{claimed}\""
                )));
            }
            None => return Err(Problem::malformed("JWS header parameter 'url' required")),
        }
        Ok(Self { signer, payload: jws.payload, base, url, peer })
    }
}

fn signer(jws: &Jws, base: &Base, ca: &Ca, deactivates: impl Fn() -> bool) -> Result<Signer, Problem> {
    match (&jws.protected.kid, &jws.protected.jwk) {
        (Some(_), Some(_)) => Err(Problem::malformed("jwk and kid header fields are mutually exclusive")),
        (None, None) => Err(Problem::malformed("Neither jwk nor kid header field is present")),
        (None, Some(jwk)) => Ok(Signer::Bare(Arc::new(PublicKey::parse(jwk.clone())?))),
        (Some(kid), None) => {
            let unknown = || Problem::new(Kind::AccountDoesNotExist, format!("Account \"{kid}\" not found"));
            let number = base.strip(kid, "/acme/acct/").and_then(Number::parse).ok_or_else(unknown)?;
            let (mut state, now) = ca.state();
            let account = state.accounts.find_mut(number).ok_or_else(unknown)?;
            account.deactivated |= deactivates();
            if account.deactivated && account.cached_until.is_none_or(|until| until <= now) {
                return Err(Problem::unauthorized("Account is not valid, has status \"deactivated\""));
            }
            Ok(Signer::Account(number, Arc::clone(&account.key)))
        }
    }
}

fn redeem_nonce(nonce: Option<&str>, ca: &Ca, refuses: impl Fn() -> bool) -> Result<(), Problem> {
    let Some(nonce) = nonce else {
        return Err(Problem::new(Kind::BadNonce, "JWS has no anti-replay nonce"));
    };
    if !ca.nonces.redeem(nonce) || ca.chance.happens(ca.rules.nonce_rejection) || refuses() {
        let detail = format!("Unable to validate JWS :: JWS has an invalid anti-replay nonce: \"{nonce}\"");
        return Err(Problem::new(Kind::BadNonce, detail));
    }
    Ok(())
}

impl FromRequest<Arc<Ca>> for Signed {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, ca: &Arc<Ca>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        Self::verify(parts, body, ca).await
    }
}

/// A read: POST-as-GET by an account, or a plain GET by anybody where the rules allow it.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) reader: Option<Number<Account>>,
    pub(crate) base: Base,
}

impl FromRequest<Arc<Ca>> for Reading {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, ca: &Arc<Ca>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if parts.method == Method::POST {
            let signed = Signed::verify(parts, body, ca).await?;
            if !signed.is_read() {
                return Err(Problem::malformed("POST-as-GET requests must have an empty payload"));
            }
            return Ok(Self { reader: Some(signed.account()?), base: signed.base });
        }
        if !ca.rules.plain_get {
            return Err(Problem::malformed("Method not allowed").with_status(StatusCode::METHOD_NOT_ALLOWED));
        }
        Ok(Self { reader: None, base: Base::of(&parts, ca) })
    }
}
