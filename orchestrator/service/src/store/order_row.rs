//! An order as a row, and back. What makes no sense in a row is an error with the row's id, never a guess.

use issuance::authorization::{Authorization, AuthorizationStatus, Challenge, ValidationMethod};
use issuance::exemption::Exemptions;
use issuance::fairness::Lane;
use issuance::fault::{FailureClass, Fault};
use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::{AccountId, CertificateId, OrderId, TenantId};
use issuance::order::{CaOrder, CertificateRequest, Order, Reservation, Stage};
use issuance::time::Timestamp;
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;

use super::StoreError;

/// The columns of `orders` that an attempt needs.
#[derive(Debug)]
pub(super) struct OrderRow {
    pub(super) order_id: Uuid,
    pub(super) tenant_id: Uuid,
    pub(super) certificate_id: Uuid,
    pub(super) account_id: Uuid,
    pub(super) names: Vec<String>,
    pub(super) profile: Option<String>,
    pub(super) replaces: Option<String>,
    pub(super) lane: i16,
    pub(super) fair_tag: i64,
    pub(super) set_exempt_until: Option<OffsetDateTime>,
    pub(super) ari_exempt_from: Option<OffsetDateTime>,
    pub(super) ari_exempt_until: Option<OffsetDateTime>,
    pub(super) challenge: String,
    pub(super) stage: String,
    pub(super) lease_epoch: i64,
    pub(super) rescues: i32,
    pub(super) looks: i32,
    pub(super) failures: i32,
    pub(super) split: bool,
    pub(super) parted: i32,
    pub(super) proven_at: Option<OffsetDateTime>,
    pub(super) admitted_at: Option<OffsetDateTime>,
    pub(super) hold_until: Option<OffsetDateTime>,
    pub(super) reserved_authorizations: i32,
    pub(super) asks: i32,
    pub(super) ca_order_url: Option<String>,
    pub(super) finalize_url: Option<String>,
    pub(super) ca_expires_at: Option<OffsetDateTime>,
    pub(super) key_sealed: Option<Vec<u8>>,
    pub(super) csr_der: Option<Vec<u8>>,
    pub(super) certificate_url: Option<String>,
    pub(super) fault_class: Option<String>,
    pub(super) fault_detail: Option<String>,
    pub(super) fault_hostname: Option<String>,
    pub(super) ended_at: Option<OffsetDateTime>,
    pub(super) deferred_as: Option<String>,
    pub(super) cancel_requested_at: Option<OffsetDateTime>,
}

/// The columns of `authorizations` that an attempt needs.
#[derive(Debug)]
pub(super) struct AuthorizationRow {
    pub(super) order_id: Uuid,
    pub(super) url: String,
    pub(super) identifier: Option<String>,
    pub(super) wildcard: bool,
    pub(super) status: String,
    pub(super) challenge_type: Option<String>,
    pub(super) challenge_url: Option<String>,
    pub(super) token: Option<String>,
    pub(super) key_authorization: Option<String>,
    pub(super) opened_at: OffsetDateTime,
    pub(super) expires_at: OffsetDateTime,
    pub(super) submit_intended_at: Option<OffsetDateTime>,
    pub(super) submitted_at: Option<OffsetDateTime>,
    pub(super) deactivate_intended_at: Option<OffsetDateTime>,
    pub(super) final_at: Option<OffsetDateTime>,
    pub(super) fault_class: Option<String>,
    pub(super) fault_detail: Option<String>,
    pub(super) settle_at: Option<OffsetDateTime>,
    pub(super) settle_requested_at: Option<OffsetDateTime>,
}

/// Whose order it is, and where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    pub order: OrderId,
    pub tenant: TenantId,
    pub certificate: CertificateId,
    pub account: AccountId,
    pub lane: Lane,
    /// Its place in the line of its lane.
    pub fair_tag: i64,
}

impl OrderRow {
    pub(super) fn ownership(&self) -> Ownership {
        Ownership {
            order: OrderId(self.order_id),
            tenant: TenantId(self.tenant_id),
            certificate: CertificateId(self.certificate_id),
            account: AccountId(self.account_id),
            lane: Lane::from_number(self.lane).unwrap_or(Lane::Bulk),
            fair_tag: self.fair_tag,
        }
    }

