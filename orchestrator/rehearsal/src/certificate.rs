//! Issued certificates and their download (RFC 8555 §7.4.2).

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use http::StatusCode;
use issuance::identifier::Identifiers;
use issuance::time::Timestamp;

use crate::account::Account;
use crate::ca::Ca;
use crate::directory::Base;
use crate::order::Order;
use crate::problem::Problem;
use crate::reply;
use crate::signed::Reading;
use crate::state::{Number, State};

#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) serial: [u8; 16],
    pub(crate) account: Number<Account>,
    pub(crate) names: Identifiers,
    pub(crate) der: Box<[u8]>,
    pub(crate) issued_at: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) revoked_at: Option<Timestamp>,
    /// Where one can read why it should be replaced at once.
    pub(crate) incident: Option<Arc<str>>,
    /// The latest order that said it replaces this certificate.
    pub(crate) replaced_by: Option<Number<Order>>,
}

impl Certificate {
    /// Lower-case hexadecimal, as in URLs and in problem documents.
    pub(crate) fn serial_text(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.serial))
    }
}

pub(crate) fn url(certificate: &Certificate, base: &Base) -> String {
    base.url(&format!("/acme/cert/{}", certificate.serial_text()))
}

/// The default chain: leaf and intermediate.
pub(crate) async fn read(
    Shared(ca): Shared<Arc<Ca>>,
    Path(serial): Path<String>,
    reading: Reading,
) -> Result<Response, Problem> {
    let (state, _) = ca.state();
    let certificate = find(&state, &serial, &reading)?;
    let mut response = chain(ca.issuer.chain_pem(&certificate.der));
    if ca.rules.alternate_chain {
        reply::add_link(&mut response, &format!("{}/1", url(certificate, &reading.base)), "alternate");
    }
    Ok(response)
}

/// The other chain, through the cross-signed intermediate.
pub(crate) async fn read_alternate(
    Shared(ca): Shared<Arc<Ca>>,
    Path((serial, number)): Path<(String, String)>,
    reading: Reading,
) -> Result<Response, Problem> {
    let (state, _) = ca.state();
    let certificate = find(&state, &serial, &reading)?;
    if number != "1" || !ca.rules.alternate_chain {
        return Err(Problem::not_found("Unknown issuance chain"));
    }
    let mut response = chain(ca.issuer.alternate_chain_pem(&certificate.der));
    reply::add_link(&mut response, &url(certificate, &reading.base), "alternate");
    Ok(response)
}

fn chain(pem: String) -> Response {
    reply::with_body(StatusCode::OK, "application/pem-certificate-chain", pem)
}

fn find<'a>(state: &'a State, serial: &str, reading: &Reading) -> Result<&'a Certificate, Problem> {
    let unknown = || Problem::not_found("Certificate not found");
    let serial = u128::from_str_radix(serial, 16).map_err(|_| unknown())?.to_be_bytes();
    let number = state.certificate_by_serial.get(&serial).ok_or_else(unknown)?;
    let certificate = &state.certificates[*number];
    if reading.reader.is_some_and(|reader| reader != certificate.account) {
        return Err(Problem::unauthorized("Account in use did not issue specified certificate"));
    }
    Ok(certificate)
}
