//! Account key rollover (RFC 8555 §7.3.5).

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::account;
use crate::ca::Ca;
use crate::jws::Jws;
use crate::key::{Jwk, PublicKey};
use crate::problem::{Kind, Problem};
use crate::reply;
use crate::signed::Signed;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rollover {
    account: String,
    old_key: Jwk,
}

/// `POST /acme/key-change`: the outer signature is the old key's, the inner one the new key's.
pub(crate) async fn post(Shared(ca): Shared<Arc<Ca>>, signed: Signed) -> Result<Response, Problem> {
    let number = signed.account()?;
    let inner = Jws::parse_inner(&signed.payload::<Box<RawValue>>()?)?;
    let jwk = inner.protected.jwk.ok_or_else(|| Problem::malformed("Inner JWS has no embedded JWK"))?;
    let new_key = Arc::new(PublicKey::parse(jwk)?);
    new_key.verify(&inner.protected.alg, &inner.signed, &inner.signature)?;
    if inner.protected.nonce.is_some() || inner.protected.url.as_deref() != Some(&signed.url) {
        return Err(Problem::malformed("Inner JWS must have the outer 'url' and no nonce"));
    }
    let rollover: Rollover = serde_json::from_slice(&inner.payload)
        .map_err(|error| Problem::malformed(format!("Error unmarshaling inner payload: {error}")))?;
    if rollover.account != account::url(number, &signed.base) {
        return Err(Problem::malformed(
            "Inner key rollover request specified Account that does not match outer JWS Key ID",
        ));
    }
    if rollover.old_key != *signed.key().jwk() {
        return Err(Problem::malformed(
            "Inner JWS does not contain old key field matching current account key",
        ));
    }
    let (mut state, _) = ca.state();
    if let Some(&other) = state.account_by_thumbprint.get(new_key.thumbprint()) {
        return Err(Problem::new(Kind::Conflict, "New key is already in use for a different account")
            .with_location(account::url(other, &signed.base)));
    }
    state.account_by_thumbprint.remove(signed.thumbprint());
    state.account_by_thumbprint.insert(new_key.thumbprint().into(), number);
    let jwk = json!({ "key": new_key.jwk(), "status": "valid" });
    if let Some(account) = state.accounts.find_mut(number) {
        account.key = new_key;
    }
    Ok(reply::json(StatusCode::OK, &jwk))
}
