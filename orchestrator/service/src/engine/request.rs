//! The request an order is finalized with (RFC 8555 §7.4): its tenant's, or one that is made here with a key of ours.

use issuance::answer::{Answer, Trouble};
use issuance::fault::{FailureClass, Fault};
use issuance::ids::OrderId;
use issuance::key_kind::KeyKind;
use issuance::order::{CertificateRequest, Order};
use secrecy::ExposeSecret as _;

use crate::keys::CertificateKey;
use crate::keys::csr::key_context;
use crate::keys::request::{CheckedRequest, spki_sha256_of};
use crate::store::key_plans::{KeptKey, KeyPlan};
use crate::store::leases::Claim;

use super::performer::Performer;

impl Performer {
    /// What was sent is used as it is; a key that is kept is taken from the certificate before, sealed anew for this
    /// order; any other key is made.
    pub(super) async fn prepare_request(&self, claim: &Claim) -> Answer {
        let (id, order) = (claim.owner.order, &claim.order);
        let not_sent = |detail: String| Answer::Trouble(Trouble::NotSent { detail: detail.into() });
        let plan = match self.store.key_plan(claim.owner.certificate, self.clock.now()).await {
            Ok(plan) => plan,
            Err(error) => return not_sent(error.to_string()),
        };
        match plan {
            KeyPlan::Sent(der) => sent(der, order),
            KeyPlan::Spent { reason } => Answer::NoRequest(Fault::new(FailureClass::CsrNeeded, reason)),
            KeyPlan::Ours { kind, kept } => {
                let kind = kind.unwrap_or(self.key_kind);
                match self.made(id, order, kind, kept.as_ref()) {
                    Ok(request) => Answer::Request(request),
                    Err(detail) => not_sent(detail),
                }
            }
        }
    }

    fn made(
        &self,
        id: OrderId,
        order: &Order,
        kind: KeyKind,
        kept: Option<&KeptKey>,
    ) -> Result<CertificateRequest, String> {
        let kept = kept.and_then(|kept| self.opened(kept)).filter(|key| key.kind() == Some(kind));
        let key = match kept {
            Some(key) => key,
            None => CertificateKey::generate(kind).map_err(|error| error.to_string())?,
        };
        let csr_der = key.csr_der(&order.names).map_err(|error| error.to_string())?;
        let key_sealed = self
            .sealer
            .seal(&key_context(id), key.pkcs8().expose_secret())
            .map_err(|error| error.to_string())?;
        Ok(CertificateRequest { key_sealed: Some(key_sealed), csr_der })
    }

    /// One that does not open is replaced by another.
    fn opened(&self, kept: &KeptKey) -> Option<CertificateKey> {
        let opened = self.sealer.open(&key_context(kept.order), &kept.key_sealed).ok()?;
        CertificateKey::from_pkcs8(opened.expose_secret()).ok()
    }

    /// SHA-256 of the public key that was committed with the order.
    pub(super) fn key_of(&self, id: OrderId, request: &CertificateRequest) -> Result<[u8; 32], String> {
        let Some(key_sealed) = &request.key_sealed else {
            return spki_sha256_of(&request.csr_der)
                .ok_or_else(|| "the order's request cannot be read".to_owned());
        };
        let opened = self
            .sealer
            .open(&key_context(id), key_sealed)
            .map_err(|error| format!("the order's key does not open: {error}"))?;
        let key = CertificateKey::from_pkcs8(opened.expose_secret())
            .map_err(|error| format!("the order's key cannot be read: {error}"))?;
        Ok(key.spki_sha256())
    }
}

/// The wish may have changed since the order was placed.
fn sent(der: Vec<u8>, order: &Order) -> Answer {
    let checked = CheckedRequest::from_der(der).and_then(|request| {
        request.check_names(&order.names)?;
        Ok(request)
    });
    match checked {
        Ok(request) => Answer::Request(CertificateRequest { key_sealed: None, csr_der: request.der }),
        Err(error) => Answer::NoRequest(Fault::new(FailureClass::CsrNeeded, error.to_string())),
    }
}
