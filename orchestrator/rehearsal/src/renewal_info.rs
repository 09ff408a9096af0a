//! ACME renewal information (RFC 9773): when to renew, and which certificate an order replaces.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use issuance::identifier::Identifiers;
use issuance::time::Timestamp;
use serde_json::json;

use crate::account::Account;
use crate::ca::Ca;
use crate::certificate::Certificate;
use crate::order::{Order, Status};
use crate::problem::{Kind, Problem};
use crate::reply;
use crate::state::{Number, State};

const POLL_INTERVAL: Duration = Duration::from_hours(6);
const POLL_INTERVAL_SPREAD: f64 = 0.2;
/// Below this a certificate is renewed at half of its life instead of two thirds.
const SHORT_LIVED: Duration = Duration::from_hours(10 * 24);

/// A `replaces` that was accepted.
#[derive(Debug)]
pub(crate) struct Replacement {
    pub(crate) id: Box<str>,
    certificate: Number<Certificate>,
    /// Now is inside the suggested window: the order is exempt from limits.
    pub(crate) in_window: bool,
}

/// The window for a certificate: 2 % of its life wide, in whole seconds, since that is what clients are
/// told and held to. One that was revoked should be replaced at once, which its window says by lying in the
/// past.
pub(crate) fn window(certificate: &Certificate, now: Timestamp) -> (Timestamp, Timestamp) {
    if certificate.revoked_at.is_some() {
        return (now.before(Duration::from_hours(1)), now.before(Duration::from_mins(30)));
    }
    let life = certificate.not_before.until(certificate.not_after);
    let share = if life < SHORT_LIVED { 0.5 } else { 2.0 / 3.0 };
    let centre = certificate.not_before.after(life.mul_f64(share));
    let whole = |at: Timestamp| Timestamp::from_unix_seconds(at.unix_seconds());
    (whole(centre.before(life / 100)), whole(centre.after(life / 100)))
}

/// `GET /acme/renewal-info/{certificate}`
pub(crate) async fn read(Shared(ca): Shared<Arc<Ca>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let (state, now) = ca.state();
    let number = find(&state, ca.issuer.key_identifier(), &id)?;
    let (start, end) = window(&state.certificates[number], now);
    drop(state);
    let body = json!({ "suggestedWindow": { "start": reply::instant(start), "end": reply::instant(end) } });
    let mut response = reply::json(StatusCode::OK, &body);
    let interval = ca.chance.around(POLL_INTERVAL, POLL_INTERVAL_SPREAD);
    reply::set_retry_after(&mut response, interval.as_secs());
    Ok(response)
}

/// RFC 9773 §4.1: base64url of the authority key identifier, a dot, base64url of the serial number's DER
/// content, leading zero byte included.
fn find(state: &State, key_identifier: &[u8], id: &str) -> Result<Number<Certificate>, Problem> {
    let malformed = |what: &str| Problem::malformed(format!("Parsing ARI CertID failed :: {what}"));
    let (issuer, serial) = id.split_once('.').ok_or_else(|| malformed("not two parts"))?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("not base64url"));
    let (issuer, serial) = (decode(issuer)?, decode(serial)?);
    let unknown = || Problem::not_found("Certificate replaced by this order was not found");
    if issuer != key_identifier {
        return Err(unknown());
    }
    let serial = match serial.as_slice() {
        [0, rest @ ..] if rest.first().is_some_and(|byte| byte & 0x80 != 0) => rest,
        all => all,
    };
    let serial = <[u8; 16]>::try_from(serial).map_err(|_| unknown())?;
    state.certificate_by_serial.get(&serial).copied().ok_or_else(unknown)
}

pub(crate) fn check_replacement(
    state: &State,
    key_identifier: &[u8],
    account: Number<Account>,
    id: &str,
    names: &Identifiers,
    now: Timestamp,
) -> Result<Replacement, Problem> {
    const CONTEXT: &str = "Could not validate ARI 'replaces' field";
    let number = find(state, key_identifier, id).map_err(|problem| problem.within(CONTEXT))?;
    let certificate = &state.certificates[number];
    if certificate.account != account {
        return Err(Problem::unauthorized(
            "requester account did not request the certificate being replaced by this order",
        )
        .within(CONTEXT));
    }
    if !names.iter().any(|name| certificate.names.contains(name)) {
        return Err(Problem::malformed(
            "identifiers in this order do not match any identifiers in the certificate being replaced",
        )
        .within(CONTEXT));
    }
    let replaced = certificate.replaced_by.and_then(|order| state.orders.find(order)).is_some_and(|order| {
        let status = order.status(state, now);
        status == Status::Valid || (status != Status::Invalid && order.expires_at > now)
    });
    if replaced {
        let detail = format!(
            "cannot indicate an order replaces certificate with serial \"{}\", which already has a \
             replacement order",
            certificate.serial_text()
        );
        return Err(Problem::new(Kind::AlreadyReplaced, detail).within(CONTEXT));
    }
    let (start, end) = window(certificate, now);
    Ok(Replacement { id: id.into(), certificate: number, in_window: start <= now && now < end })
}

pub(crate) fn mark_replaced(state: &mut State, replacement: &Replacement, order: Number<Order>) {
    if let Some(certificate) = state.certificates.find_mut(replacement.certificate) {
        certificate.replaced_by = Some(order);
    }
}
