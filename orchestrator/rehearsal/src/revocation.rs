//! Revocation (RFC 8555 §7.6): by the account that ordered, by an account that holds all the names, or by
//! the certificate's own key.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde::Deserialize;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::account::Account;
use crate::authorization::Standing;
use crate::ca::Ca;
use crate::certificate::Certificate;
use crate::problem::{Kind, Problem};
use crate::reply;
use crate::signed::Signed;
use crate::state::{Number, State};

/// RFC 5280 §5.3.1 `keyCompromise`.
const KEY_COMPROMISE: u8 = 1;
/// The reasons Boulder accepts from a subscriber: unspecified, key compromise, superseded, cessation.
const REASONS: [u8; 4] = [0, KEY_COMPROMISE, 4, 5];

#[derive(Debug, Deserialize)]
struct Revocation {
    certificate: String,
    #[serde(default)]
    reason: u8,
}

/// `POST /acme/revoke-cert`
pub(crate) async fn post(Shared(ca): Shared<Arc<Ca>>, signed: Signed) -> Result<Response, Problem> {
    let wanted: Revocation = signed.payload()?;
    if !REASONS.contains(&wanted.reason) {
        return Err(Problem::new(
            Kind::BadRevocationReason,
            format!("revocation reason code {} is not allowed", wanted.reason),
        ));
    }
    let unparsable = || Problem::malformed("Unable to parse certificate DER");
    let der = URL_SAFE_NO_PAD.decode(&wanted.certificate).map_err(|_| unparsable())?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| unparsable())?;
    let certificate_key = &parsed.public_key().subject_public_key.data;

    let (mut state, now) = ca.state();
    let serial = <[u8; 16]>::try_from(unsigned(parsed.raw_serial()));
    let number = serial
        .ok()
        .and_then(|serial| state.certificate_by_serial.get(&serial).copied())
        .filter(|number| *state.certificates[*number].der == *der)
        .ok_or_else(|| Problem::not_found("No such certificate"))?;
    let by_key = match signed.account() {
        Ok(account) if may_revoke(&state, account, number) => false,
        Ok(_) => {
            return Err(Problem::unauthorized(
                "requester does not control all identifiers in the certificate being revoked",
            ));
        }
        Err(_) if **certificate_key == *signed.key().raw() => true,
        Err(_) => {
            return Err(Problem::unauthorized(
                "JWK embedded in revocation request must be the same public key as the cert to be revoked",
            ));
        }
    };
    let Some(certificate) = state.certificates.find_mut(number) else {
        return Err(Problem::not_found("No such certificate"));
    };
    if certificate.revoked_at.is_some() {
        return Err(Problem::new(
            Kind::AlreadyRevoked,
            "Unable to revoke :: certificate has already been revoked",
        ));
    }
    certificate.revoked_at = Some(now);
    // Who proves to hold the key asks for it never to be certified again.
    if by_key || wanted.reason == KEY_COMPROMISE {
        state.compromised_keys.insert(certificate_key.to_vec().into());
    }
    Ok(reply::empty(StatusCode::OK))
}

fn may_revoke(state: &State, account: Number<Account>, number: Number<Certificate>) -> bool {
    let certificate = &state.certificates[number];
    certificate.account == account
        || certificate.names.iter().all(|name| {
            let key = (account, "".into(), name.clone());
            state.reusable.get(&key).is_some_and(|rows| {
                rows.iter()
                    .any(|row| state.ledger.find(*row).is_some_and(|row| row.standing() == Standing::Valid))
            })
        })
}

/// A DER integer without the zero that keeps it positive.
fn unsigned(integer: &[u8]) -> &[u8] {
    match integer {
        [0, rest @ ..] => rest,
        all => all,
    }
}