    fn nonsense(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::Inconsistent { table: "orders", what: format!("{}: {what}", OrderId(self.order_id)) }
    }

    fn require<T: Clone>(&self, column: &'static str, value: Option<&T>) -> Result<T, StoreError> {
        value.cloned().ok_or_else(|| self.nonsense(format_args!("{} without {column}", self.stage)))
    }

    fn fault(&self) -> Result<Option<Fault>, StoreError> {
        let fault = fault(self.fault_class.as_deref(), self.fault_detail.as_deref())
            .map_err(|class| self.nonsense(format_args!("unknown failure class {class:?}")))?;
        let hostname = self
            .fault_hostname
            .as_deref()
            .map(Hostname::parse)
            .transpose()
            .map_err(|error| self.nonsense(error))?;
        Ok(fault.map(|one| one.of(hostname)))
    }

    fn ca(&self) -> Result<Option<CaOrder>, StoreError> {
        let Some(url) = &self.ca_order_url else { return Ok(None) };
        Ok(Some(CaOrder {
            url: url.as_str().into(),
            finalize_url: self.require("finalize_url", self.finalize_url.as_ref())?.into(),
            expires_at: self.require("ca_expires_at", self.ca_expires_at.as_ref())?.into(),
        }))
    }

    fn reservation(&self) -> Result<Option<Reservation>, StoreError> {
        let Some(admitted_at) = self.admitted_at else { return Ok(None) };
        Ok(Some(Reservation {
            admitted_at: admitted_at.into(),
            hold_until: self.require("hold_until", self.hold_until.as_ref())?.into(),
            units: u32::try_from(self.reserved_authorizations).map_err(|error| self.nonsense(error))?,
            asks: u32::try_from(self.asks).map_err(|error| self.nonsense(error))?,
        }))
    }

    fn request(&self) -> Result<CertificateRequest, StoreError> {
        Ok(CertificateRequest {
            key_sealed: self.key_sealed.clone(),
            csr_der: self.require("csr_der", self.csr_der.as_ref())?,
        })
    }

    fn stage(&self) -> Result<Stage, StoreError> {
        let ca = self.ca()?;
        let reservation = self.reservation()?;
        let at_the_ca = || {
            Ok::<_, StoreError>((
                self.require("admitted_at", reservation.as_ref())?,
                self.require("ca_order_url", ca.as_ref())?,
            ))
        };
        let ended_at = || self.require("ended_at", self.ended_at.as_ref()).map(Timestamp::from);
        let stage = match self.stage.as_str() {
            "accepted" => Stage::Accepted { proven_at: self.proven_at.map(Timestamp::from) },
            "parked" => Stage::Parked { fault: self.require("fault_class", self.fault()?.as_ref())? },
            "admitted" => Stage::Admitted { reservation: self.require("admitted_at", reservation.as_ref())? },
            "placed" => {
                let (reservation, ca) = at_the_ca()?;
                Stage::Placed { reservation, ca }
            }
            "presented" => {
                let (reservation, ca) = at_the_ca()?;
                Stage::Presented { reservation, ca }
            }
            "submitted" => {
                let (reservation, ca) = at_the_ca()?;
                Stage::Submitted { reservation, ca, lost: None }
            }
            "ready" => {
                let (reservation, ca) = at_the_ca()?;
                Stage::Ready { reservation, ca }
            }
            "finalizing" => {
                let (reservation, ca) = at_the_ca()?;
                let certificate_url = self.certificate_url.as_deref().map(Box::from);
                Stage::Finalizing { reservation, ca, request: self.request()?, certificate_url }
            }
            "issued" => {
                let (reservation, ca) = at_the_ca()?;
                Stage::Issued { reservation, ca, request: self.request()?, at: ended_at()? }
            }
            "failed" => {
                let fault = self.require("fault_class", self.fault()?.as_ref())?;
                Stage::Failed { reservation, ca, fault, at: ended_at()? }
            }
            "cancelled" => Stage::Cancelled { reservation, ca, at: ended_at()? },
            other => return Err(self.nonsense(format_args!("unknown stage {other:?}"))),
        };
        Ok(stage)
    }

