//! One authorization of the ledger (RFC 8555 §7.1.4): what the CA last said of it, and what we did.

use crate::fault::Fault;
use crate::identifier::Hostname;
use crate::problem::Problem;
use crate::settle;
use crate::time::Timestamp;

/// RFC 8555 §7.1.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthorizationStatus {
    Pending,
    Valid,
    Invalid,
    Deactivated,
    Expired,
    Revoked,
}

impl AuthorizationStatus {
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Valid, Self::Invalid, Self::Deactivated, Self::Expired, Self::Revoked];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Deactivated => "deactivated",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// How control of the names of an order is proven (RFC 8555 §8), among those that we can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValidationMethod {
    /// A response at the name's web servers (RFC 8555 §8.3).
    Http01,
    /// A TXT record beside the name (RFC 8555 §8.4): the only one for a wildcard.
    Dns01,
}

impl ValidationMethod {
    pub const ALL: [Self; 2] = [Self::Http01, Self::Dns01];

    /// The spelling at the CA, in imports and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

/// The kind that a record which stays answers, if it is there, in place of `dns-01`.
pub const DNS_PERSIST_01: &str = "dns-persist-01";

/// The challenge we answer, and the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    pub kind: Box<str>,
    pub url: Box<str>,
    pub token: Box<str>,
    /// RFC 8555 §8.1: the token and the account key's thumbprint. Of `dns-persist-01`, which has neither: the names of
    /// the issuer, of which the record is to have one.
    pub key_authorization: Box<str>,
}

impl Challenge {
    /// It is answered by a record that stays ([`persistence`](crate::persistence)).
    pub fn persists(&self) -> bool {
        &*self.kind == DNS_PERSIST_01
    }
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    pub url: Box<str>,
    /// `None` until it was read: a CA lists authorizations by URL, in no useful order.
    pub identifier: Option<Hostname>,
    pub wildcard: bool,
    pub status: AuthorizationStatus,
    pub opened_at: Timestamp,
    pub expires_at: Timestamp,
    /// `None` until it was read, or where the CA offers no challenge we can answer.
    pub challenge: Option<Challenge>,
    /// By when it is to be settled, while it is open: every decision about it moves this along.
    pub settle_at: Timestamp,
    /// The operator wants it settled, whatever it costs.
    pub settle_requested_at: Option<Timestamp>,
    /// Committed before the challenge is posted.
    pub submit_intended_at: Option<Timestamp>,
    /// The CA has acknowledged the challenge.
    pub submitted_at: Option<Timestamp>,
    /// Committed before the deactivation is posted.
    pub deactivate_intended_at: Option<Timestamp>,
    /// The CA confirmed a status other than `pending`.
    pub final_at: Option<Timestamp>,
    /// Why it failed; while it is pending, why the CA refused the response.
    pub fault: Option<Fault>,
}

impl Authorization {
    /// As it stands when only its URL is known.
    pub fn opened(url: Box<str>, now: Timestamp, expires_at: Timestamp, settle_at: Timestamp) -> Self {
        Self {
            url,
            identifier: None,
            wildcard: false,
            status: AuthorizationStatus::Pending,
            opened_at: now,
            expires_at,
            challenge: None,
            settle_at,
            settle_requested_at: None,
            submit_intended_at: None,
            submitted_at: None,
            deactivate_intended_at: None,
            final_at: None,
            fault: None,
        }
    }

    /// Neither submitted, deactivated nor final: the promise is not kept yet.
    pub fn is_open(&self) -> bool {
        self.submitted_at.is_none() && self.final_at.is_none()
    }

    /// The CA may still count it as pending.
    pub fn holds_budget(&self) -> bool {
        self.final_at.is_none()
    }

    /// The name as it was ordered: a CA counts a wildcard and the name below it apart (RFC 8555 §7.1.4 has one
    /// identifier for both). `None` until it was read.
    pub fn ordered_name(&self) -> Option<Hostname> {
        let identifier = self.identifier.as_ref()?;
        if !self.wildcard {
            return Some(identifier.clone());
        }
        Hostname::parse(&format!("*.{}", identifier.validation_target())).ok()
    }

    /// When it stopped being open.
    pub fn settled_at(&self) -> Option<Timestamp> {
        match (self.submitted_at, self.final_at) {
            (Some(submitted), Some(ended)) => Some(submitted.min(ended)),
            (submitted, ended) => submitted.or(ended),
        }
    }

    /// The challenge may have been posted, and nobody has heard the answer.
    pub fn submission_in_doubt(&self) -> bool {
        self.is_open() && self.submit_intended_at.is_some() && self.deactivate_intended_at.is_none()
    }

    /// It has a challenge of the kind we answer, and the CA has not refused the response.
    pub(crate) fn is_answerable(&self) -> bool {
        self.challenge.is_some() && self.fault.is_none()
    }

    /// Open, and nothing has been decided about it yet.
    pub(crate) fn is_undecided(&self) -> bool {
        self.is_open() && self.submit_intended_at.is_none() && self.deactivate_intended_at.is_none()
    }

    /// Its deactivation may have been posted, and the CA has not confirmed it.
    pub(crate) fn is_deactivating(&self) -> bool {
        self.is_open() && self.deactivate_intended_at.is_some()
    }

    /// Takes over what the CA says now.
    pub(crate) fn observe(&mut self, seen: AuthorizationSeen, now: Timestamp) {
        self.identifier = Some(seen.identifier);
        self.wildcard = seen.wildcard;
        if let Some(expires_at) = seen.expires_at {
            self.expires_at = expires_at;
            self.settle_at = self.settle_at.min(settle::latest(expires_at));
        }
        if seen.challenge.is_some() {
            self.challenge = seen.challenge;
        }
        // One that is being validated is not open, whoever has posted its challenge.
        let validating = seen.status == AuthorizationStatus::Pending;
        if seen.challenge_taken && (validating || self.submit_intended_at.is_some()) {
            self.taken(now);
        }
        if seen.fault.is_some() {
            self.fault = seen.fault;
        }
        self.end(seen.status, now);
    }

    /// The CA has the response.
    pub(crate) fn taken(&mut self, now: Timestamp) {
        self.submit_intended_at.get_or_insert(now);
        self.submitted_at.get_or_insert(now);
    }

    /// Takes over a status that the CA confirmed; `pending` changes nothing, and what is final stays so.
    pub(crate) fn end(&mut self, status: AuthorizationStatus, now: Timestamp) {
        if self.final_at.is_none() && status != AuthorizationStatus::Pending {
            self.status = status;
            self.final_at = Some(now);
        }
    }
}

/// What one reading of an authorization says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationSeen {
    pub status: AuthorizationStatus,
    /// Without the star of a wildcard (RFC 8555 §7.1.4).
    pub identifier: Hostname,
    pub wildcard: bool,
    pub expires_at: Option<Timestamp>,
    /// The challenge of the kind we answer, if it is offered.
    pub challenge: Option<Challenge>,
    /// That challenge is being validated or was: its status is no longer `pending`.
    pub challenge_taken: bool,
    /// Why the validation failed.
    pub fault: Option<Fault>,
    /// The same in the CA's words.
    pub problem: Option<Problem>,
}
