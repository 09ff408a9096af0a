//! Finalization (RFC 8555 §7.4): the CSR must name exactly what was ordered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use issuance::identifier::{Hostname, Identifiers};
use issuance::limit::LimitName;
use issuance::time::Timestamp;
use rcgen::{CertificateSigningRequestParams, DnType, DnValue, PublicKey, PublicKeyData as _, SanType};
use rustls_pki_types::CertificateSigningRequestDer;
use serde::Deserialize;

use crate::ca::Ca;
use crate::certificate::Certificate;
use crate::endpoint::Endpoint;
use crate::faults::Effect;
use crate::issuer::Leaf;
use crate::limits::Key;
use crate::order::{self, Order, Progress, Status};
use crate::problem::{Kind, Problem};
use crate::signed::Signed;
use crate::state::{Number, State};

const CONTEXT: &str = "Error finalizing order";

#[derive(Debug, Deserialize)]
struct Finalization {
    csr: String,
}

/// `POST /acme/finalize/{account}/{order}`
pub(crate) async fn post(
    Shared(ca): Shared<Arc<Ca>>,
    Path((account, number)): Path<(String, String)>,
    signed: Signed,
) -> Result<Response, Problem> {
    let reader = signed.account()?;
    let wanted: Finalization = signed.payload()?;
    // Before the lock, since it checks a signature; the order's status is judged first all the same.
    let request = Request::parse(&wanted.csr);
    let (number, names, life) = {
        let (mut state, now) = ca.state();
        let order = order::find(&state, &account, &number, Some(reader), now)?;
        check_ready(order.status(&state, now))?;
        let number = order.number;
        let names = request.as_ref().map_err(Clone::clone)?.check(order, signed.key().raw(), &state)?;
        let profile = ca.rules.profile(&order.profile).unwrap_or(&ca.rules.default_profile);
        let life = Duration::from_secs(profile.certificate_seconds);
        set_progress(&mut state, number, Progress::Issuing);
        (number, names, life)
    };
    let key = request?.key;
    let mut shown_after =
        ca.rules.async_finalize.map_or(Duration::ZERO, |how| Duration::from_millis(how.delay_ms));
    let fault = ca.draw(Endpoint::Finalize, None, |effect| {
        matches!(
            effect,
            Effect::StuckProcessing { .. }
                | Effect::SigningOutage { .. }
                | Effect::AsyncSigningOutage { .. }
                | Effect::LogOutage { .. }
        )
    });
    match fault {
        Some(Effect::StuckProcessing { ms: Some(ms) }) => shown_after = Duration::from_millis(ms),
        Some(Effect::AsyncSigningOutage { after_ms }) => {
            let (mut state, now) = ca.state();
            fail(&mut state, number, outage(), now.after(Duration::from_millis(after_ms)));
            return Ok(order::answer(&ca, &state, &state.orders[number], StatusCode::OK, &signed.base, now));
        }
        Some(Effect::SigningOutage { after_ms }) => {
            return Err(hang(&ca, number, outage(), Duration::from_millis(after_ms)).await);
        }
        Some(Effect::LogOutage { after_ms }) => {
            let detail = "Unable to meet CA SCT embedding requirements";
            let problem = Problem::new(Kind::ServerInternal, detail).within(CONTEXT);
            return Err(hang(&ca, number, problem, Duration::from_millis(after_ms)).await);
        }
        // It stays as it is, for ever.
        Some(_) => {
            let (state, now) = ca.state();
            return Ok(order::answer(&ca, &state, &state.orders[number], StatusCode::OK, &signed.base, now));
        }
        None => (),
    }
    let serial = ca.chance.serial();
    let signed_leaf = ca.issuer.sign(&names, &key, serial, life, ca.clock.now());
    let (mut state, now) = ca.state();
    match signed_leaf {
        Ok(leaf) => record(&mut state, number, serial, leaf, now, shown_after),
        Err(error) => {
            tracing::error!(order = %number, error = &error as &dyn std::error::Error, "A leaf could not be signed");
            fail(&mut state, number, outage(), now);
            return Err(outage());
        }
    }
    Ok(order::answer(&ca, &state, &state.orders[number], StatusCode::OK, &signed.base, now))
}

fn outage() -> Problem {
    Problem::new(Kind::ServerInternal, CONTEXT)
}

/// For good, and shown from then on.
fn fail(state: &mut State, number: Number<Order>, error: Problem, visible_at: Timestamp) {
    set_progress(state, number, Progress::Failed { error: Box::new(error), visible_at });
}

/// A service that the CA waits for does not answer: the order fails when the wait is over, whoever is still there to
/// hear of it.
async fn hang(ca: &Arc<Ca>, number: Number<Order>, problem: Problem, wait: Duration) -> Problem {
    let (waiting, error) = (Arc::clone(ca), problem.clone());
    let failed = ca.tasks.spawn(async move {
        waiting.wait(wait).await;
        let (mut state, now) = waiting.state();
        fail(&mut state, number, error, now);
    });
    // It cannot panic, and nobody aborts it.
    drop(failed.await);
    problem
}

