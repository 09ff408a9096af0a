//! An order and the stages of its life. A stage carries exactly the facts that are true in it.

use crate::authorization::{Authorization, ValidationMethod};
use crate::exemption::Exemptions;
use crate::fault::Fault;
use crate::identifier::Identifiers;
use crate::time::Timestamp;

/// The CA's order: where it is, and how long it lives (RFC 8555 §7.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaOrder {
    pub url: Box<str>,
    pub finalize_url: Box<str>,
    pub expires_at: Timestamp,
}

/// What the gate gave: units of the pending-authorization budget, before the CA is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// When the gate granted the latest ask: what it may create at the CA is not older than this.
    pub admitted_at: Timestamp,
    /// The latest instant at which what a lost request may have created can still be pending.
    pub hold_until: Timestamp,
    /// Units held for authorizations that are not in the ledger. Every ask adds its own: where an earlier
    /// order of the same names hides the lost one, asking again creates yet another.
    pub units: u32,
    /// new-order requests sent under this admission, the one about to leave included.
    pub asks: u32,
}

/// The request (RFC 8555 §7.4) and the key it was made with, sealed, committed before finalize is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    /// `None`: whoever made the request keeps the key.
    pub key_sealed: Option<Vec<u8>>,
    pub csr_der: Vec<u8>,
}

impl std::fmt::Debug for CertificateRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateRequest").finish_non_exhaustive()
    }
}

/// Where an order stands with us. Where it stands with the CA is its *status*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Wanted. `proven_at`: preflight saw every name answer.
    Accepted { proven_at: Option<Timestamp> },
    /// A name is not ready; probed again when due.
    Parked { fault: Fault },
    /// The gate let it through and new-order may have been sent: the CA may have made it.
    Admitted { reservation: Reservation },
    /// The CA has it, and every authorization is in the ledger.
    Placed { reservation: Reservation, ca: CaOrder },
    /// Every response is known, and is provisioned: the responder answers it, or its record is published next.
    Presented { reservation: Reservation, ca: CaOrder },
    /// Every response was seen to be served; the challenges may have been posted. `lost`: the CA has since
    /// said that the order is invalid, or that it takes no response, and its authorizations are read to learn why (never stored: whoever
    /// loads the order hears it again).
    Submitted { reservation: Reservation, ca: CaOrder, lost: Option<Fault> },
    /// Every authorization is valid.
    Ready { reservation: Reservation, ca: CaOrder },
    /// Key and request are committed; finalize may have been sent.
    Finalizing {
        reservation: Reservation,
        ca: CaOrder,
        request: CertificateRequest,
        certificate_url: Option<Box<str>>,
    },
    /// The chain is stored.
    Issued { reservation: Reservation, ca: CaOrder, request: CertificateRequest, at: Timestamp },
    /// Ended by the CA or by us; rests once its authorizations are settled.
    Failed { reservation: Option<Reservation>, ca: Option<CaOrder>, fault: Fault, at: Timestamp },
    /// Ended because the tenant asked; rests once its authorizations are settled.
    Cancelled { reservation: Option<Reservation>, ca: Option<CaOrder>, at: Timestamp },
}

impl Stage {
    pub const NAMES: [&str; 11] = [
        "accepted",
        "parked",
        "admitted",
        "placed",
        "presented",
        "submitted",
        "ready",
        "finalizing",
        "issued",
        "failed",
        "cancelled",
    ];

    /// Those after which nothing of it goes on at the CA but settling.
    pub const ENDED: [&str; 3] = ["issued", "failed", "cancelled"];

    /// The spelling in the database, the API and the metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Parked { .. } => "parked",
            Self::Admitted { .. } => "admitted",
            Self::Placed { .. } => "placed",
            Self::Presented { .. } => "presented",
            Self::Submitted { .. } => "submitted",
            Self::Ready { .. } => "ready",
            Self::Finalizing { .. } => "finalizing",
            Self::Issued { .. } => "issued",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Nothing of it goes on at the CA but the settling of its authorizations.
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Issued { .. } | Self::Failed { .. } | Self::Cancelled { .. })
    }

    pub fn ca(&self) -> Option<&CaOrder> {
        match self {
            Self::Accepted { .. } | Self::Parked { .. } | Self::Admitted { .. } => None,
            Self::Placed { ca, .. }
            | Self::Presented { ca, .. }
            | Self::Submitted { ca, .. }
            | Self::Ready { ca, .. }
            | Self::Finalizing { ca, .. }
            | Self::Issued { ca, .. } => Some(ca),
            Self::Failed { ca, .. } | Self::Cancelled { ca, .. } => ca.as_ref(),
        }
    }

    pub fn reservation(&self) -> Option<&Reservation> {
        match self {
            Self::Accepted { .. } | Self::Parked { .. } => None,
            Self::Admitted { reservation }
            | Self::Placed { reservation, .. }
            | Self::Presented { reservation, .. }
            | Self::Submitted { reservation, .. }
            | Self::Ready { reservation, .. }
            | Self::Finalizing { reservation, .. }
            | Self::Issued { reservation, .. } => Some(reservation),
            Self::Failed { reservation, .. } | Self::Cancelled { reservation, .. } => reservation.as_ref(),
        }
    }
}

/// One attempt at one certificate, with its part of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub names: Identifiers,
    /// How all of its names are proven.
    pub method: ValidationMethod,
    /// The certificate profile asked for.
    pub profile: Option<Box<str>>,
    /// The certificate this one renews (RFC 9773 §5).
    pub replaces: Option<Box<str>>,
    /// Until when, and why, the CA does not count it.
    pub exemptions: Exemptions,
    pub stage: Stage,
    pub authorizations: Vec<Authorization>,
    /// Looks at the CA's object, or tries of a step, since the stage last changed.
    pub looks: u32,
    /// Attempts at this certificate that failed before this one, since the last success.
    pub failures: u32,
    /// Its names stay together: no part of them gets an order of its own.
    pub split: bool,
    /// How many of its names the largest part has that was given an order of its own; 0 where there is none.
    pub parted: u32,
}

impl Order {
    /// Nothing is left to do: no step, no wait.
    pub fn is_at_rest(&self) -> bool {
        self.stage.is_ended() && !self.authorizations.iter().any(Authorization::holds_budget)
    }
}
