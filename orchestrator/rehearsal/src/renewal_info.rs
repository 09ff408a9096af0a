//! ACME renewal information (RFC 9773): when to renew, and which certificate an order replaces.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use issuance::identifier::{Hostname, Identifiers};
use issuance::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::account::Account;
use crate::ca::Ca;
use crate::certificate::Certificate;
use crate::order::{Order, Status};
use crate::problem::{Kind, Problem};
use crate::reply;
use crate::state::{Number, State};

const POLL_INTERVAL: Duration = Duration::from_hours(6);
const POLL_INTERVAL_SPREAD: f64 = 0.2;
const CONTEXT: &str = "Could not validate ARI 'replaces' field";
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
/// told and held to. Boulder counts that life from the moment of issuance. What was revoked or is part of an incident
/// should be replaced at once, which its window says by lying in the past.
pub(crate) fn window(certificate: &Certificate, now: Timestamp) -> (Timestamp, Timestamp) {
    if certificate.revoked_at.is_some() || certificate.incident.is_some() {
        return (now.before(Duration::from_hours(1)), now.before(Duration::from_mins(30)));
    }
    // The last second belongs to it.
    let life = certificate.issued_at.until(certificate.not_after.after(Duration::from_secs(1)));
    let left = if life < SHORT_LIVED { life / 2 } else { life / 3 };
    let centre = certificate.not_after.before(left);
    let whole = |at: Timestamp| Timestamp::from_unix_seconds(at.unix_seconds());
    (whole(centre.before(life / 100)), whole(centre.after(life / 100)))
}

/// `GET /acme/renewal-info/{certificate}`
pub(crate) async fn read(Shared(ca): Shared<Arc<Ca>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let (state, now) = ca.state();
    let serial = parse(ca.issuer.key_identifier(), &id)
        .map_err(|problem| problem.within("while parsing ARI CertID an error occurred"))?;
    let certificate =
        find(&state, &serial).ok_or_else(|| Problem::not_found("Requested certificate was not found"))?;
    let certificate = &state.certificates[certificate];
    let (start, end) = window(certificate, now);
    let mut body =
        json!({ "suggestedWindow": { "start": reply::instant(start), "end": reply::instant(end) } });
    if let Some(url) = &certificate.incident {
        body["explanationURL"] = Value::from(&**url);
    }
    drop(state);
    let mut response = reply::json(StatusCode::OK, &body);
    let interval = ca.chance.around(POLL_INTERVAL, POLL_INTERVAL_SPREAD);
    reply::set_retry_after(&mut response, interval.as_secs());
    Ok(response)
}

/// RFC 9773 §4.1: base64url of the authority key identifier, a dot, base64url of the serial number's DER
/// content, leading zero byte included.
fn parse(key_identifier: &[u8], id: &str) -> Result<Vec<u8>, Problem> {
    let parts = id.split_once('.').filter(|(issuer, serial)| !issuer.is_empty() && !serial.is_empty());
    let (issuer, serial) = parts.ok_or_else(|| Problem::malformed("Invalid path"))?;
    let issuer = URL_SAFE_NO_PAD.decode(issuer).map_err(|_| {
        Problem::malformed("Authority Key Identifier was not base64url-encoded or contained padding")
    })?;
    if issuer != key_identifier {
        return Err(Problem::not_found(
            "path contained an Authority Key Identifier that did not match a known issuer",
        ));
    }
    let serial = URL_SAFE_NO_PAD
        .decode(serial)
        .map_err(|_| Problem::not_found("serial number was not base64url-encoded or contained padding"))?;
    Ok(match serial.as_slice() {
        [0, rest @ ..] if rest.first().is_some_and(|byte| byte & 0x80 != 0) => rest.to_vec(),
        _ => serial,
    })
}

fn find(state: &State, serial: &[u8]) -> Option<Number<Certificate>> {
    let serial = <[u8; 16]>::try_from(serial).ok()?;
    state.certificate_by_serial.get(&serial).copied()
}

/// In Boulder's sequence: whether it was replaced already is asked first, whoever asks.
pub(crate) fn check_replacement(
    state: &State,
    key_identifier: &[u8],
    account: Number<Account>,
    id: &str,
    names: &Identifiers,
    now: Timestamp,
) -> Result<Replacement, Problem> {
    let serial = parse(key_identifier, id).map_err(|problem| problem.within(CONTEXT))?;
    let number = find(state, &serial).ok_or_else(|| {
        let serial: String = serial.iter().map(|byte| format!("{byte:02x}")).collect();
        Problem::not_found(format!(
            "request included `replaces` field, but no current certificate with serial \"{serial}\" exists"
        ))
        .within(CONTEXT)
    })?;
    let certificate = &state.certificates[number];
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
    if certificate.account != account {
        return Err(Problem::unauthorized(
            "requester account did not request the certificate being replaced by this order",
        )
        .within(CONTEXT));
    }
    if !names.iter().any(|name| certificate.names.iter().any(|certified| covers(certified, name))) {
        return Err(Problem::malformed(
            "identifiers in this order do not match any identifiers in the certificate being replaced",
        )
        .within(CONTEXT));
    }
    let (start, end) = window(certificate, now);
    Ok(Replacement { id: id.into(), certificate: number, in_window: start <= now && now < end })
}

/// A certified wildcard covers one label (RFC 6125 §6.4.3).
fn covers(certified: &Hostname, name: &Hostname) -> bool {
    let parent = name.as_str().split_once('.').map(|(_, parent)| parent);
    certified == name || (certified.is_wildcard() && parent == Some(certified.validation_target()))
}

pub(crate) fn mark_replaced(state: &mut State, replacement: &Replacement, order: Number<Order>) {
    if let Some(certificate) = state.certificates.find_mut(replacement.certificate) {
        certificate.replaced_by = Some(order);
    }
}

/// Certificates that should be replaced at once, as when a CA has found that it must revoke them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Incident {
    /// Where one can read why.
    url: String,
    /// Those that have one of these names; without any, all that were issued so far.
    #[serde(default)]
    names: Vec<Hostname>,
}

impl Ca {
    /// Returns how many certificates it is about.
    pub(crate) fn declare_incident(&self, url: &str, names: &[Hostname]) -> usize {
        let (mut state, _) = self.state();
        let url: Arc<str> = url.into();
        let hit = state.certificates.iter_mut().filter(|certificate| {
            names.is_empty() || names.iter().any(|name| certificate.names.contains(name))
        });
        hit.map(|certificate| certificate.incident = Some(Arc::clone(&url))).count()
    }
}

/// `POST /incidents`
pub(crate) async fn declare(Shared(ca): Shared<Arc<Ca>>, body: Bytes) -> Result<Response, Problem> {
    let incident: Incident =
        serde_json::from_slice(&body).map_err(|error| Problem::malformed(error.to_string()))?;
    let certificates = ca.declare_incident(&incident.url, &incident.names);
    Ok(reply::json(StatusCode::OK, &json!({ "certificates": certificates })))
}