fn check_ready(status: Status) -> Result<(), Problem> {
    let detail = match status {
        Status::Ready => return Ok(()),
        Status::Processing => {
            "Order was already processing. This may indicate your client finalized the same order multiple \
             times, possibly due to a client bug."
                .to_owned()
        }
        Status::Pending | Status::Valid | Status::Invalid => {
            let status = status.as_str();
            return Err(Problem::new(
                Kind::OrderNotReady,
                format!("Order's status ({status:?}) is not acceptable for finalization"),
            ));
        }
    };
    Err(Problem::new(Kind::OrderNotReady, detail).within(CONTEXT))
}

fn set_progress(state: &mut State, number: Number<Order>, progress: Progress) {
    if let Some(order) = state.orders.find_mut(number) {
        order.progress = progress;
    }
}

/// A certificate signing request whose own signature is good.
struct Request {
    key: PublicKey,
    /// Lower case; `None` where a name is not a DNS name.
    names: Option<BTreeSet<String>>,
}

impl Request {
    fn parse(csr: &str) -> Result<Self, Problem> {
        let bad = |detail: String| Problem::new(Kind::BadCsr, detail).within(CONTEXT);
        let der = URL_SAFE_NO_PAD
            .decode(csr)
            .map_err(|_| Problem::malformed("Error parsing certificate request: not base64url"))?;
        let parsed = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(der))
            .map_err(|error| bad(format!("Error parsing certificate request: {error}")))?;
        let mut names: Option<BTreeSet<String>> = parsed
            .params
            .subject_alt_names
            .iter()
            .map(|name| match name {
                SanType::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
                _ => None,
            })
            .collect();
        let common_name =
            parsed.params.distinguished_name.get(&DnType::CommonName).and_then(|name| match name {
                DnValue::Utf8String(text) => Some(text.as_str()),
                DnValue::PrintableString(text) => Some(text.as_str()),
                DnValue::Ia5String(text) => Some(text.as_str()),
                _ => None,
            });
        if let (Some(names), Some(common_name)) = (&mut names, common_name) {
            names.insert(common_name.to_ascii_lowercase());
        }
        if names.as_ref().is_some_and(BTreeSet::is_empty) {
            return Err(bad("at least one DNS name is required".to_owned()));
        }
        Ok(Self { key: parsed.public_key, names })
    }

    /// The names to certify, if the request fits the order.
    fn check(&self, order: &Order, account_key: &[u8], state: &State) -> Result<Identifiers, Problem> {
        if self.key.der_bytes() == account_key {
            return Err(Problem::malformed("certificate public key must be different than account key")
                .within(CONTEXT));
        }
        if state.compromised_keys.contains(self.key.der_bytes()) {
            return Err(Problem::new(Kind::BadCsr, "invalid public key in CSR: public key is forbidden")
                .within(CONTEXT));
        }
        let ordered = order.names.iter().map(Hostname::as_str);
        let same = self.names.as_ref().is_some_and(|names| names.iter().map(String::as_str).eq(ordered));
        if !same {
            return Err(
                Problem::unauthorized("CSR does not specify same identifiers as Order").within(CONTEXT)
            );
        }
        Ok(order.names.clone())
    }
}

/// Stores what was signed and takes the tokens that are spent at issuance.
fn record(
    state: &mut State,
    number: Number<Order>,
    serial: [u8; 16],
    leaf: Leaf,
    now: Timestamp,
    shown_after: Duration,
) {
    let order = &state.orders[number];
    let (account, names, set) = (order.account, order.names.clone(), Arc::clone(&order.set));
    let place = (order.expires_at, number);
    let domains: BTreeSet<Box<str>> = names.iter().map(|name| name.registered_domain().into()).collect();

    let certificate = state.certificates.push(Certificate {
        serial,
        account,
        names,
        der: leaf.der.into(),
        issued_at: now,
        not_after: leaf.not_after,
        revoked_at: None,
        incident: None,
        replaced_by: None,
    });
    state.certificate_by_serial.insert(serial, certificate);
    set_progress(state, number, Progress::Issued { certificate, visible_at: now.after(shown_after) });
    // A finished order hides nothing and is not found again.
    if let Some(orders) = state.orders_by_set.get_mut(&set) {
        orders.remove(&place);
        if orders.is_empty() {
            state.orders_by_set.remove(&set);
        }
    }

    let renewal = state.issued_sets.get(&set).is_some_and(|issued| issued.is_renewed_at(now));
    let issued = state.issued_sets.entry(Arc::clone(&set)).or_default();
    issued.count += 1;
    issued.last_at = Some(now);
    if issued.count == 2 {
        state.duplicate_sets += 1;
    }
    state.limits.spend(LimitName::CertificatesPerExactSet, Key::Set(set), now);
    if !renewal {
        for domain in domains {
            let own = state.limits.domain_key(account, &domain);
            if own != Key::Domain(domain.clone()) {
                state.limits.spend(LimitName::CertificatesPerRegisteredDomain, own, now);
            }
            state.limits.spend(LimitName::CertificatesPerRegisteredDomain, Key::Domain(domain), now);
        }
    }
}