    pub(super) fn order(&self, ledger: Vec<AuthorizationRow>) -> Result<Order, StoreError> {
        let names: Result<Vec<_>, _> = self.names.iter().map(|name| Hostname::parse(name)).collect();
        let names = names.map_err(|error| self.nonsense(error))?;
        Ok(Order {
            names: Identifiers::new(names).map_err(|error| self.nonsense(error))?,
            method: method(&self.challenge).map_err(|what| self.nonsense(what))?,
            profile: self.profile.as_deref().map(Box::from),
            replaces: self.replaces.as_deref().map(Box::from),
            exemptions: exemptions(self.set_exempt_until, self.ari_exempt_from, self.ari_exempt_until),
            stage: self.stage()?,
            authorizations: ledger
                .into_iter()
                .map(|row| row.authorization().map_err(|what| self.nonsense(what)))
                .collect::<Result<_, _>>()?,
            looks: u32::try_from(self.looks).unwrap_or(0),
            failures: u32::try_from(self.failures).unwrap_or(0),
            split: self.split,
            parted: u32::try_from(self.parted).unwrap_or(0),
        })
    }
}

impl AuthorizationRow {
    pub(super) fn authorization(self) -> Result<Authorization, String> {
        let status = AuthorizationStatus::parse(&self.status)
            .ok_or_else(|| format!("authorization with unknown status {:?}", self.status))?;
        let identifier =
            self.identifier.as_deref().map(Hostname::parse).transpose().map_err(|error| error.to_string())?;
        let challenge = match (self.challenge_type, self.challenge_url, self.token, self.key_authorization) {
            (Some(kind), Some(url), Some(token), Some(key_authorization)) => Some(Challenge {
                kind: kind.into(),
                url: url.into(),
                token: token.into(),
                key_authorization: key_authorization.into(),
            }),
            _ => None,
        };
        let fault = fault(self.fault_class.as_deref(), self.fault_detail.as_deref())
            .map_err(|class| format!("authorization with unknown failure class {class:?}"))?;
        Ok(Authorization {
            url: self.url.into(),
            fault: fault.map(|one| one.of(identifier.clone())),
            identifier,
            wildcard: self.wildcard,
            status,
            opened_at: self.opened_at.into(),
            expires_at: self.expires_at.into(),
            challenge,
            // Nobody asks for it once it is settled.
            settle_at: self.settle_at.unwrap_or(self.expires_at).into(),
            settle_requested_at: self.settle_requested_at.map(Timestamp::from),
            submit_intended_at: self.submit_intended_at.map(Timestamp::from),
            submitted_at: self.submitted_at.map(Timestamp::from),
            deactivate_intended_at: self.deactivate_intended_at.map(Timestamp::from),
            final_at: self.final_at.map(Timestamp::from),
        })
    }
}

pub(super) fn method(challenge: &str) -> Result<ValidationMethod, String> {
    ValidationMethod::parse(challenge).ok_or_else(|| format!("unknown challenge {challenge:?}"))
}

/// Out of the columns `set_exempt_until`, `ari_exempt_from` and `ari_exempt_until`.
pub(super) fn exemptions(
    set_until: Option<OffsetDateTime>,
    from: Option<OffsetDateTime>,
    until: Option<OffsetDateTime>,
) -> Exemptions {
    Exemptions {
        set_until: set_until.map(Timestamp::from),
        renewal_info: from.zip(until).map(|(from, until)| (from.into(), until.into())),
    }
}

fn fault(class: Option<&str>, detail: Option<&str>) -> Result<Option<Fault>, String> {
    let Some(class) = class else { return Ok(None) };
    let known = FailureClass::parse(class).ok_or_else(|| class.to_owned())?;
    Ok(Some(Fault::new(known, detail.unwrap_or_default())))
}
